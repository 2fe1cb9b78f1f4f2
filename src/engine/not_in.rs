//! `x NOT IN (1, 2) OR x NOT IN (3, 4)` and `x IN (1, 2) AND x IN (3, 4)` where x is NULL.
//!
//! Both are NULL then. Of the first DataFusion 55 makes `x NOT IN` what both lists have of it, and true where they have
//! nothing in common: rows without an x come through WHERE. Of the second it makes false, which a NOT around it turns to
//! true; so it does of `x IN (1, 2) AND x NOT IN (1, 2)`. Lists that stand so are spelt out, as comparisons that are left
//! alone, or put where x is not NULL.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Case, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{
    conjunction, disjunction, split_binary_owned, split_conjunction_owned,
};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, lit, when};
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
        if !has_lists(&plan)? {
            return Ok(Transformed::no(plan));
        }
        // For what WHERE lets through, NULL is as good as false.
        if let LogicalPlan::Filter(filter) = plan {
            let mut changed = false;
            let mut conditions = vec![];
            for condition in split_conjunction_owned(filter.predicate) {
                let spelt = condition.transform_down(spelt_out)?;
                changed |= spelt.transformed;
                conditions.push(spelt.data);
            }
            let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
            let filter = LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?);
            return Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) });
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_down(spelt_out)?.update_data(|expr| name.restore(expr)))
        })
    }
}

/// Lists are merged with others.
fn has_lists(plan: &LogicalPlan) -> Result<bool> {
    let mut lists = 0;
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            lists += usize::from(matches!(expr, Expr::InList(_)));
            Ok(if lists > 1 { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(lists > 1)
}

fn spelt_out(expr: Expr) -> Result<Transformed<Expr>> {
    match &expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => Ok(alternatives(expr)),
        Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => conditions(expr),
        // What has been made of lists.
        Expr::Case(Case { expr: None, when_then_expr, .. }) if matches!(when_then_expr.as_slice(), [(when, _)] if matches!(**when, Expr::IsNull(_))) => {
            Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump))
        }
        _ => Ok(Transformed::no(expr)),
    }
}

fn alternatives(expr: Expr) -> Transformed<Expr> {
    let alternatives = split_binary_owned(expr.clone(), Operator::Or);
    let lists = lists_of(&alternatives, |list| list.negated);
    let merges = |of: &Expr| lists.iter().filter(|other| *other.expr == *of).count() > 1;
    if !lists.iter().any(|list| merges(&list.expr)) {
        return Transformed::no(expr);
    }
    let spelt = alternatives.iter().map(|alternative| match alternative {
        Expr::InList(InList { expr, list, negated: true }) if merges(expr) => {
            let differs = list.iter().map(|value| expr.as_ref().clone().not_eq(value.clone()));
            conjunction(differs).unwrap_or_else(|| alternative.clone())
        }
        other => other.clone(),
    });
    disjunction(spelt).map_or_else(|| Transformed::no(expr), Transformed::yes)
}

/// Lists of one value, if it has to be in any of them, are only looked at where there is a value.
fn conditions(expr: Expr) -> Result<Transformed<Expr>> {
    let conditions = split_binary_owned(expr.clone(), Operator::And);
    let positive = lists_of(&conditions, |list| !list.negated);
    let lists = lists_of(&conditions, |_| true);
    let Some(of) = positive
        .iter()
        .map(|list| &list.expr)
        .find(|of| lists.iter().filter(|other| other.expr == **of).count() > 1)
    else {
        return Ok(Transformed::no(expr));
    };
    let (merged, others): (Vec<Expr>, Vec<Expr>) = conditions
        .iter()
        .cloned()
        .partition(|condition| matches!(condition, Expr::InList(list) if list.expr == *of));
    let Some(merged) = conjunction(merged) else { return Ok(Transformed::no(expr)) };
    let guarded = when(of.as_ref().clone().is_null(), lit(ScalarValue::Boolean(None))).otherwise(merged)?;
    let spelt = conjunction([guarded].into_iter().chain(others)).unwrap_or(expr);
    // What is guarded stays as it is.
    Ok(Transformed::new(spelt, true, TreeNodeRecursion::Jump))
}

fn lists_of(exprs: &[Expr], is_meant: fn(&InList) -> bool) -> Vec<&InList> {
    let lists = exprs.iter().filter_map(|expr| match expr {
        Expr::InList(list) if is_meant(list) => Some(list),
        _ => None,
    });
    lists.collect()
}
