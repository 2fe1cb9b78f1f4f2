//! Whole numbers are `integer`s in PostgreSQL when they fit, and `bigint`s to the engine.

use super::fragments::cast;
use super::fragments::take;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, GroupByExpr, LimitClause, OrderByKind, Query, Select, TableFactor, Value, VisitorMut,
    WindowFrameBound, WindowType,
};
use std::ops::ControlFlow;

/// `1` is `CAST(1 AS INT)`.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Value(value) => {
            if let Value::Number(digits, false) = &value.value
                && digits.parse::<i32>().is_ok()
            {
                *expr = cast(take(expr), DataType::Int(None));
            }
        }
        Expr::Interval(interval) => plain(&mut interval.value),
        Expr::Function(function) => {
            if let Some(WindowType::WindowSpec(spec)) = &mut function.over
                && let Some(frame) = &mut spec.window_frame
            {
                bound(&mut frame.start_bound);
                frame.end_bound.iter_mut().for_each(bound);
            }
        }
        _ => {}
    }
}

fn bound(bound: &mut WindowFrameBound) {
    if let WindowFrameBound::Preceding(Some(rows)) | WindowFrameBound::Following(Some(rows)) = bound {
        plain(rows);
    }
}

/// The number as it was written.
fn plain(expr: &mut Expr) {
    if let Expr::Cast { expr: inner, data_type: DataType::Int(None), .. } = expr
        && matches!(inner.as_ref(), Expr::Value(value) if matches!(value.value, Value::Number(..)))
    {
        *expr = take(inner);
    }
}

/// Numbers that are no values: positions in ORDER BY and GROUP BY, counts of rows, bounds of a table of numbers.
pub struct Places;

impl VisitorMut for Places {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order.kind
        {
            keys.iter_mut().for_each(|key| plain(&mut key.expr));
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                limit.iter_mut().for_each(plain);
                offset.iter_mut().for_each(|offset| plain(&mut offset.value));
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                [offset, limit].into_iter().for_each(plain)
            }
            None => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.iter_mut().for_each(plain);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr};
        if let TableFactor::Table { args: Some(arguments), .. } = factor {
            for argument in &mut arguments.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                    plain(expr);
                }
            }
        }
        ControlFlow::Continue(())
    }
}
