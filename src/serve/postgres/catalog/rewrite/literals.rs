//! Whole numbers are `integer`s in PostgreSQL when they fit, and `bigint`s to the engine.

use super::fragments::{cast, literal, take, text_of};
use datafusion::sql::sqlparser::ast::{
    DataType, ExactNumberInfo, Expr, GroupByExpr, LimitClause, OrderByKind, Query, Select, TableFactor,
    UnaryOperator, Value, VisitorMut, WindowFrameBound, WindowType,
};
use std::ops::ControlFlow;

/// The most digits of a number that the engine has.
const DIGITS_MAX: usize = 38;

/// `1` is `CAST(1 AS INT)`.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Value(value) => {
            if let Value::HexStringLiteral(digits) = &value.value {
                // Bits, as those of `b'101'`, for which there is no type here.
                value.value = Value::SingleQuotedByteStringLiteral(digits.clone());
            } else if let Value::Number(digits, false) = &value.value
                && digits.parse::<i32>().is_ok()
            {
                *expr = cast(take(expr), DataType::Int(None));
            } else if let Expr::Value(value) = expr
                && let Value::Number(digits, false) = &mut value.value
                && let Some(plain) = without_exponent(digits)
            {
                let precision = u64::try_from(plain.len()).unwrap_or_default();
                let is_whole = !plain.contains('.');
                *digits = plain;
                // It is a numeric, however few digits it has.
                if is_whole {
                    let digits = ExactNumberInfo::PrecisionAndScale(precision, 0);
                    *expr = cast(take(expr), DataType::BigNumeric(digits));
                }
            } else if let Expr::Value(value) = expr
                && let Value::Number(digits, false) = &value.value
                && digits.contains(['e', 'E'])
            {
                // What is too large or too small for the engine's numerics is a float.
                *expr = cast(literal(digits), DataType::DoublePrecision);
            }
        }
        // A text has the digits that it has, and not as many as the engine's numerics have by themselves.
        Expr::Cast { expr: text, data_type: DataType::Numeric(none) | DataType::Decimal(none), .. }
            if *none == ExactNumberInfo::None =>
        {
            if let Some(number) = text_of(text).and_then(numeric) {
                *expr = number;
            }
        }
        // A float is read as one, and not as a numeric that becomes one.
        Expr::Cast { expr: inner, data_type, .. } if is_float(data_type) => {
            let number = match inner.as_mut() {
                Expr::Cast { expr: number, data_type: DataType::BigNumeric(_), .. } => number.as_mut(),
                number => number,
            };
            if let Expr::Value(value) = number
                && let Value::Number(digits, _) = &value.value
            {
                let text = Value::SingleQuotedString(digits.clone());
                **inner = Expr::value(text);
            }
        }
        // The least integer: its digits alone are of the next type.
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: number }
            if matches!(number.as_ref(), Expr::Value(value)
                if matches!(&value.value, Value::Number(digits, false) if digits == "2147483648")) =>
        {
            *expr = cast(take(expr), DataType::Int(None));
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

pub(super) fn is_float(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Real
            | DataType::Float4
            | DataType::Float8
            | DataType::Float64
            | DataType::Float(_)
            | DataType::Double(_)
            | DataType::DoublePrecision
    )
}

/// The number that a text holds; `None` for what is none, or has more digits than the engine.
fn numeric(text: &str) -> Option<Expr> {
    let text = text.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_number = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
        && digits.ends_with(|letter: char| letter.is_ascii_digit())
        && digits.parse::<f64>().is_ok_and(f64::is_finite);
    let plain = without_exponent(digits).or_else(|| is_number.then(|| digits.to_string()))?;
    let plain = if plain.starts_with('.') { format!("0{plain}") } else { plain };
    let (before, behind) = plain.split_once('.').unwrap_or((&plain, ""));
    let precision = before.len() + behind.len();
    if !is_number || precision > DIGITS_MAX {
        return None;
    }
    let (precision, scale) = (u64::try_from(precision).ok()?, i64::try_from(behind.len()).ok()?);
    let data_type = DataType::BigNumeric(ExactNumberInfo::PrecisionAndScale(precision, scale));
    let signed = if is_negative { format!("-{plain}") } else { plain };
    Some(cast(literal(&signed), data_type))
}

/// `1.5e3` is `1500`, as long as the engine has so many digits.
fn without_exponent(digits: &str) -> Option<String> {
    let (mantissa, exponent) = digits.split_once(['e', 'E'])?;
    let exponent: i64 = exponent.parse().ok()?;
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{before}{behind}");
    let point = i64::try_from(before.len()).ok()?.checked_add(exponent)?;
    let length = i64::try_from(all.len()).ok()?;
    let plain = match usize::try_from(point) {
        Ok(point) if point <= DIGITS_MAX && point >= all.len() => format!("{all:0<point$}"),
        Ok(point) if point < all.len() => format!("{}.{}", &all[..point], &all[point..]),
        Err(_) if length - point <= DIGITS_MAX as i64 => {
            format!("0.{}{all}", "0".repeat(usize::try_from(-point).ok()?))
        }
        _ => return None,
    };
    Some(if plain.starts_with('.') { format!("0{plain}") } else { plain })
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

/// The number that an expression was before it was rewritten.
pub fn number_in(mut expr: Expr) -> Expr {
    plain(&mut expr);
    expr
}

/// As [`plain`], with a sign before it.
fn plain_with_sign(expr: &mut Expr) {
    match expr {
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => plain_with_sign(expr),
        other => plain(other),
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
                    plain_with_sign(expr);
                }
            }
        }
        ControlFlow::Continue(())
    }
}
