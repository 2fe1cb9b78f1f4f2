//! Aggregates whose new value is their old value and that of the rows that came: the stored rows are their state.
//!
//! Holds while rows only come and all is exact: a sum of integers or decimals, a count, a least or greatest value. A row
//! that goes may take a group or an extremum with it, which the stored values alone do not tell.

use super::top::top;
use super::{Derived, Sources, WEIGHT, change, group_keys, restrict};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DataFusionError};
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable as _, Filter, LogicalPlan, LogicalPlanBuilder, Projection, TableSource,
    cast, ident, lit,
};
use std::sync::Arc;

/// How two values of a group become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combine {
    Key,
    Sum,
    Least,
    Greatest,
}

/// A query that ends in such aggregates, all of them shown as they are.
pub(in crate::refresh) struct Merge {
    /// The query over the rows that came, as columns `c0`, `c1`...: keys first.
    pub(in crate::refresh) came: LogicalPlan,
    /// Where the key's columns stand in the result.
    pub(in crate::refresh) keys: Vec<usize>,
    columns: Vec<Merged>,
}

/// A column of the operator.
struct Merged {
    how: Combine,
    data_type: DataType,
    /// Its place in the result.
    place: usize,
}

impl Merge {
    /// The result's types, for each of its places that a column stands at.
    pub(in crate::refresh) fn types(&self) -> impl Iterator<Item = (usize, &DataType)> {
        self.columns.iter().map(|column| (column.place, &column.data_type))
    }

    /// The result's rows for the keys that came: `came` is what [`Merge::came`] gave, `affected` its keys (a scan called
    /// [`super::KEYS`] of columns `k0`...), `stored` the rows that stand.
    pub(in crate::refresh) fn rows(
        &self,
        came: LogicalPlan,
        affected: LogicalPlan,
        stored: Arc<dyn TableSource>,
        places: usize,
    ) -> Derived<LogicalPlan> {
        let names: Vec<String> = stored.schema().fields().iter().map(|field| field.name().clone()).collect();
        let stood = LogicalPlanBuilder::scan("__stored", stored, None)?;
        let stood = stood.project(self.columns.iter().enumerate().map(|(i, column)| {
            cast(ident(&names[column.place]), column.data_type.clone()).alias(column_name(i))
        }))?;
        let keys: Vec<Expr> = (0..self.keys.len()).map(|i| ident(column_name(i))).collect();
        let stood = restrict(stood.build()?, &keys, affected)?;
        let both = LogicalPlanBuilder::from(came).union(stood)?;
        let combined = self.columns.iter().enumerate().filter_map(|(i, column)| {
            let value = ident(column_name(i));
            let combined = match column.how {
                Combine::Key => return None,
                Combine::Sum => sum(value),
                Combine::Least => min(value),
                Combine::Greatest => max(value),
            };
            Some(combined.alias(column_name(i)))
        });
        let merged = both.aggregate(keys, combined.collect::<Vec<_>>())?.build()?;
        let mut result = Vec::with_capacity(places);
        for place in 0..places {
            let Some(i) = self.columns.iter().position(|column| column.place == place) else {
                return super::no_rule("a column is not the aggregate's own");
            };
            let value = cast(ident(column_name(i)), self.columns[i].data_type.clone());
            result.push(value.alias(format!("r{place}")));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(result, Arc::new(merged))?))
    }
}

fn column_name(position: usize) -> String {
    format!("c{position}")
}

/// The query as one whose stored rows are its state; `None` when they are not, or when rows went.
pub(in crate::refresh) fn merge(plan: &LogicalPlan, sources: &Sources) -> Derived<Option<Merge>> {
    let Some(top) = top(plan) else { return Ok(None) };
    let LogicalPlan::Aggregate(aggregate) = top.node else { return Ok(None) };
    let Ok(keys) = group_keys(aggregate) else { return Ok(None) };
    if top.is_filtered || !only_comes(&aggregate.input, sources) {
        return Ok(None);
    }
    let fields = aggregate.schema.fields();
    // Every column of the operator shows, and every column of the result is one of them.
    let Some(places) = top.shown(0..fields.len()) else { return Ok(None) };
    if top.places.len() != fields.len() {
        return Ok(None);
    }
    let mut columns = Vec::with_capacity(fields.len());
    for (position, place) in places.iter().enumerate() {
        let how = match position.checked_sub(keys.len()) {
            None => Combine::Key,
            Some(value) => match combine(&aggregate.aggr_expr[value], aggregate)? {
                Some(how) => how,
                None => return Ok(None),
            },
        };
        columns.push(Merged { how, data_type: fields[position].data_type().clone(), place: *place });
    }
    let Some(changed) = change(&aggregate.input, sources)? else { return Ok(None) };
    let came = Aggregate::try_new(Arc::new(unweighted(changed)?), keys.clone(), aggregate.aggr_expr.clone())?;
    let named = came.schema.columns().into_iter().enumerate();
    let named = named.map(|(i, column)| Expr::Column(column).alias(column_name(i))).collect();
    let came = Projection::try_new(named, Arc::new(LogicalPlan::Aggregate(came)))?;
    let keys = places[..keys.len()].to_vec();
    Ok(Some(Merge { came: LogicalPlan::Projection(came), keys, columns }))
}

/// How an aggregate's values are combined; `None` when two values do not tell the whole.
fn combine(expr: &Expr, aggregate: &Aggregate) -> Result<Option<Combine>, DataFusionError> {
    let Expr::AggregateFunction(function) = expr.clone().unalias_nested().data else { return Ok(None) };
    if function.params.distinct {
        return Ok(None);
    }
    let data_type = expr.get_type(aggregate.input.schema())?;
    let is_exact = !data_type.is_floating() && !data_type.is_nested();
    Ok(match function.func.name() {
        "count" => Some(Combine::Sum),
        "sum" if is_exact => Some(Combine::Sum),
        "min" if is_exact => Some(Combine::Least),
        "max" if is_exact => Some(Combine::Greatest),
        _ => None,
    })
}

/// True when the change of a plan holds no rows that went.
fn only_comes(plan: &LogicalPlan, sources: &Sources) -> bool {
    let passes = match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_) => true,
        LogicalPlan::Join(join) => join.join_type == datafusion::common::JoinType::Inner,
        _ => false,
    };
    passes
        && sources.values().all(|source| source.deleted.is_none())
        && plan.inputs().into_iter().all(|input| only_comes(input, sources))
}

/// The rows of a change that all weigh one, without the weight.
fn unweighted(changed: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let columns = changed.schema().columns();
    let columns = columns.into_iter().filter(|column| column.name != WEIGHT).map(Expr::Column).collect();
    // Planned away; says what is relied on.
    let ones =
        Filter::try_new(Expr::Column(Column::new_unqualified(WEIGHT)).eq(lit(1i64)), Arc::new(changed))?;
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Filter(ones)))?))
}
