//! An order names an expression once: for the second time it tells no rows apart.
//!
//! DataFusion 55 leaves the second out of what it sorts by, but not out of what it hands to `first_value` and `last_value`,
//! which panic by group; so does `DISTINCT ON`, which is made of them.

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};

/// The same plan, where no aggregate's order names an expression twice.
pub(super) fn named_once(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut repeats = false;
    plan.apply_with_subqueries(|node| {
        repeats |= repeats_itself(node);
        Ok(if repeats { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !repeats {
        return Ok(plan);
    }
    let once = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => {
            let calls = aggregate.aggr_expr.into_iter().map(once_in).collect::<Result<_>>()?;
            let aggregate = Aggregate::try_new(aggregate.input, aggregate.group_expr, calls)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            on.sort_expr = on.sort_expr.map(once);
            Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(once.data)
}

fn repeats_itself(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Aggregate(aggregate) => aggregate.aggr_expr.iter().any(|call| match call {
            Expr::AggregateFunction(call) => repeats(&call.params.order_by),
            _ => false,
        }),
        LogicalPlan::Distinct(Distinct::On(on)) => on.sort_expr.as_ref().is_some_and(|order| repeats(order)),
        _ => false,
    }
}

fn repeats(order: &[Sort]) -> bool {
    order.iter().enumerate().any(|(at, by)| is_named(&order[..at], by))
}

fn is_named(before: &[Sort], by: &Sort) -> bool {
    before.iter().any(|earlier| earlier.expr == by.expr)
}

/// A call under its old name, which tells its order.
fn once_in(call: Expr) -> Result<Expr> {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = call else { return Ok(call) };
    if !repeats(&params.order_by) {
        return Ok(Expr::AggregateFunction(AggregateFunction { func, params }));
    }
    let named = Expr::AggregateFunction(AggregateFunction { func: func.clone(), params: params.clone() });
    params.order_by = once(params.order_by);
    Ok(Expr::AggregateFunction(AggregateFunction { func, params }).alias(named.schema_name().to_string()))
}

fn once(order: Vec<Sort>) -> Vec<Sort> {
    let mut kept: Vec<Sort> = Vec::new();
    for by in order {
        if !is_named(&kept, &by) {
            kept.push(by);
        }
    }
    kept
}
