//! `SELECT array_agg(x) FROM (SELECT ... ORDER BY y) AS s`: an aggregate that tells the order of its rows takes them in that
//! of the subquery, as PostgreSQL reads them. The engine's aggregates have no order but their own.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Sort as Key;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

/// An aggregate whose calls name the order that their rows come in.
pub(super) fn of_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
    let takes_order = aggregate.aggr_expr.iter().any(is_sensitive);
    let Some(order) = takes_order.then(|| order_of(&aggregate.input)).flatten() else {
        return Ok(Transformed::no(plan));
    };
    let names = NamePreserver::new(&plan);
    let calls = aggregate.aggr_expr.iter().map(|call| {
        let name = names.save(call);
        name.restore(ordered(call.clone(), &order))
    });
    let (input, keys) = (aggregate.input.clone(), aggregate.group_expr.clone());
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(input, keys, calls.collect())?)))
}

fn is_sensitive(call: &Expr) -> bool {
    match call {
        Expr::Alias(alias) => is_sensitive(&alias.expr),
        Expr::AggregateFunction(call) => {
            let params = &call.params;
            let is_insensitive = call.func.order_sensitivity() == AggregateOrderSensitivity::Insensitive;
            !is_insensitive && !params.distinct && params.order_by.is_empty()
        }
        _ => false,
    }
}

fn ordered(call: Expr, order: &[Key]) -> Expr {
    match call {
        Expr::Alias(mut alias) => {
            *alias.expr = ordered(*alias.expr, order);
            Expr::Alias(alias)
        }
        Expr::AggregateFunction(mut call) if is_sensitive(&Expr::AggregateFunction(call.clone())) => {
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
