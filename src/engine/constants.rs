//! The values of parameters, put into a plan that was optimized without them.

use super::not_in::NotIn;
use crate::ops::opaque::Opaque;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::OptimizerRule as _;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;

/// The plan with a value for each of its parameters, of the type that its place has. What is constant now is computed, so
/// that scans know what is asked of them; the rest of the plan is left as it is.
pub fn with_constants(
    state: &Opaque<SessionState>,
    plan: &LogicalPlan,
    values: &[ScalarValue],
) -> Result<LogicalPlan> {
    let simplify = SimplifyExpressions::new();
    let plan = plan.clone().transform_down_with_subqueries(|node| {
        if !has_parameters(&node)? {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform(|expr| with_value(expr, values))?.update_data(|expr| name.restore(expr)))
        })?;
        let node = node.transform_data(|node| NotIn.rewrite(node, &**state))?;
        node.transform_data(|node| simplify.rewrite(node, &**state))
    })?;
    Ok(plan.data)
}

fn has_parameters(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            found |= matches!(expr, Expr::Placeholder(_));
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

fn with_value(expr: Expr, values: &[ScalarValue]) -> Result<Transformed<Expr>> {
    let Expr::Placeholder(placeholder) = expr else { return Ok(Transformed::no(expr)) };
    let place = placeholder.id.trim_start_matches('$').parse::<usize>().ok();
    let Some(value) = place.and_then(|place| values.get(place.checked_sub(1)?)) else {
        return plan_err!("there is no value for {}", placeholder.id);
    };
    let value = match &placeholder.field {
        Some(field) => value.cast_to(field.data_type())?,
        None => value.clone(),
    };
    Ok(Transformed::yes(Expr::Literal(value, None)))
}
