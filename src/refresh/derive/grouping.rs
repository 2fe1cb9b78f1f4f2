//! GROUPING SETS, ROLLUP and CUBE as a union of plain aggregates, one a set.
//!
//! ```text
//! GROUP BY ROLLUP (a, b)      GROUP BY a, b           a     b     id 0
//!                             GROUP BY a              a     NULL  id 1
//!                             over everything         NULL  NULL  id 3
//! ```
//!
//! The sets have no key in common, but each has its own: states, merging and affected keys then hold for every one.

use super::placed;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Projection, Union, lit};
use std::collections::HashMap;
use std::sync::Arc;

/// Each set is computed, and mostly kept, on its own: of more, recomputing everything costs less.
const SETS_MAX: usize = 32;

/// An aggregate over grouping sets as plain ones; every other plan as it is.
pub(super) fn by_set(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
    let [Expr::GroupingSet(grouping)] = aggregate.group_expr.as_slice() else {
        return Ok(Transformed::no(plan));
    };
    let exprs = grouping.distinct_expr();
    let sets = sets(grouping, &exprs);
    if sets.len() > SETS_MAX {
        return Ok(Transformed::no(plan));
    }
    let mut times: HashMap<&[bool], u64> = HashMap::new();
    let mut parts = Vec::with_capacity(sets.len());
    for set in &sets {
        let time = times.entry(set).or_default();
        parts.push(Arc::new(of_set(aggregate, &exprs, set, *time)?));
        *time += 1;
    }
    let united = match <[_; 1]>::try_from(parts) {
        Ok([only]) => Arc::unwrap_or_clone(only),
        Err(parts) => LogicalPlan::Union(Union::try_new_with_loose_types(parts)?),
    };
    Ok(Transformed::yes(placed(united, &aggregate.schema)?))
}

/// For each set, which of the expressions it has.
fn sets(grouping: &GroupingSet, exprs: &[&Expr]) -> Vec<Vec<bool>> {
    let count = exprs.len();
    match grouping {
        GroupingSet::Rollup(_) => (0..=count).map(|n| (0..count).map(|i| i < n).collect()).collect(),
        GroupingSet::Cube(_) => {
            let all = 1usize.checked_shl(u32::try_from(count).unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
            // One more than is used tells that there are too many.
            let used = 0..all.min(SETS_MAX + 1);
            used.map(|set| (0..count).map(|i| set >> i & 1 == 1).collect()).collect()
        }
        GroupingSet::GroupingSets(sets) => {
            sets.iter().map(|set| exprs.iter().map(|expr| set.contains(expr)).collect()).collect()
        }
    }
}

/// One set's groups as the whole aggregate shows them. A set that is given several times is told apart by its number.
fn of_set(
    aggregate: &Aggregate,
    exprs: &[&Expr],
    set: &[bool],
    time: u64,
) -> Result<LogicalPlan, DataFusionError> {
    let groups: Vec<Expr> =
        exprs.iter().zip(set).filter(|(_, is_in)| **is_in).map(|(expr, _)| Expr::clone(expr)).collect();
    let plain = match groups.is_empty() && aggregate.aggr_expr.is_empty() {
        // Everything is one group, of which nothing is asked.
        true => LogicalPlanBuilder::empty(true).build()?,
        false => LogicalPlan::Aggregate(Aggregate::try_new(
            Arc::clone(&aggregate.input),
            groups,
            aggregate.aggr_expr.clone(),
        )?),
    };
    let lacks = set.iter().fold(0, |id: u64, is_in| id << 1 | u64::from(!is_in));
    // As `Aggregate::INTERNAL_GROUPING_ID` says: a bit for each expression that the set lacks, and its number above them.
    let id = time.checked_shl(u32::try_from(set.len()).unwrap_or(u32::MAX)).unwrap_or(0) | lacks;
    let mut columns = plain.schema().columns().into_iter().map(Expr::Column);
    let mut shown = Vec::with_capacity(aggregate.schema.fields().len());
    for (place, (qualifier, field)) in aggregate.schema.iter().enumerate() {
        let value = match set.get(place) {
            Some(false) => null_of(field.data_type())?,
            None if place == set.len() => lit(ScalarValue::UInt64(Some(id)).cast_to(field.data_type())?),
            _ => {
                columns.next().ok_or_else(|| DataFusionError::Plan("a grouping set lacks a column".into()))?
            }
        };
        shown.push(value.alias_qualified(qualifier.cloned(), field.name().clone()));
    }
    Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(plain))?))
}

fn null_of(data_type: &DataType) -> Result<Expr, DataFusionError> {
    Ok(lit(ScalarValue::try_from(data_type)?))
}
