//! DISTINCT calls as plain ones over each value once, which a hidden table keeps.
//!
//! ```text
//! SELECT g, sum(a), count(DISTINCT e) ... GROUP BY g
//!
//! rest            SELECT g, sum(a) ... GROUP BY g
//! values of e     SELECT g, e ... GROUP BY g, e
//! of e            SELECT g, count(e) FROM values of e GROUP BY g
//! all of it       rest JOIN of e ON g IS NOT DISTINCT FROM g
//! ```
//!
//! With a count of the rows of each value, one that comes again, or goes while others are like it, is told without reading
//! the rest of its group. Calls over the same values share them. What two values do not add up to exactly stays a call
//! of the rest.

use super::key_name;
use super::merge::call;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{
    Column, DFSchema, DataFusionError, JoinType, NullEquality, ScalarValue, TableReference,
};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable as _, Join, JoinConstraint, LogicalPlan, LogicalPlanBuilder, Projection,
    SubqueryAlias, ident, when,
};
use std::sync::Arc;

/// The name of a value that is kept once.
const VALUE: &str = "value";

/// An aggregate whose DISTINCT calls stand apart; every other plan as it is.
pub(super) fn apart(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
    let has_sets = aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
    let calls = aggregate.aggr_expr.iter().map(call).collect::<Option<Vec<_>>>();
    let Some(calls) = calls.filter(|_| !has_sets) else { return Ok(Transformed::no(plan)) };
    let (mut rest, mut apart) = (Vec::new(), Vec::<(Expr, Vec<(usize, AggregateFunction)>)>::new());
    for (place, call) in calls.into_iter().enumerate() {
        match distinct_value(&call, aggregate.input.schema())? {
            None => rest.push((place, call)),
            Some(value) => {
                let call = over_values(call);
                match apart.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, calls)) => calls.push((place, call)),
                    None => apart.push((value, vec![(place, call)])),
                }
            }
        }
    }
    if apart.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let mut parts = Vec::with_capacity(apart.len() + 1);
    if !rest.is_empty() {
        let keys = named_keys(&aggregate.group_expr);
        parts.push((aggregated(Arc::clone(&aggregate.input), keys, &rest)?, rest));
    }
    for (value, calls) in apart {
        let mut each = named_keys(&aggregate.group_expr);
        let keys = (0..each.len()).map(|i| ident(key_name(i))).collect();
        each.push(value.alias(VALUE));
        let values = Aggregate::try_new(Arc::clone(&aggregate.input), each, Vec::new())?;
        parts.push((aggregated(Arc::new(LogicalPlan::Aggregate(values)), keys, &calls)?, calls));
    }
    Ok(Transformed::yes(joined(aggregate, parts)?))
}

/// The value of which a DISTINCT call takes each once, NULL where its filter leaves the row out; `None` for what is no such
/// call, or has no exact state.
fn distinct_value(call: &AggregateFunction, input: &DFSchema) -> Result<Option<Expr>, DataFusionError> {
    let params = &call.params;
    let ([value], true) = (params.args.as_slice(), params.distinct && params.order_by.is_empty()) else {
        return Ok(None);
    };
    let data_type = value.get_type(input)?;
    let is_exact = match call.func.name() {
        "count" => !data_type.is_nested(),
        "sum" => data_type.is_integer() || matches!(data_type, DataType::Decimal128(..)),
        "avg" => matches!(data_type, DataType::Decimal128(..)),
        _ => false,
    };
    if !is_exact {
        return Ok(None);
    }
    Ok(Some(match &params.filter {
        None => value.clone(),
        Some(filter) => {
            let null = Expr::Literal(ScalarValue::try_from(&data_type)?, None);
            when(Expr::clone(filter), value.clone()).otherwise(null)?
        }
    }))
}

/// The call over values that are there once.
fn over_values(mut call: AggregateFunction) -> AggregateFunction {
    call.params.args = vec![ident(VALUE)];
    call.params.distinct = false;
    call.params.filter = None;
    call
}

fn named_keys(groups: &[Expr]) -> Vec<Expr> {
    let named = groups.iter().enumerate();
    named.map(|(i, group)| group.clone().unalias_nested().data.alias(key_name(i))).collect()
}

/// Calls by key, each named by its place in the whole aggregate.
fn aggregated(
    input: Arc<LogicalPlan>,
    keys: Vec<Expr>,
    calls: &[(usize, AggregateFunction)],
) -> Result<LogicalPlan, DataFusionError> {
    let calls =
        calls.iter().map(|(place, call)| Expr::AggregateFunction(call.clone()).alias(call_name(*place)));
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(input, keys, calls.collect())?))
}

/// The parts side by side, under the names of the whole aggregate. All have the same groups: none is left out of any.
fn joined(
    aggregate: &Aggregate,
    parts: Vec<(LogicalPlan, Vec<(usize, AggregateFunction)>)>,
) -> Result<LogicalPlan, DataFusionError> {
    let key_count = aggregate.group_expr.len();
    let column = |part: usize, name: String| Expr::Column(Column::new(Some(part_name(part)), name));
    let mut shown: Vec<Expr> = (0..key_count).map(|i| column(0, key_name(i))).collect();
    shown.resize(aggregate.schema.fields().len(), Expr::Literal(ScalarValue::Null, None));
    let mut all: Option<LogicalPlan> = None;
    for (number, (part, calls)) in parts.into_iter().enumerate() {
        for (place, _) in calls {
            shown[key_count + place] = column(number, call_name(place));
        }
        let part = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(part), part_name(number))?);
        let on = (0..key_count).map(|i| (column(0, key_name(i)), column(number, key_name(i))));
        all = Some(match all {
            None => part,
            Some(all) if key_count == 0 => LogicalPlanBuilder::from(all).cross_join(part)?.build()?,
            Some(all) => LogicalPlan::Join(Join::try_new(
                Arc::new(all),
                Arc::new(part),
                on.collect(),
                None,
                JoinType::Inner,
                JoinConstraint::On,
                NullEquality::NullEqualsNull,
                false,
            )?),
        });
    }
    let all = all.ok_or_else(|| DataFusionError::Plan("an aggregate without calls".to_string()))?;
    let named = shown.into_iter().zip(aggregate.schema.iter());
    let named =
        named.map(|(value, (qualifier, field))| value.alias_qualified(qualifier.cloned(), field.name()));
    Ok(LogicalPlan::Projection(Projection::try_new(named.collect(), Arc::new(all))?))
}

fn call_name(place: usize) -> String {
    format!("v{place}")
}

fn part_name(number: usize) -> TableReference {
    TableReference::bare(format!("__part{number}"))
}
