//! `INTERSECT ALL` and `EXCEPT ALL` count copies: of `{1, 1, 1}` without `{1}` two are left.
//!
//! DataFusion 55 makes semi and anti joins of them, which keep all copies or none. Here the copies are numbered on both
//! sides, and their numbers are keys like the columns are.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Distinct, Expr, ExprFunctionExt as _, Join, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// The column that holds a copy's number.
const COPY: &str = "__copy";

/// A query's plan as SQL has it, where copies count. Only for plans that come of SQL: in others, joins that look like set
/// operations may be meant as they are.
pub(super) fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let counted = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) if is_set_operation(&join) => Ok(Transformed::yes(numbered(join)?)),
        _ => Ok(Transformed::no(plan)),
    });
    Ok(counted?.data)
}

/// True for a join that was written as `INTERSECT ALL` or `EXCEPT ALL`: those between tables never find NULL equal to NULL.
/// Where the left side has no copies, there is nothing to count; in a view that the query reads they are counted already.
fn is_set_operation(join: &Join) -> bool {
    let is_counted = join.on.last().is_some_and(|(left, _)| *left == copy());
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && !is_counted
        && !matches!(*join.left, LogicalPlan::Distinct(Distinct::All(_)))
}

fn copy() -> Expr {
    Expr::Column(Column::from_name(COPY))
}

fn numbered(join: Join) -> Result<LogicalPlan> {
    let columns = columns(&join.left);
    let on = join.on.into_iter().chain([(copy(), copy())]).collect();
    let joined = Join::try_new(
        Arc::new(with_number(&join.left)?),
        Arc::new(with_number(&join.right)?),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}

/// The rows of one side, each with its number among its copies.
fn with_number(side: &LogicalPlan) -> Result<LogicalPlan> {
    let columns = columns(side);
    let number = row_number().partition_by(columns.clone()).build()?;
    let name = number.schema_name().to_string();
    let copy = Expr::Column(Column::from_name(name)).alias(COPY);
    LogicalPlanBuilder::from(side.clone())
        .window([number])?
        .project(columns.into_iter().chain([copy]).collect::<Vec<_>>())?
        .build()
}

fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}

#[cfg(test)]
mod tests {
    use super::counted;
    use crate::engine::{Engine, plan_sql};
    use datafusion::catalog::MemoryCatalogProvider;
    use std::sync::Arc;

    /// A view's plan comes again as a part of what reads it.
    #[tokio::test]
    async fn copies_are_counted_once() {
        let session = Engine::new(1 << 20, 1).unwrap().session(Arc::new(MemoryCatalogProvider::new()));
        for operator in ["INTERSECT ALL", "EXCEPT ALL"] {
            let sql = format!("SELECT 1 AS x {operator} SELECT 2");
            let plan = plan_sql(&session.state(), &sql).await.unwrap();
            assert!(plan.display_indent().to_string().contains("__copy"), "{plan}");
            assert_eq!(counted(plan.clone()).unwrap(), plan);
        }
    }
}
