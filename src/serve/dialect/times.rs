//! Dates and times as PostgreSQL computes and compares them.
//!
//! A date that is moved by an interval is a timestamp; a literal beside a time is read as one; a moment that loses its
//! zone is what clocks of the session's zone show.

use super::{Manner, parts};
use crate::engine::functions::{in_zone, justified};
use crate::serve::datetime::{Kind, iso};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, Cast, InList};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, Operator, cast, lit};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// An expression that computes as PostgreSQL's times do.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema, manner: &Manner<'_>) -> Result<Transformed<Expr>> {
    let type_of = |expr: &Expr| expr.get_type(schema).ok();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (left, right) = (alike(*left, &right, schema, manner), right);
            let right = Box::new(alike(*right, &left, schema, manner));
            let (left, right) = as_dates(Box::new(left), right, schema);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            let types = (type_of(&left), type_of(&right));
            let (left, right) = match types {
                (Some(DataType::Date32), Some(DataType::Interval(_))) => (at_midnight(*left), right),
                (Some(DataType::Interval(_)), Some(DataType::Date32)) if op == Operator::Plus => {
                    (left, at_midnight(*right))
                }
                _ => (left, right),
            };
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let side = |side: Box<Expr>| {
                as_dates(expr.clone(), Box::new(alike(*side, &expr, schema, manner)), schema)
            };
            let ((_, low), (_, high)) = (side(low), side(high));
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.into_iter().map(|item| alike(item, &expr, schema, manner)).collect();
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        Expr::Cast(Cast { expr, field })
            if matches!(field.data_type(), DataType::Timestamp(_, None))
                && matches!(type_of(&expr), Some(DataType::Timestamp(_, Some(_))))
                && manner.zone != "UTC" =>
        {
            let shown = Arc::new(in_zone()).call(vec![lit(manner.zone), *expr]);
            Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(shown), field })))
        }
        Expr::ScalarFunction(mut function)
            if function.name() == "to_char"
                && matches!(function.args.first().and_then(type_of), Some(DataType::Duration(_))) =>
        {
            let apart = std::mem::take(&mut function.args[0]);
            function.args[0] = Arc::new(justified()).call(vec![apart]);
            Ok(Transformed::yes(Expr::ScalarFunction(function)))
        }
        other => parts::of_expr(other, schema, manner),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn moment(manner: &Manner<'_>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(manner.zone.into()))
}

fn at_midnight(date: Expr) -> Box<Expr> {
    Box::new(cast(date, DataType::Timestamp(TimeUnit::Microsecond, None)))
}

/// A literal without a type, read as what it stands beside.
fn alike(side: Expr, other: &Expr, schema: &DFSchema, manner: &Manner<'_>) -> Expr {
    let text = match &side {
        Expr::Literal(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
            _,
        ) => text,
        _ => return side,
    };
    let (kind, data_type) = match other.get_type(schema) {
        Ok(DataType::Date32) => (Kind::Date, DataType::Date32),
        Ok(DataType::Timestamp(unit, None)) => (Kind::Timestamp, DataType::Timestamp(unit, None)),
        Ok(DataType::Timestamp(_, Some(_))) => (Kind::Moment, moment(manner)),
        _ => return side,
    };
    match (iso(text, kind, manner.forms.order), other.get_type(schema)) {
        // In the other's own zone, so that this side is the one that is cast.
        (Some(read), Ok(wanted)) => cast(cast(lit(read), data_type), wanted),
        _ => side,
    }
}

/// A date beside one that was moved by whole days: both are compared as dates, which statistics of files are kept of.
fn as_dates(left: Box<Expr>, right: Box<Expr>, schema: &DFSchema) -> (Box<Expr>, Box<Expr>) {
    let is_date = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| found == DataType::Date32);
    match (is_date(&left), is_date(&right)) {
        (true, false) => {
            let right = moved_date(&right, schema).map_or(right, Box::new);
            (left, right)
        }
        (false, true) => (moved_date(&left, schema).map_or(left, Box::new), right),
        _ => (left, right),
    }
}

/// `date + interval '7 days'` before it became a timestamp.
fn moved_date(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let Expr::Cast(Cast { expr: date, field }) = left.as_ref() else { return None };
    let is_moved = matches!(op, Operator::Plus | Operator::Minus)
        && date.get_type(schema).is_ok_and(|found| found == DataType::Date32)
        && field.data_type() == &DataType::Timestamp(TimeUnit::Microsecond, None);
    let whole_days = match right.as_ref() {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => interval.nanoseconds == 0,
        _ => false,
    };
    (is_moved && whole_days).then(|| {
        let date = Box::new(cast(date.as_ref().clone(), DataType::Date32));
        let moved = Expr::BinaryExpr(BinaryExpr { left: date, op: *op, right: right.clone() });
        cast(moved, DataType::Date32)
    })
}
