//! DISTINCT calls as plain ones over each value once, which a hidden table keeps.
//!
//! ```text
//! SELECT g, sum(a), count(DISTINCT e) FROM t GROUP BY g
//!
//! values          SELECT g, e FROM t GROUP BY g, e
//! all of it       SELECT g, sum(a), count(e) FROM (SELECT g, a, NULL AS e FROM t UNION ALL SELECT g, NULL, e FROM values) GROUP BY g
//! ```
//!
//! With a count of the rows of each value, one that comes again, or goes while others are like it, is told without reading
//! the rest of its group. Calls over the same values share them. Where one call of an aggregate has no exact state, its
//! affected groups are read in any case: then nothing is set apart.

use super::merge::call;
use super::split::part;
use super::{each_key_once, key_name};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable as _, LogicalPlan, Projection, Union, ident, when,
};
use std::sync::Arc;

/// The name of a value that is kept once.
const VALUE: &str = "value";

/// A call over the value of one column.
struct Over {
    call: AggregateFunction,
    /// NULL where the call's filter leaves the row out.
    value: Expr,
    data_type: DataType,
    takes_once: bool,
}

/// An aggregate whose DISTINCT calls stand apart; every other plan as it is.
pub(super) fn apart(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
    let has_sets = aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
    let calls = aggregate.aggr_expr.iter().map(|expr| over(expr, aggregate.input.schema()));
    let Some(calls) = calls.collect::<Result<Option<Vec<_>>, _>>()? else { return Ok(Transformed::no(plan)) };
    if has_sets || !calls.iter().any(|call| call.takes_once) {
        return Ok(Transformed::no(plan));
    }
    Ok(Transformed::yes(over_values(aggregate, &calls)?))
}

/// A call that has an exact state, as one over a column; `None` for any other.
fn over(expr: &Expr, input: &DFSchema) -> Result<Option<Over>, DataFusionError> {
    let Some(mut call) = call(expr) else { return Ok(None) };
    let [value] = call.params.args.as_slice() else { return Ok(None) };
    let (value, data_type) = (value.clone(), value.get_type(input)?);
    let is_extreme = matches!(call.func.name(), "min" | "max");
    let takes_once = std::mem::take(&mut call.params.distinct) && !is_extreme;
    if part(&call, input)?.is_none() || takes_once && data_type.is_nested() {
        return Ok(None);
    }
    let value = match call.params.filter.take() {
        None => value,
        Some(filter) => when(*filter, value).otherwise(null(&data_type)?)?,
    };
    Ok(Some(Over { call, value, data_type, takes_once }))
}

fn over_values(aggregate: &Aggregate, calls: &[Over]) -> Result<LogicalPlan, DataFusionError> {
    let mut values: Vec<&Expr> = Vec::new();
    for call in calls.iter().filter(|call| call.takes_once) {
        if !values.contains(&&call.value) {
            values.push(&call.value);
        }
    }
    let named = each_key_once(aggregate).into_iter().enumerate();
    let named = named.map(|(i, group)| group.unalias_nested().data.alias(key_name(i)));
    let named: Vec<Expr> = named.collect();
    let keys: Vec<Expr> = (0..named.len()).map(|i| ident(key_name(i))).collect();
    let mut parts = Vec::with_capacity(values.len() + 1);
    if calls.iter().any(|call| !call.takes_once) {
        let rest = |call: &Over| (!call.takes_once).then(|| call.value.clone());
        parts.push(columns(Arc::clone(&aggregate.input), &named, calls, rest)?);
    }
    for value in values {
        let each = named.iter().cloned().chain([value.clone().alias(VALUE)]).collect();
        let each = Aggregate::try_new(Arc::clone(&aggregate.input), each, Vec::new())?;
        let once = |call: &Over| (call.takes_once && call.value == *value).then(|| ident(VALUE));
        parts.push(columns(Arc::new(LogicalPlan::Aggregate(each)), &keys, calls, once)?);
    }
    let input = match <[_; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => Arc::new(LogicalPlan::Union(Union::try_new_with_loose_types(parts)?)),
    };
    let plain = calls.iter().enumerate().map(|(place, over)| {
        let mut call = over.call.clone();
        call.params.args = vec![ident(column_name(place))];
        Expr::AggregateFunction(call)
    });
    let all = LogicalPlan::Aggregate(Aggregate::try_new(input, keys, plain.collect())?);
    super::placed(all, &aggregate.schema)
}

/// The keys, and for each call its values, or NULL where they stand in another part.
fn columns(
    input: Arc<LogicalPlan>,
    keys: &[Expr],
    calls: &[Over],
    value: impl Fn(&Over) -> Option<Expr>,
) -> Result<Arc<LogicalPlan>, DataFusionError> {
    let mut columns = keys.to_vec();
    for (place, call) in calls.iter().enumerate() {
        let value = value(call).map_or_else(|| null(&call.data_type), Ok)?;
        columns.push(value.alias(column_name(place)));
    }
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
}

fn null(data_type: &DataType) -> Result<Expr, DataFusionError> {
    Ok(Expr::Literal(ScalarValue::try_from(data_type)?, None))
}

fn column_name(place: usize) -> String {
    format!("v{place}")
}
