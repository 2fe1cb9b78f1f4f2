//! A query as a chain: aggregates whose state the query does not show become tables of their own, hidden ones.
//!
//! ```text
//! SELECT region, avg(x) FROM a JOIN b ... GROUP BY region HAVING count(*) > 9 ORDER BY 2 LIMIT 5
//!
//! state 1   SELECT region AS k0, count(*) AS n, sum(x) AS v0, count(x) AS c0 FROM a JOIN b ... GROUP BY region
//! the query SELECT k0, average_of(v0, c0) FROM state 1 WHERE n > 9 ORDER BY 2 LIMIT 5
//! ```
//!
//! A state shows all that its own upkeep needs ([`super::merge`]), rows that go included, and above it the query meets
//! one row a group instead of all the rows that make it. An aggregate over everything is a state of at most one row. The
//! first rows of an order are one of some more of them ([`super::best`]). What must see all of its input whenever a row
//! changes (a window without partitions) has that input kept as a hidden table, so that it need not be computed as well.
//! States come in order: later ones may read earlier ones.

use super::average::average;
use super::best::{Best, best, candidates, order_of, ordering};
use super::clock::asks_itself;
use super::merge::{Combine, call, combine, counts_rows, takes_none_back};
use super::top::top;
use super::{Derived, HIDDEN_SCHEMA, group_keys, key_name, name_of, partition_keys};
use crate::lake::{TableName, query_schema, storable};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, JoinType, NullEquality, TableReference};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, Join, JoinConstraint, LogicalPlan, LogicalPlanBuilder, LogicalTableSource, Projection,
    TableScan, cast, ident, lit,
};
use std::sync::Arc;

/// A hidden aggregate.
#[derive(Debug)]
pub(in crate::refresh) struct State {
    pub(in crate::refresh) name: TableName,
    /// Its columns as they are stored.
    pub(in crate::refresh) schema: SchemaRef,
    /// Groups `k0`, `k1`..., the count of their rows `n`, then for each aggregate its value `v0`... and, for sums, the
    /// count of its values `c0`...
    pub(in crate::refresh) plan: LogicalPlan,
    /// The plan's rows are the first of an order, and not all of them are needed.
    pub(in crate::refresh) best: Option<Best>,
}

impl State {
    /// The plan that its rows are taken from.
    pub(in crate::refresh) fn rows(&self) -> Result<&LogicalPlan, DataFusionError> {
        if self.best.is_some() { candidates(&self.plan) } else { Ok(&self.plan) }
    }
}

/// A query over hidden aggregates; scans of these have no rows yet.
#[derive(Debug)]
pub(in crate::refresh) struct Split {
    pub(in crate::refresh) states: Vec<State>,
    pub(in crate::refresh) query: LogicalPlan,
}

impl Split {
    /// The chain over tables of the same columns that hold no rows.
    pub(in crate::refresh) fn without_rows(&self) -> Result<Self, DataFusionError> {
        let empty = |plan: &LogicalPlan| {
            plan.clone().transform_up(|node| {
                let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
                let source = Arc::new(LogicalTableSource::new(scan.source.schema()));
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan.clone() })))
            })
        };
        let state = |state: &State| {
            let State { name, schema, plan, best } = state;
            let (name, schema, best) = (name.clone(), Arc::clone(schema), best.clone());
            Ok(State { name, schema, plan: empty(plan)?.data, best })
        };
        let states = self.states.iter().map(state).collect::<Result<_, DataFusionError>>()?;
        Ok(Self { states, query: empty(&self.query)?.data })
    }

    /// True while its tables, hidden ones aside, have the columns that it was made for.
    pub(in crate::refresh) fn fits(
        &self,
        columns: impl Fn(&TableName) -> Option<SchemaRef>,
    ) -> Result<bool, DataFusionError> {
        let mut fits = true;
        for plan in self.states.iter().map(|state| &state.plan).chain([&self.query]) {
            plan.apply(|node| {
                if let LogicalPlan::TableScan(scan) = node {
                    let name = name_of(&scan.table_name);
                    fits &= name.schema == HIDDEN_SCHEMA || columns(&name) == Some(scan.source.schema());
                }
                Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })?;
        }
        Ok(fits)
    }
}

/// The query as a chain. `stores_all`: what is stored of the query are all its rows. `named` names the states; `loses`
/// tells of which tables rows may go.
pub(in crate::refresh) fn split(
    plan: &LogicalPlan,
    stores_all: bool,
    named: impl Fn(usize) -> TableName,
    loses: impl Fn(&TableName) -> bool,
) -> Derived<Split> {
    // The aggregate that a query ends in stands above all others: going up, it comes last.
    let mut to_come = 0;
    plan.apply(|node| {
        to_come += usize::from(matches!(node, LogicalPlan::Aggregate(_)));
        Ok(TreeNodeRecursion::Continue)
    })?;
    let keeps_itself = match top(plan).map(|top| top.node) {
        Some(LogicalPlan::Aggregate(aggregate)) => is_own_state(plan, aggregate, stores_all, &loses)?,
        _ => false,
    };
    let mut states: Vec<State> = Vec::new();
    let query = plan.clone().transform_up(|node| {
        if let LogicalPlan::Aggregate(aggregate) = &node {
            to_come -= 1;
            if to_come == 0 && keeps_itself {
                return Ok(Transformed::no(node));
            }
            let made = |name| state(aggregate, name);
            return match once(&mut states, &named, made)? {
                Some(seen) => Ok(Transformed::yes(seen)),
                None => Ok(Transformed::no(node)),
            };
        }
        if let LogicalPlan::Limit(limit) = &node
            && let Some(sort) = order_of(&limit.input)
        {
            let made = |name: TableName| match best(limit, sort, name.clone())? {
                None if !reads_only_hidden(&sort.input)? => kept(&sort.input, name),
                best => Ok(best),
            };
            return match once(&mut states, &named, made)? {
                Some(seen) => Ok(Transformed::yes(ordering(&node, &seen)?)),
                None => Ok(Transformed::no(node)),
            };
        }
        let [input] = node.inputs()[..] else { return Ok(Transformed::no(node)) };
        if !sees_all(&node) || reads_only_hidden(input)? {
            return Ok(Transformed::no(node));
        }
        match once(&mut states, &named, |name| kept(input, name))? {
            Some(seen) => Ok(Transformed::yes(node.with_new_exprs(node.expressions(), vec![seen])?)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(Split { states, query: query.data })
}

/// What the query sees of a state, which is one of those that there are already where it holds the same rows.
fn once(
    states: &mut Vec<State>,
    named: impl Fn(usize) -> TableName,
    made: impl Fn(TableName) -> Result<Option<(State, LogicalPlan)>, DataFusionError>,
) -> Result<Option<LogicalPlan>, DataFusionError> {
    let Some((state, seen)) = made(named(states.len()))? else { return Ok(None) };
    if let Some(same) = states.iter().find(|other| other.plan == state.plan) {
        return Ok(made(same.name.clone())?.map(|(_, seen)| seen));
    }
    states.push(state);
    Ok(Some(seen))
}

/// True for operators whose rows may all change when one row of their input does.
fn sees_all(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Window(window) => partition_keys(window).is_err(),
        _ => false,
    }
}

/// True when a plan does no more than pick and show rows of a hidden table.
pub(super) fn reads_only_hidden(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut only = true;
    plan.apply(|node| {
        only &= match node {
            LogicalPlan::TableScan(scan) => scan.table_name.schema() == Some(HIDDEN_SCHEMA),
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => true,
            LogicalPlan::Sort(_) | LogicalPlan::Window(_) => true,
            _ => false,
        };
        Ok(if only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(only)
}

/// A plan's rows as a hidden table, and what the query sees of it.
fn kept(plan: &LogicalPlan, name: TableName) -> Result<Option<(State, LogicalPlan)>, DataFusionError> {
    let columns = plan.schema().columns().into_iter().enumerate();
    let columns = columns.map(|(i, column)| Expr::Column(column).alias(format!("v{i}"))).collect();
    let stored = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan.clone()))?);
    let seen = (0..plan.schema().fields().len()).map(|i| ident(format!("v{i}"))).collect();
    hidden(stored, name, seen, plan.schema())
}

/// A plan as a hidden table, and a plan over it that shows `seen` as columns of `schema`.
pub(super) fn hidden(
    plan: LogicalPlan,
    name: TableName,
    seen: Vec<Expr>,
    schema: &DFSchema,
) -> Result<Option<(State, LogicalPlan)>, DataFusionError> {
    let Ok(stored) = storable(plan.schema().as_arrow()) else { return Ok(None) };
    let fields = stored.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let stored: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let source = Arc::new(LogicalTableSource::new(query_schema(&stored)));
    let table = TableReference::partial(name.schema.clone(), name.name.clone());
    let scan = LogicalPlanBuilder::scan(table, source, None)?.build()?;
    let seen = seen.into_iter().zip(schema.iter()).map(|(value, (qualifier, field))| {
        cast(value, field.data_type().clone()).alias_qualified(qualifier.cloned(), field.name().clone())
    });
    let seen = LogicalPlan::Projection(Projection::try_new(seen.collect(), Arc::new(scan))?);
    Ok(Some((State { name, schema: stored, plan, best: None }, seen)))
}

/// True when the stored rows of the query are all the state that its last aggregate needs.
fn is_own_state(
    plan: &LogicalPlan,
    aggregate: &Aggregate,
    stores_all: bool,
    loses: impl Fn(&TableName) -> bool,
) -> Result<bool, DataFusionError> {
    let Some(calls) = aggregate.aggr_expr.iter().map(call).collect::<Option<Vec<_>>>() else {
        return Ok(true);
    };
    for call in &calls {
        // What has no state at all is computed by affected keys where it stands.
        if part(call, aggregate.input.schema())?.is_none() {
            return Ok(true);
        }
    }
    let is_shown = top(plan)
        .is_some_and(|top| !top.is_filtered && top.shown(0..aggregate.schema.fields().len()).is_some());
    let is_average = |call: &AggregateFunction| call.func.name() == "avg";
    if aggregate.group_expr.is_empty() || !is_shown || !stores_all || calls.iter().any(is_average) {
        return Ok(false);
    }
    let mut only_comes = true;
    aggregate.input.apply(|node| {
        only_comes &= match node {
            // Its rows leave while time passes.
            LogicalPlan::Filter(_) => !asks_itself(node),
            LogicalPlan::TableScan(scan) => !loses(&name_of(&scan.table_name)),
            other => takes_none_back(other),
        };
        Ok(if only_comes { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(only_comes)
}

/// What is kept of an aggregate call.
pub(super) enum Part {
    /// Its value.
    Value,
    /// Its value and how many values made it.
    Sum,
    /// The sum of its values and how many they are.
    Average,
}

pub(super) fn part(call: &AggregateFunction, input: &DFSchema) -> Result<Option<Part>, DataFusionError> {
    let params = &call.params;
    if call.func.name() == "avg" && !params.distinct && params.order_by.is_empty() {
        let of_decimals = matches!(
            params.args.first().map(|arg| datafusion::logical_expr::ExprSchemable::get_type(arg, input)),
            Some(Ok(DataType::Decimal128(..)))
        );
        return Ok(of_decimals.then_some(Part::Average));
    }
    Ok(combine(call, input)?.map(|how| match how {
        Combine::Sum => Part::Sum,
        Combine::Count | Combine::Least | Combine::Greatest => Part::Value,
    }))
}

/// The aggregate as a state, and what the query sees of it; `None` when it has none.
fn state(aggregate: &Aggregate, name: TableName) -> Result<Option<(State, LogicalPlan)>, DataFusionError> {
    let over_all = aggregate.group_expr.is_empty();
    let groups = match group_keys(aggregate) {
        Ok(keys) => keys,
        Err(_) if over_all => vec![lit(true)],
        Err(_) => return Ok(None),
    };
    let shown = if over_all { 0 } else { groups.len() };
    let input = aggregate.input.schema();
    let rows = Expr::AggregateFunction(AggregateFunction::new_udf(
        count_udaf(),
        vec![lit(1i64)],
        false,
        None,
        Vec::new(),
        None,
    ));
    let mut kept = vec![rows.alias("n")];
    let mut seen: Vec<Expr> = (0..shown).map(|i| ident(key_name(i))).collect();
    for (i, expr) in aggregate.aggr_expr.iter().enumerate() {
        let Some(call) = call(expr) else { return Ok(None) };
        let Some(part) = part(&call, input)? else { return Ok(None) };
        if counts_rows(&call) {
            seen.push(ident("n"));
            continue;
        }
        let (value, counted) = (format!("v{i}"), format!("c{i}"));
        let of_same = |func| {
            let params = call.params.clone();
            Expr::AggregateFunction(AggregateFunction { func, params })
        };
        match part {
            Part::Value => kept.push(Expr::AggregateFunction(call).alias(&value)),
            Part::Sum | Part::Average => {
                kept.push(of_same(sum_udaf()).alias(&value));
                kept.push(of_same(count_udaf()).alias(&counted));
            }
        }
        seen.push(match part {
            Part::Value | Part::Sum => ident(value),
            Part::Average => {
                let result = aggregate.schema.field(shown + i).data_type();
                average(ident(value), ident(counted), result)
            }
        });
    }
    let named = groups.iter().enumerate();
    let named = named.map(|(i, group)| group.clone().unalias_nested().data.alias(key_name(i))).collect();
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(&aggregate.input), named, kept)?);
    let Some((state, seen)) = hidden(plan, name, seen, &aggregate.schema)? else { return Ok(None) };
    Ok(Some((state, if over_all { always(seen, aggregate)? } else { seen })))
}

/// An aggregate over everything has a row also when its state has none: then counts are 0 and all else is NULL.
fn always(seen: LogicalPlan, aggregate: &Aggregate) -> Result<LogicalPlan, DataFusionError> {
    let one = LogicalPlanBuilder::empty(true).project(vec![lit(true).alias("one")])?.build()?;
    let LogicalPlan::Projection(seen) = seen else { return Ok(seen) };
    let joined = Join::try_new(
        Arc::new(one),
        Arc::clone(&seen.input),
        vec![(ident("one"), ident(key_name(0)))],
        None,
        JoinType::Left,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    let joined = LogicalPlan::Join(joined);
    let values = seen.expr.into_iter().zip(&aggregate.aggr_expr).map(|(value, of)| {
        let counts = call(of).is_some_and(|call| call.func.name() == "count");
        if !counts {
            return value;
        }
        let (qualifier, name) = value.qualified_name();
        coalesce(vec![value.unalias(), lit(0i64)]).alias_qualified(qualifier, name)
    });
    Ok(LogicalPlan::Projection(Projection::try_new(values.collect(), Arc::new(joined))?))
}
