//! Aggregates whose new value is told by their old value and those of the rows that came and went: the stored rows are
//! their state.
//!
//! ```text
//! new sum = old + came - went            a count of values tells when nothing is left to sum
//! new min = least(old, came)             unless a row went that was as low: then the key is computed anew
//! count(*) = 0                           the group is gone
//! ```
//!
//! Holds where all is exact: sums of integers and decimals, counts, least and greatest values. Rows that only come need no
//! counts.

use super::clock::asks_itself;
use super::top::top;
use super::{Derived, Sources, WEIGHT, change, group_keys, key_name};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, DataFusionError, JoinType, NullEquality};
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable as _, Join, JoinConstraint, LogicalPlan, LogicalPlanBuilder, Projection,
    TableSource, cast, ident, lit, when,
};
use std::sync::Arc;

/// True where a key must be computed anew.
const REDO: &str = "redo";

/// How values of a group are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    Count,
    /// NULL when nothing was summed.
    Sum,
    Least,
    Greatest,
}

/// A query that ends in such aggregates, all of them shown as they are.
pub(in crate::refresh) struct Merge {
    /// What came and what went by key: columns `k0`, `k1`..., then for each aggregate `p0`, `p1`... and, when rows went,
    /// `m0`, `m1`...
    pub(in crate::refresh) changed: LogicalPlan,
    /// Where the key's columns stand in the result.
    pub(in crate::refresh) keys: Vec<usize>,
    key_types: Vec<DataType>,
    values: Vec<Value>,
    /// Rows went; which of the aggregates then counts the rows of a group.
    counted_by: Option<usize>,
}

/// An aggregate.
struct Value {
    how: Combine,
    data_type: DataType,
    /// Its place in the result.
    place: usize,
    /// For a sum of what can be NULL: the aggregate that counts its values.
    counted_by: Option<usize>,
}

impl Merge {
    /// The result's types, for each of its places that a column stands at.
    pub(in crate::refresh) fn types(&self) -> impl Iterator<Item = (usize, &DataType)> {
        let values = self.values.iter().map(|value| (value.place, &value.data_type));
        self.keys.iter().copied().zip(&self.key_types).chain(values)
    }

    /// True when a key may have to be computed anew.
    pub(in crate::refresh) fn may_redo(&self) -> bool {
        let is_extreme = |value: &Value| matches!(value.how, Combine::Least | Combine::Greatest);
        self.counted_by.is_some() && self.values.iter().any(is_extreme)
    }

    /// The result's rows for the keys that changed, and last whether they must be computed anew: `changed` is what
    /// [`Merge::changed`] gave, `stored` the rows that stand.
    pub(in crate::refresh) fn rows(
        &self,
        changed: LogicalPlan,
        stored: Arc<dyn TableSource>,
    ) -> Derived<LogicalPlan> {
        let names: Vec<String> = stored.schema().fields().iter().map(|field| field.name().clone()).collect();
        let keys = self.keys.iter().zip(&self.key_types).enumerate();
        let keys = keys.map(|(i, (place, t))| cast(ident(&names[*place]), t.clone()).alias(stood_key(i)));
        let values = self.values.iter().enumerate();
        let values =
            values.map(|(i, v)| cast(ident(&names[v.place]), v.data_type.clone()).alias(name('s', i)));
        let stood =
            LogicalPlanBuilder::scan("__stored", stored, None)?.project(keys.chain(values))?.build()?;
        let on = (0..self.keys.len()).map(|i| (ident(key_name(i)), ident(stood_key(i))));
        let joined = Join::try_new(
            Arc::new(changed),
            Arc::new(stood),
            on.collect(),
            None,
            JoinType::Left,
            JoinConstraint::On,
            NullEquality::NullEqualsNull,
            false,
        )?;
        let mut rows = LogicalPlanBuilder::from(LogicalPlan::Join(joined));
        if let Some(count) = self.counted_by {
            rows = rows.filter(self.count(count).gt(lit(0i64)))?;
        }
        let mut result: Vec<Option<Expr>> = vec![None; self.keys.len() + self.values.len()];
        let mut put = |place: usize, value: Expr| {
            if let Some(slot) = result.get_mut(place) {
                *slot = Some(value.alias(format!("r{place}")));
            }
        };
        for (i, (place, data_type)) in self.keys.iter().zip(&self.key_types).enumerate() {
            put(*place, cast(ident(key_name(i)), data_type.clone()));
        }
        for (i, value) in self.values.iter().enumerate() {
            put(value.place, cast(self.combined(i)?, value.data_type.clone()));
        }
        let Some(mut result) = result.into_iter().collect::<Option<Vec<Expr>>>() else {
            return super::no_rule("a column is not the aggregate's own");
        };
        result.push(self.redo()?.alias(REDO));
        let rows = Arc::new(rows.build()?);
        Ok(LogicalPlan::Projection(Projection::try_new(result, rows)?))
    }

    fn combined(&self, i: usize) -> Result<Expr, DataFusionError> {
        let (old, came) = (ident(name('s', i)), ident(name('p', i)));
        match self.values[i].how {
            Combine::Count => Ok(self.count(i)),
            Combine::Sum => {
                let zero = || cast(lit(0i64), self.values[i].data_type.clone());
                let or_zero = |value: &Expr| coalesce(vec![value.clone(), zero()]);
                let mut sum = or_zero(&old) + or_zero(&came);
                let is_nothing = match (self.counted_by, self.values[i].counted_by) {
                    (None, _) => old.is_null().and(came.is_null()),
                    (Some(rows), counted_by) => {
                        sum = sum - or_zero(&ident(name('m', i)));
                        self.count(counted_by.unwrap_or(rows)).eq(lit(0i64))
                    }
                };
                when(is_nothing, lit(datafusion::common::ScalarValue::Null)).otherwise(sum)
            }
            Combine::Least | Combine::Greatest => self.extreme(i),
        }
    }

    /// A count is never NULL, except of a key that does not stand yet.
    fn count(&self, i: usize) -> Expr {
        let count = coalesce(vec![ident(name('s', i)), lit(0i64)]) + ident(name('p', i));
        if self.counted_by.is_some() { count - ident(name('m', i)) } else { count }
    }

    fn extreme(&self, i: usize) -> Result<Expr, DataFusionError> {
        let (old, came) = (ident(name('s', i)), ident(name('p', i)));
        let is_beyond = match self.values[i].how {
            Combine::Greatest => came.clone().gt(old.clone()),
            _ => came.clone().lt(old.clone()),
        };
        when(old.clone().is_null().or(is_beyond), came).otherwise(old)
    }

    /// True where what went may have been the least or greatest of what is left.
    fn redo(&self) -> Result<Expr, DataFusionError> {
        let mut redo = lit(false);
        if self.counted_by.is_none() {
            return Ok(redo);
        }
        for (i, value) in self.values.iter().enumerate() {
            let went = ident(name('m', i));
            let may_be_it = match value.how {
                Combine::Least => went.clone().lt_eq(self.extreme(i)?),
                Combine::Greatest => went.clone().gt_eq(self.extreme(i)?),
                Combine::Count | Combine::Sum => continue,
            };
            redo = redo.or(went.is_not_null().and(coalesce(vec![may_be_it, lit(true)])));
        }
        Ok(redo)
    }
}

fn name(kind: char, position: usize) -> String {
    format!("{kind}{position}")
}

fn stood_key(position: usize) -> String {
    format!("stood{position}")
}

/// The query as one whose stored rows are its state; `None` when they do not tell enough.
pub(in crate::refresh) fn merge(plan: &LogicalPlan, sources: &Sources) -> Derived<Option<Merge>> {
    let Some(top) = top(plan) else { return Ok(None) };
    let LogicalPlan::Aggregate(aggregate) = top.node else { return Ok(None) };
    let Ok(keys) = group_keys(aggregate) else { return Ok(None) };
    if sources.since.is_some() && asks_itself(top.node) {
        return Ok(None);
    }
    let fields = aggregate.schema.fields();
    // Every column of the operator shows, and every column of the result is one of them.
    let Some(places) = top.shown(0..fields.len()) else { return Ok(None) };
    if top.is_filtered || top.places.len() != fields.len() {
        return Ok(None);
    }
    let Some(calls) = aggregate.aggr_expr.iter().map(call).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let input = aggregate.input.schema();
    let mut values = Vec::with_capacity(calls.len());
    for (i, call) in calls.iter().enumerate() {
        let Some(how) = combine(call, input)? else { return Ok(None) };
        let place = keys.len() + i;
        let data_type = fields[place].data_type().clone();
        let counted_by = calls.iter().position(|other| counts_values_of(other, call));
        values.push(Value { how, data_type, place: places[place], counted_by });
    }
    let rows_went = !only_comes(&aggregate.input, sources);
    let counted_by = calls.iter().position(counts_rows);
    if rows_went {
        let is_told = |(value, call): (&Value, &AggregateFunction)| {
            value.how != Combine::Sum || value.counted_by.is_some() || is_never_null(call, input)
        };
        if counted_by.is_none() || !values.iter().zip(&calls).all(is_told) {
            return Ok(None);
        }
    }
    let Some(change) = change(&aggregate.input, sources)? else { return Ok(None) };
    let signs: &[(char, Expr)] = &[
        ('p', Expr::Column(Column::new_unqualified(WEIGHT)).gt(lit(0i64))),
        ('m', Expr::Column(Column::new_unqualified(WEIGHT)).lt(lit(0i64))),
    ];
    let signs = if rows_went { signs } else { &signs[..1] };
    let mut parts = Vec::with_capacity(calls.len() * signs.len());
    for (kind, sign) in signs {
        for (i, call) in calls.iter().enumerate() {
            parts.push(Expr::AggregateFunction(only_where(call.clone(), sign)).alias(name(*kind, i)));
        }
    }
    let key_columns =
        keys.iter().enumerate().map(|(i, key)| key.clone().unalias_nested().data.alias(key_name(i)));
    let changed = Aggregate::try_new(Arc::new(change), key_columns.collect(), parts)?;
    Ok(Some(Merge {
        changed: LogicalPlan::Aggregate(changed),
        keys: places[..keys.len()].to_vec(),
        key_types: fields[..keys.len()].iter().map(|field| field.data_type().clone()).collect(),
        values,
        counted_by: counted_by.filter(|_| rows_went),
    }))
}

pub(super) fn call(expr: &Expr) -> Option<AggregateFunction> {
    match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(function) => Some(function),
        _ => None,
    }
}

/// How an aggregate's values are combined; `None` when two values do not tell the whole.
pub(super) fn combine(
    call: &AggregateFunction,
    input: &DFSchema,
) -> Result<Option<Combine>, DataFusionError> {
    let params = &call.params;
    if params.distinct || !params.order_by.is_empty() {
        return Ok(None);
    }
    let data_type = Expr::AggregateFunction(call.clone()).get_type(input)?;
    let is_exact = !data_type.is_floating() && !data_type.is_nested();
    let is_summed = data_type.is_integer() || matches!(data_type, DataType::Decimal128(..));
    Ok(match call.func.name() {
        "count" if params.args.len() == 1 => Some(Combine::Count),
        "sum" if is_summed => Some(Combine::Sum),
        "min" if is_exact => Some(Combine::Least),
        "max" if is_exact => Some(Combine::Greatest),
        _ => None,
    })
}

/// True for `count(*)`: every row counts.
pub(super) fn counts_rows(call: &AggregateFunction) -> bool {
    let params = &call.params;
    let of_literal = matches!(params.args.as_slice(), [Expr::Literal(value, _)] if !value.is_null());
    call.func.name() == "count" && of_literal && params.filter.is_none() && !params.distinct
}

/// True when one counts the values that the other sums.
fn counts_values_of(count: &AggregateFunction, sum: &AggregateFunction) -> bool {
    let (count_params, sum_params) = (&count.params, &sum.params);
    count.func.name() == "count"
        && sum.func.name() == "sum"
        && !count_params.distinct
        && count_params.args.iter().map(uncast).eq(sum_params.args.iter().map(uncast))
        && count_params.filter == sum_params.filter
}

/// A number is cast to a wider one before it is summed, which makes none of its values NULL.
pub(super) fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => uncast(&cast.expr),
        other => other,
    }
}

fn is_never_null(call: &AggregateFunction, input: &DFSchema) -> bool {
    call.params.filter.is_none()
        && call.params.args.iter().all(|arg| arg.nullable(input).is_ok_and(|nullable| !nullable))
}

fn only_where(mut call: AggregateFunction, condition: &Expr) -> AggregateFunction {
    let condition = condition.clone();
    call.params.filter = Some(Box::new(match call.params.filter.take() {
        Some(filter) => filter.and(condition),
        None => condition,
    }));
    call
}

/// True for operators whose rows only come while their inputs' rows do.
pub(super) fn takes_none_back(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Values(_) => true,
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        _ => false,
    }
}

/// True when the change of a plan holds no rows that went.
pub(super) fn only_comes(plan: &LogicalPlan, sources: &Sources) -> bool {
    // Rows leave a filter while time passes.
    let stays = sources.since.is_none() || !asks_itself(plan);
    takes_none_back(plan)
        && stays
        && sources.tables.values().all(|source| source.deleted.is_empty())
        && plan.inputs().into_iter().all(|input| only_comes(input, sources))
}
