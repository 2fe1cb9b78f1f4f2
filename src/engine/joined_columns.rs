//! What a later `JOIN ... USING (k)` compares with: the value that the joins before it made of all their `k`.
//!
//! DataFusion 55 compares with the leftmost table's column, which behind a FULL or RIGHT JOIN is NULL in rows that only the
//! other side has.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinConstraint as Constraint, not_impl_err};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan};
use datafusion::sql::sqlparser::ast::{JoinConstraint, JoinOperator, Select, Statement, Visit as _, Visitor};
use std::ops::ControlFlow;

/// Refuses what would have the left table's columns where they have to be the other's, too: nothing tells them in a plan.
pub(super) fn refuse_natural(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Natural) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(kind) => {
            not_impl_err!("NATURAL {kind} JOIN is not supported: name the columns, JOIN ... USING (...)")
        }
    }
}

struct Natural;

impl Visitor for Natural {
    type Break = &'static str;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<&'static str> {
        for join in select.from.iter().flat_map(|tables| &tables.joins) {
            match &join.join_operator {
                JoinOperator::FullOuter(JoinConstraint::Natural) => return ControlFlow::Break("FULL"),
                JoinOperator::Right(JoinConstraint::Natural)
                | JoinOperator::RightOuter(JoinConstraint::Natural) => return ControlFlow::Break("RIGHT"),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// The same plan, whose joins compare the joined columns of those below them.
pub(super) fn compared(plan: LogicalPlan) -> Result<LogicalPlan> {
    // From above, so that those below still name the columns that they join.
    let compared = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if join.join_constraint == Constraint::Using => {
            let key =
                |side: &LogicalPlan, key: &Expr| key.try_as_col().and_then(|column| merged(side, column));
            let keys = |(left, right): &(Expr, Expr)| (key(&join.left, left), key(&join.right, right));
            let merged: Vec<_> = join.on.iter().map(keys).collect();
            if merged.iter().all(|sides| matches!(sides, (None, None))) {
                return Ok(Transformed::no(LogicalPlan::Join(join)));
            }
            let on = join.on.into_iter().zip(merged);
            let on = on.map(|((left, right), (l, r))| (l.unwrap_or(left), r.unwrap_or(right))).collect();
            let join_constraint = Constraint::On;
            Ok(Transformed::yes(LogicalPlan::Join(Join { on, join_constraint, ..join })))
        }
        node => Ok(Transformed::no(node)),
    });
    Ok(compared?.data)
}

/// What joins below made of a column of one of their tables; `None` where that is the column itself.
fn merged(plan: &LogicalPlan, column: &Column) -> Option<Expr> {
    let LogicalPlan::Join(join) = plan else { return None };
    let is_using = join.join_constraint == Constraint::Using;
    let joined = join.on.iter().find(|(left, _)| is_using && left.try_as_col() == Some(column));
    let Some((left, right)) = joined else {
        let side = if join.left.schema().has_column(column) { &join.left } else { &join.right };
        return merged(side, column);
    };
    let of = |side: &LogicalPlan, key: &Expr| {
        key.try_as_col().and_then(|column| merged(side, column)).unwrap_or_else(|| key.clone())
    };
    match join.join_type {
        JoinType::Full => Some(coalesce(vec![of(&join.left, left), of(&join.right, right)])),
        JoinType::Right => Some(of(&join.right, right)),
        _ => merged(&join.left, column),
    }
}
