//! `SELECT array_agg(x) FROM (SELECT ... ORDER BY y) AS s`: an aggregate that tells the order of its rows takes them in that
//! of the subquery, as PostgreSQL reads them. The engine's aggregates have no order but their own. Where nobody can tell an
//! order, below joins and other aggregates, nothing is sorted.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Sort as Key};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};

/// A plan that has the order of subqueries where it shows, and does without elsewhere.
pub(super) fn of_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let is_sorted = plan.inputs().into_iter().any(is_sorted);
    match plan {
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.iter().any(is_sensitive) => {
            of_aggregate(aggregate)
        }
        plan @ (LogicalPlan::Aggregate(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Distinct(Distinct::All(_))
        | LogicalPlan::Union(_)
        | LogicalPlan::Sort(_))
            if is_sorted =>
        {
            without_order(&plan).map(Transformed::yes)
        }
        plan => Ok(Transformed::no(plan)),
    }
}

/// An aggregate whose calls name the order that their rows come in. One that cannot be named is that in which rows are read.
fn of_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let order = order_of(&aggregate.input);
    let plan = LogicalPlan::Aggregate(aggregate);
    let Some(order) = order else { return Ok(Transformed::no(plan)) };
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|call| {
        let name = names.save(&call);
        Ok(Transformed::yes(name.restore(ordered(call, &order))))
    })?;
    without_order(&plan.data).map(Transformed::yes)
}

fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => {
            plan.inputs().into_iter().any(is_sorted)
        }
        _ => false,
    }
}

/// The same over inputs that are not sorted.
fn without_order(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let inputs = plan.inputs().into_iter().map(unsorted).collect::<Result<_>>()?;
    plan.with_new_exprs(plan.expressions(), inputs)
}

fn unsorted(plan: &LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => unsorted(&sort.input),
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => {
            without_order(plan)
        }
        plan => Ok(plan.clone()),
    }
}

fn is_sensitive(call: &Expr) -> bool {
    match call {
        Expr::Alias(alias) => is_sensitive(&alias.expr),
        Expr::AggregateFunction(call) => takes_order(call),
        _ => false,
    }
}

fn takes_order(call: &AggregateFunction) -> bool {
    let is_insensitive = call.func.order_sensitivity() == AggregateOrderSensitivity::Insensitive;
    !is_insensitive && !call.params.distinct && call.params.order_by.is_empty()
}

fn ordered(call: Expr, order: &[Key]) -> Expr {
    match call {
        Expr::Alias(mut alias) => {
            *alias.expr = ordered(*alias.expr, order);
            Expr::Alias(alias)
        }
        Expr::AggregateFunction(mut call) if takes_order(&call) => {
            call.params.order_by = order.to_vec();
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

/// The order that a subquery's rows come in, by its columns; `None` if there is none, or if they do not tell it.
fn order_of(plan: &LogicalPlan) -> Option<Vec<Key>> {
    match plan {
        LogicalPlan::Sort(sort) => Some(sort.expr.clone()),
        LogicalPlan::Limit(limit) => order_of(&limit.input),
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => {
            let renamed = |column: &Column| {
                let place = alias.input.schema().maybe_index_of_column(column)?;
                Some(Column::from(alias.schema.qualified_field(place)))
            };
            by_columns(order_of(&alias.input)?, renamed)
        }
        LogicalPlan::Projection(projection) => {
            let given = |column: &Column| {
                let is_it = |expr: &Expr| expr.clone().unalias().try_as_col() == Some(column);
                let place = projection.expr.iter().position(is_it)?;
                Some(Column::from(projection.schema.qualified_field(place)))
            };
            by_columns(order_of(&projection.input)?, given)
        }
        _ => None,
    }
}

/// The same order where columns go by other names.
fn by_columns(order: Vec<Key>, name: impl Fn(&Column) -> Option<Column>) -> Option<Vec<Key>> {
    let renamed = order.into_iter().map(|mut key| {
        let mut are_all_known = true;
        let expr = key.expr.transform(|expr| match expr {
            Expr::Column(column) => {
                let known = name(&column);
                are_all_known &= known.is_some();
                Ok(Transformed::yes(Expr::Column(known.unwrap_or(column))))
            }
            other => Ok(Transformed::no(other)),
        });
        key.expr = expr.ok()?.data;
        are_all_known.then_some(key)
    });
    renamed.collect()
}
