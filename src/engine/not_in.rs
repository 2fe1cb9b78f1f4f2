//! `x NOT IN (1, 2) OR x NOT IN (3, 4)` where x is NULL.
//!
//! It is NULL then. DataFusion 55 makes `x NOT IN` what both lists have of it, and true where they have nothing in common:
//! rows without an x come through WHERE. Lists that stand so are spelt out, as comparisons that are left alone.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_binary_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Spells out lists that would be merged. Has to come before expressions are simplified.
#[derive(Debug)]
pub(super) struct NotIn;

impl OptimizerRule for NotIn {
    fn name(&self) -> &str {
        "not_in"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(spelt_out)?.update_data(|expr| name.restore(expr)))
        })
    }
}

fn spelt_out(expr: Expr) -> Result<Transformed<Expr>> {
    if !matches!(&expr, Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. })) {
        return Ok(Transformed::no(expr));
    }
    let alternatives = split_binary_owned(expr.clone(), Operator::Or);
    let lists: Vec<&Expr> =
        alternatives.iter().filter_map(|alternative| Some(&*not_in(alternative)?.expr)).collect();
    let merges = |of: &Expr| lists.iter().filter(|other| **other == of).count() > 1;
    if !lists.iter().any(|of| merges(of)) {
        return Ok(Transformed::no(expr));
    }
    let spelt = alternatives.iter().map(|alternative| {
        let list = not_in(alternative).filter(|list| merges(&list.expr));
        let differs = list.map(|InList { expr, list, .. }| {
            list.iter().map(|value| expr.as_ref().clone().not_eq(value.clone()))
        });
        differs.and_then(conjunction).unwrap_or_else(|| alternative.clone())
    });
    Ok(disjunction(spelt).map_or_else(|| Transformed::no(expr), Transformed::yes))
}

fn not_in(expr: &Expr) -> Option<&InList> {
    match expr {
        Expr::InList(list) if list.negated => Some(list),
        _ => None,
    }
}
