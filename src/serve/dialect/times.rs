//! Dates and times as PostgreSQL computes and compares them.
//!
//! A date that is moved by an interval is a timestamp; a literal beside a time is read as one; a moment that loses its
//! zone is what clocks of the session's zone show, and so are its day, its hour and all other parts of it.

use super::typed::Typed as _;
use super::{Manner, parts};
use crate::engine::functions::{in_zone, justified};
use crate::engine::is_comparison;
use crate::serve::datetime::{Kind, iso};
use crate::sql::interval_parts;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::functions::datetime::expr_fn::{current_date, now};
use datafusion::logical_expr::expr::{Between, Cast, InList};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// An expression that computes as PostgreSQL's times do.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema, manner: &Manner<'_>) -> Result<Transformed<Expr>> {
    let type_of = |expr: &Expr| expr.type_of(schema).ok();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (left, right) = (alike(*left, &right, schema, manner), right);
            let right = Box::new(alike(*right, &left, schema, manner));
            let (left, right) = as_moments(Box::new(left), right, schema, manner);
            let (left, right) = as_dates(left, right, schema);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            let types = (type_of(&left), type_of(&right));
            let (left, right) = match types {
                (Some(DataType::Date32), Some(DataType::Interval(_))) => (at_midnight(*left), right),
                (Some(DataType::Interval(_)), Some(DataType::Date32)) if op == Operator::Plus => {
                    (left, at_midnight(*right))
                }
                _ if op == Operator::Minus => as_moments(left, right, schema, manner),
                _ => (left, right),
            };
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let side = |side: Box<Expr>| {
                let side = Box::new(alike(*side, &expr, schema, manner));
                let (expr, side) = as_moments(expr.clone(), side, schema, manner);
                as_dates(expr, side, schema)
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
        Expr::Cast(Cast { expr, field })
            if matches!(field.data_type(), DataType::Date32 | DataType::Time64(_))
                && is_of_other_zone(&expr, schema, manner) =>
        {
            let expr = Box::new(cast(*expr, moment(manner)));
            Ok(Transformed::yes(Expr::Cast(Cast { expr, field })))
        }
        Expr::ScalarFunction(mut function)
            if OF_PARTS.contains(&function.name())
                && function.args.iter().any(|of| is_of_other_zone(of, schema, manner)) =>
        {
            let here = |of: Expr| match is_of_other_zone(&of, schema, manner) {
                true => cast(of, moment(manner)),
                false => of,
            };
            function.args = function.args.into_iter().map(here).collect();
            of_expr(Expr::ScalarFunction(function), schema, manner)
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

/// Functions of the parts that a moment has in its zone.
const OF_PARTS: [&str; 4] = ["date_part", "date_trunc", "to_char", "age"];

/// True for a moment that is kept in another zone than the session's.
fn is_of_other_zone(expr: &Expr, schema: &DFSchema, manner: &Manner<'_>) -> bool {
    match expr.type_of(schema) {
        Ok(DataType::Timestamp(_, Some(zone))) => *zone != *manner.zone,
        _ => false,
    }
}

/// What has no zone is of the session's beside a moment: a date is its midnight.
fn as_moments(
    left: Box<Expr>,
    right: Box<Expr>,
    schema: &DFSchema,
    manner: &Manner<'_>,
) -> (Box<Expr>, Box<Expr>) {
    let of = |side: Box<Expr>, other: &Expr| match (side.type_of(schema), other.type_of(schema)) {
        (
            Ok(DataType::Date32 | DataType::Timestamp(_, None)),
            Ok(wanted @ DataType::Timestamp(_, Some(_))),
        ) if manner.zone != "UTC" => {
            // In the other's own zone, so that this side is the one that is cast.
            Box::new(cast(cast(*at_midnight(*side), moment(manner)), wanted))
        }
        _ => side,
    };
    let left = of(left, &right);
    let right = of(right, &left);
    (left, right)
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
    let (kind, data_type) = match other.type_of(schema) {
        Ok(DataType::Interval(_) | DataType::Duration(_)) => {
            return interval(side);
        }
        Ok(DataType::Date32) => (Kind::Date, DataType::Date32),
        Ok(DataType::Timestamp(unit, None)) => (Kind::Timestamp, DataType::Timestamp(unit, None)),
        Ok(DataType::Timestamp(_, Some(_))) => (Kind::Moment, moment(manner)),
        _ => return side,
    };
    if let Some(known) = of_clock(text, &data_type) {
        return known;
    }
    match (iso(text, kind, manner.forms.order), other.type_of(schema)) {
        // In the other's own zone, so that this side is the one that is cast.
        (Some(read), Ok(wanted)) => cast(cast(lit(read), data_type), wanted),
        _ => side,
    }
}

/// `now`, `today`: what the session's clock shows.
fn of_clock(word: &str, data_type: &DataType) -> Option<Expr> {
    let days_later = |days| current_date() + lit(ScalarValue::new_interval_mdn(0, days, 0));
    let time = match word.trim().to_lowercase().as_str() {
        "now" => now(),
        "today" => current_date(),
        "tomorrow" => days_later(1),
        "yesterday" => days_later(-1),
        "epoch" => lit("1970-01-01"),
        _ => return None,
    };
    Some(cast(time, data_type.clone()))
}

/// A literal as an interval.
pub(super) fn interval(literal: Expr) -> Expr {
    let text = match &literal {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    match text.and_then(interval_parts) {
        Some((months, days, microseconds)) => {
            let parts = IntervalMonthDayNano::new(months, days, microseconds.saturating_mul(1_000));
            lit(ScalarValue::IntervalMonthDayNano(Some(parts)))
        }
        None => cast(literal, DataType::Interval(IntervalUnit::MonthDayNano)),
    }
}

/// A date beside one that was moved by whole days: both are compared as dates, which statistics of files are kept of.
fn as_dates(left: Box<Expr>, right: Box<Expr>, schema: &DFSchema) -> (Box<Expr>, Box<Expr>) {
    let is_date = |expr: &Expr| expr.type_of(schema).is_ok_and(|found| found == DataType::Date32);
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
        && date.type_of(schema).is_ok_and(|found| found == DataType::Date32)
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
