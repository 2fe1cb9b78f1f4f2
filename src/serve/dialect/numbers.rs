//! Numbers as PostgreSQL computes them.
//!
//! Whole numbers that do not fit are an error (22003) and not another number; division by zero is one for floats, too
//! (22012); a quotient of numerics has sixteen digits behind the point; a sum of `bigint`s is a numeric, which has no
//! end, and so is an average of whole numbers and numerics; a number that is cast to a whole one is rounded.

use super::arithmetic::{Operation, computed, computed_alike, rounded};
use super::typed::Typed as _;
use super::{averages, interval_totals, limits};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, WindowFunctionDefinition, cast, lit};
use std::sync::Arc;

/// The engine gives averages four digits more than their values have; the last one is rounded away.
const AVERAGED_SCALE: i8 = 13;

/// An expression that computes as PostgreSQL's numbers do.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let types = left.type_of(schema).ok().zip(right.type_of(schema).ok());
            let found = types.and_then(|types| Some((operation(op, &types.0, &types.1)?, types)));
            match found {
                Some((operation, (is, other))) if is == other => {
                    Ok(Transformed::yes(computed_alike(operation, *left, *right, &is)))
                }
                Some((operation, _)) => Ok(Transformed::yes(computed(operation, *left, *right))),
                None => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::Cast(Cast { expr, field }) if field.data_type().is_signed_integer() => {
            let is_fraction =
                expr.type_of(schema).is_ok_and(|found| found.is_floating() || is_numeric(&found));
            let inner = if is_fraction { Box::new(rounded(*expr)) } else { expr };
            Ok(Transformed::yes(Expr::Cast(Cast { expr: inner, field })))
        }
        // As many digits as its type has.
        Expr::ScalarFunction(mut function)
            if function.name() == "to_hex"
                && function
                    .args
                    .iter()
                    .all(|of| of.type_of(schema).is_ok_and(|found| width(&found) <= 4)) =>
        {
            let bits = |of: Expr| {
                let op = Operator::BitwiseAnd;
                let (left, right) = (Box::new(cast(of, DataType::Int64)), Box::new(lit(i64::from(u32::MAX))));
                Expr::BinaryExpr(BinaryExpr { left, op, right })
            };
            function.args = function.args.into_iter().map(bits).collect();
            Ok(Transformed::yes(Expr::ScalarFunction(function)))
        }
        // What is empty has no length in any dimension.
        Expr::ScalarFunction(function) if function.name() == "array_length" => {
            let length = cast(Expr::ScalarFunction(function), DataType::Int32);
            Ok(Transformed::yes(nullif(length, lit(0))))
        }
        // Counts and positions are integers.
        Expr::ScalarFunction(function)
            if ["cardinality", "array_position", "array_ndims", "regexp_count", "regexp_instr"]
                .contains(&function.name()) =>
        {
            Ok(Transformed::yes(cast(Expr::ScalarFunction(function), DataType::Int32)))
        }
        // Halves of floats go to the even neighbour.
        Expr::ScalarFunction(mut function)
            if function.name() == "round"
                && function.args.len() == 1
                && function.args[0].type_of(schema).is_ok_and(|found| found.is_floating()) =>
        {
            let number = std::mem::take(&mut function.args[0]);
            Ok(Transformed::yes(rounded(cast(number, DataType::Float64))))
        }
        // Of integers they give integers.
        Expr::ScalarFunction(function)
            if ["gcd", "lcm"].contains(&function.name())
                && function
                    .args
                    .iter()
                    .all(|of| of.type_of(schema).is_ok_and(|found| width(&found) <= 4)) =>
        {
            Ok(Transformed::yes(cast(Expr::ScalarFunction(function), DataType::Int32)))
        }
        Expr::ScalarFunction(function) if ["trunc", "ceil", "floor"].contains(&function.name()) => {
            let number = function.args.first().and_then(|number| number.type_of(schema).ok());
            let places = function.args.get(1).map_or(Some(0), whole);
            let cut = Expr::ScalarFunction(function);
            Ok(match (number, places) {
                // As many digits are left behind the point as are asked for; there may be one more before it.
                (Some(DataType::Decimal128(precision, scale)), Some(places @ 0..)) if places != scale => {
                    let digits = precision.saturating_sub(scale.unsigned_abs()) + 1 + places.unsigned_abs();
                    let digits = digits.min(DECIMAL128_MAX_PRECISION);
                    Transformed::yes(cast(cut, DataType::Decimal128(digits, places)))
                }
                _ => Transformed::no(cut),
            })
        }
        call @ Expr::ScalarFunction(_) => limits::of_expr(call),
        other => of_aggregate(other, schema),
    }
}

/// A small whole number that was written.
fn whole(expr: &Expr) -> Option<i8> {
    match expr {
        Expr::Cast(Cast { expr, .. }) => whole(expr),
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => i8::try_from(*number).ok(),
        Expr::Literal(ScalarValue::Int32(Some(number)), _) => i8::try_from(*number).ok(),
        _ => None,
    }
}

/// What is computed in another way than by the engine.
fn operation(op: Operator, left: &DataType, right: &DataType) -> Option<Operation> {
    let is_number = |ty: &DataType| ty.is_signed_integer() || ty.is_floating() || is_numeric(ty);
    if !is_number(left) || !is_number(right) {
        return None;
    }
    let whole = left.is_signed_integer() && right.is_signed_integer();
    let floats = left.is_floating() || right.is_floating();
    match op {
        Operator::Plus if whole => Some(Operation::Add),
        Operator::Minus if whole => Some(Operation::Subtract),
        Operator::Multiply if whole => Some(Operation::Multiply),
        Operator::Divide if !whole => Some(Operation::Divide),
        // A numeric beside a float becomes one.
        Operator::Plus if floats => Some(Operation::Add),
        Operator::Minus if floats => Some(Operation::Subtract),
        Operator::Multiply if floats => Some(Operation::Multiply),
        _ => None,
    }
}

fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(usize::MAX)
}

pub(super) fn is_numeric(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

fn of_aggregate(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (function, arguments) = match &mut expr {
        Expr::AggregateFunction(aggregate) => (&mut aggregate.func, &mut aggregate.params.args),
        Expr::WindowFunction(window) => match &mut window.fun {
            WindowFunctionDefinition::AggregateUDF(aggregate) => (aggregate, &mut window.params.args),
            WindowFunctionDefinition::WindowUDF(_) => return Ok(Transformed::no(expr)),
        },
        _ => return Ok(Transformed::no(expr)),
    };
    let name = function.name().to_string();
    let [argument] = arguments.as_mut_slice() else {
        return Ok(Transformed::no(expr));
    };
    let Ok(data_type) = argument.type_of(schema) else { return Ok(Transformed::no(expr)) };
    if let Some(total) = interval_totals::of(&name, &data_type) {
        *function = total;
        return Ok(Transformed::yes(expr));
    }
    match wider(&name, &data_type) {
        Some(wider) => {
            let narrow = std::mem::take(argument);
            *argument = cast(narrow, wider);
            if name != "sum" {
                *function = averages::rounded(Arc::clone(function));
            }
            Ok(Transformed::yes(expr))
        }
        None => Ok(Transformed::no(expr)),
    }
}

fn wider(name: &str, argument: &DataType) -> Option<DataType> {
    match (name, argument) {
        ("sum", DataType::Int64) => Some(DataType::Decimal128(19, 0)),
        ("avg" | "mean", whole) if whole.is_signed_integer() => {
            Some(DataType::Decimal128(19 + AVERAGED_SCALE.unsigned_abs(), AVERAGED_SCALE))
        }
        ("avg" | "mean", DataType::Decimal128(precision, scale)) if *scale < AVERAGED_SCALE => {
            let precision = precision + (AVERAGED_SCALE - scale).unsigned_abs();
            (precision <= DECIMAL128_MAX_PRECISION).then_some(DataType::Decimal128(precision, AVERAGED_SCALE))
        }
        _ => None,
    }
}
