//! The time as an input: what a filter's rows do while it passes.
//!
//! ```text
//! old = F_t0(I_old)    new = F_t1(I_new)    Δ = F_t1(ΔI)  ∪  F_t1(I_old) - F_t0(I_old)
//!
//! WHERE ts >= now() - interval    leave: ts >= t0 - interval AND ts < t1 - interval
//! ```
//!
//! What enters and what leaves lies between two bounds, so that files are pruned by them. `now()` and its like stay in plans
//! of the new side, where the engine fixes them; on the old side they are the time of the last refresh.

use super::{Derived, Sources, before, no_rule, union_of, weighted};
use crate::lake::TableName;
use chrono::{DateTime, Utc};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, binary_expr, lit};
use std::sync::Arc;

/// The time among what a model has consumed: its version is a refresh's `now()`, in microseconds since 1970.
pub(in crate::refresh) fn clock_input() -> TableName {
    TableName::new("sluice", "clock")
}

/// The clock's version at a time.
pub(in crate::refresh) fn clock_version(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// True for the functions whose value is the refresh's time.
fn is_clock(expr: &Expr) -> bool {
    const FUNCTIONS: [&str; 3] = ["now", "current_date", "current_time"];
    matches!(expr, Expr::ScalarFunction(call) if FUNCTIONS.contains(&call.name()))
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|part| Ok(is_clock(part))).unwrap_or(true)
}

/// True when an operator itself asks for the time. Of a scan's filters, which only prune, nothing follows.
pub(super) fn asks_itself(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::TableScan(_)) && plan.expressions().iter().any(asks)
}

/// True when an operator above `input` asks for the time, which has moved: keys whose rows did not change are affected too.
pub(super) fn asks_above(plan: &LogicalPlan, input: &LogicalPlan, sources: &Sources) -> bool {
    let mut node = plan;
    while sources.since.is_some() && !std::ptr::eq(node, input) {
        let [below] = node.inputs()[..] else { return asks_itself(node) };
        if asks_itself(node) {
            return true;
        }
        node = below;
    }
    false
}

/// True when the rows of a plan depend on the time.
pub(in crate::refresh) fn asks_for_time(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    plan.exists(|node| Ok(asks_itself(node)))
}

/// Refuses an operator that asks for the time and is no filter.
pub(super) fn only_filters(plan: &LogicalPlan, sources: &Sources) -> Derived<()> {
    match sources.since.is_some() && !matches!(plan, LogicalPlan::Filter(_)) && asks_itself(plan) {
        true => no_rule("the time has a rule in conditions of WHERE and HAVING alone"),
        false => Ok(()),
    }
}

/// A plan at a time of the past.
pub(super) fn plan_at(plan: LogicalPlan, time: DateTime<Utc>) -> Result<LogicalPlan, DataFusionError> {
    let replaced = plan.transform_up(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(at(expr, time)?.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(replaced.data)
}

/// An expression at a time, by the engine's own functions.
fn at(expr: Expr, time: DateTime<Utc>) -> Result<Transformed<Expr>, DataFusionError> {
    let then = SimplifyContext::builder().with_query_execution_start_time(Some(time)).build();
    expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(call) if is_clock(&Expr::ScalarFunction(call.clone())) => {
            match call.func.simplify(call.args.clone(), &then)? {
                ExprSimplifyResult::Simplified(value) => Ok(Transformed::yes(value)),
                ExprSimplifyResult::Original(_) => {
                    Err(DataFusionError::Plan(format!("{} does not tell the time", call.name())))
                }
            }
        }
        other => Ok(Transformed::no(other)),
    })
}

/// The rows of a filter's old input that enter and leave it while the time passes.
pub(super) fn passing(filter: &Filter, sources: &Sources) -> Derived<Option<LogicalPlan>> {
    let Some(since) = sources.since else { return Ok(None) };
    if !asks(&filter.predicate) {
        return Ok(None);
    }
    let conditions: Vec<Expr> =
        split_conjunction_owned(filter.predicate.clone()).into_iter().flat_map(without_between).collect();
    let (moving, still): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(asks);
    let then = moving.iter().map(|condition| Ok(at(condition.clone(), since)?.data));
    let then = then.collect::<Result<Vec<Expr>, DataFusionError>>()?;
    let input = without_moving_filters(LogicalPlan::clone(&filter.input))?;
    let still = conjunction(still).unwrap_or(lit(true));
    let input = LogicalPlan::Filter(Filter::try_new(still, Arc::new(before(&input, sources)?))?);
    let input = Arc::new(input);
    Ok(Some(union_of(vec![passed(&input, &moving, &then, 1)?, passed(&input, &then, &moving, -1)?])?))
}

/// The rows for which all of `holds` is true and not all of `no_more`.
pub(super) fn passed(
    input: &Arc<LogicalPlan>,
    holds: &[Expr],
    no_more: &[Expr],
    weight: i64,
) -> Derived<LogicalPlan> {
    let ended = disjunction(no_more.iter().map(is_not_true)).unwrap_or(lit(false));
    let predicate = conjunction(holds.iter().cloned().chain([ended])).unwrap_or(lit(true));
    weighted(LogicalPlan::Filter(Filter::try_new(predicate, Arc::clone(input))?), weight)
}

/// `a BETWEEN b AND c` as two conditions.
fn without_between(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Between(Between { expr, negated: false, low, high }) => {
            vec![expr.clone().gt_eq(*low), expr.lt_eq(*high)]
        }
        other => vec![other],
    }
}

/// What holds where a condition does not; as a comparison where that can be, since files are pruned by those.
fn is_not_true(condition: &Expr) -> Expr {
    if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition {
        let opposite = match op {
            Operator::Lt => Some(Operator::GtEq),
            Operator::LtEq => Some(Operator::Gt),
            Operator::Gt => Some(Operator::LtEq),
            Operator::GtEq => Some(Operator::Lt),
            _ => None,
        };
        let bounds =
            [left, right].into_iter().filter(|side| side.column_refs().is_empty()).collect::<Vec<_>>();
        // The column is not NULL where the condition held at the other time.
        if let (Some(opposite), [bound]) = (opposite, bounds.as_slice())
            && [left, right].into_iter().filter(|side| !std::ptr::eq(*side, *bound)).all(|side| !asks(side))
        {
            let opposite = binary_expr(left.as_ref().clone(), opposite, right.as_ref().clone());
            return opposite.or(bound.as_ref().clone().is_null());
        }
    }
    Expr::IsNotTrue(Box::new(condition.clone()))
}

/// The plan without what its scans prune by at one time: rows of two times are looked for.
fn without_moving_filters(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let scanning = plan.transform_up(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            scan.filters.retain(|filter| !asks(filter));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(scanning.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::functions::expr_fn::now;
    use datafusion::logical_expr::col;

    #[test]
    fn what_ends_is_a_comparison() {
        let ended = |condition: Expr| is_not_true(&condition).to_string();
        assert_eq!(ended(col("ts").gt_eq(now())), "ts < now() OR now() IS NULL");
        assert_eq!(ended(now().lt(col("ts"))), "now() >= ts OR now() IS NULL");
        assert_eq!(ended(col("ts").eq(now())), "ts = now() IS NOT TRUE");
        assert_eq!(ended((col("ts") - now()).gt(lit(1))), "ts - now() > Int32(1) IS NOT TRUE");
    }

    #[test]
    fn an_expression_is_fixed_at_a_time() {
        let time = DateTime::from_timestamp_micros(86_400_000_007).unwrap();
        assert!(!asks(&at(now(), time).unwrap().data));
        assert!(at(now(), time).unwrap().data.to_string().contains("86400000007000"));
    }
}
