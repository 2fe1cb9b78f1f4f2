//! NOT IN as an anti join of its own key alone, and two facts about the other side.
//!
//! ```text
//! l.k NOT IN (SELECT r.k ...)     there is no r, or l.k is not NULL, no r.k is NULL, and none is equal to l.k
//!
//! state 1                         SELECT count(*) AS n, count(r.k) AS m FROM r
//! state 2                         SELECT n = 0 AS is_none, n > m AS has_null FROM state 1 GROUP BY 1, 2
//! ```
//!
//! The facts are a hidden table of one row: they are two truths and no counts, so that the row seldom changes, and only
//! when it does are all rows of the left side looked at.

use super::key_name;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DataFusionError, JoinType, TableReference};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, ident, lit, not};
use std::sync::Arc;

/// The name of the other side's keys, and of the facts about them.
const KEYS: &str = "__not_in";
const FACTS: &str = "__not_in_facts";
const IS_NONE: &str = "__is_none";
const HAS_NULL: &str = "__has_null";

/// A join that is NOT IN as one that is not; every other plan as it is.
pub(super) fn without_nulls(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
    // With more than the one key it is another question for each row: which of the other side's rows are meant.
    let ([(left_key, right_key)], None) = (join.on.as_slice(), &join.filter) else {
        return Ok(Transformed::no(plan));
    };
    if !join.null_aware || join.join_type != JoinType::LeftAnti {
        return Ok(Transformed::no(plan));
    }
    Ok(Transformed::yes(rewritten(join, left_key, right_key)?))
}

fn rewritten(join: &Join, left_key: &Expr, right_key: &Expr) -> Result<LogicalPlan, DataFusionError> {
    let keys = LogicalPlanBuilder::from(LogicalPlan::clone(&join.right))
        .project([right_key.clone().alias(key_name(0))])?
        .alias(KEYS)?
        .build()?;
    let key = Expr::Column(Column::new(Some(TableReference::bare(KEYS)), key_name(0)));
    let facts = LogicalPlanBuilder::from(keys.clone())
        .aggregate(Vec::<Expr>::new(), [count(lit(1i64)).alias("n"), count(key.clone()).alias("m")])?
        .aggregate(
            [ident("n").eq(lit(0i64)).alias(IS_NONE), ident("n").gt(ident("m")).alias(HAS_NULL)],
            Vec::<Expr>::new(),
        )?
        .alias(FACTS)?
        .build()?;
    let fact = |name: &str| Expr::Column(Column::new(Some(TableReference::bare(FACTS)), name));
    let marked = LogicalPlan::Join(Join::try_new(
        Arc::clone(&join.left),
        Arc::new(keys),
        vec![(left_key.clone(), key)],
        None,
        JoinType::LeftMark,
        join.join_constraint,
        join.null_equality,
        false,
    )?);
    let mark = Expr::Column(Column::new(Some(TableReference::bare(KEYS)), "mark"));
    let is_not_in = left_key.clone().is_not_null().and(not(fact(HAS_NULL))).and(not(mark));
    let left = join.left.schema().columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(marked)
        .cross_join(facts)?
        .filter(fact(IS_NONE).or(is_not_in))?
        .project(left)?
        .build()
}
