//! Operators between times and numbers: `date + 7` is a date, `date - date` a number of days, `interval * 2` an interval.

use super::arithmetic::{Operation, computed, moved};
use super::beside::of_operand;
use super::typed::Typed as _;
use super::{checks, jsonb};
use crate::engine::functions::{interval_times, justified};
use crate::serve::postgres::array_elements;
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::functions_nested::expr_fn::array_has_any;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        list_beside(&expr.left, &mut expr.right, schema)?;
        list_beside(&expr.right, &mut expr.left, schema)?;
        time_beside(&mut expr, schema);
        of_operand(&mut expr, schema);
        let (Ok(left), Ok(right)) = (expr.left.type_of(schema), expr.right.type_of(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        checks::operator(&expr.op, &expr.left, &expr.right, schema)?;
        if expr.op == BinaryOperator::PGOverlap {
            return Ok(PlannerResult::Planned(array_has_any(expr.left, expr.right)));
        }
        if expr.op == BinaryOperator::StringConcat {
            // NULL without a type is an array here, and adds nothing.
            match (&left, &right) {
                (DataType::List(_), DataType::Null) => return Ok(PlannerResult::Planned(expr.left)),
                (DataType::Null, DataType::List(_)) => return Ok(PlannerResult::Planned(expr.right)),
                _ => {}
            }
        }
        if let Some(of_jsonb) = jsonb::operator(&expr.op, &expr.left, &expr.right, schema) {
            return Ok(PlannerResult::Planned(of_jsonb));
        }
        if let Some(scaled) = scaled(&expr, &left, &right) {
            return Ok(PlannerResult::Planned(scaled));
        }
        let (expr, left, right) = typed(expr, left, right);
        let operation = match expr.op {
            BinaryOperator::Plus => Operation::Add,
            BinaryOperator::Minus => Operation::Subtract,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let is_date = |ty: &DataType| ty == &DataType::Date32;
        let is_count = |ty: &DataType| ty.is_signed_integer();
        let both_dates = is_date(&left) && is_date(&right) && operation == Operation::Subtract;
        let is_moved = is_date(&left) && is_count(&right)
            || is_count(&left) && is_date(&right) && operation == Operation::Add;
        Ok(match (both_dates, is_moved) {
            (true, _) => PlannerResult::Planned(computed(operation, expr.left, expr.right)),
            (_, true) => PlannerResult::Planned(moved(operation, expr.left, expr.right)),
            _ => PlannerResult::Original(expr),
        })
    }
}

/// A literal without a type beside a list is one: `tags @> '{new}'`.
fn list_beside(list: &Expr, literal: &mut Expr, schema: &DFSchema) -> Result<()> {
    let (Expr::Literal(ScalarValue::Utf8(Some(text)), _), Ok(of @ DataType::List(_))) =
        (&*literal, list.type_of(schema))
    else {
        return Ok(());
    };
    let items = array_elements(text).ok_or_else(|| checks::malformed_array(text))?;
    let items = items.into_iter().map(ScalarValue::Utf8);
    let texts = ScalarValue::new_list_from_iter(items, &DataType::Utf8, true);
    *literal = cast(lit(ScalarValue::List(texts)), of);
    Ok(())
}

/// A literal without a type beside a time: `ts + '1 day'` adds an interval, `ts - '2026-01-01'` takes a time off.
fn time_beside(expr: &mut RawBinaryExpr, schema: &DFSchema) {
    let is_literal = |side: &Expr| matches!(side, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let (literal, other) = match (is_literal(&expr.left), is_literal(&expr.right)) {
        (true, false) => (&mut expr.left, expr.right.type_of(schema)),
        (false, true) => (&mut expr.right, expr.left.type_of(schema)),
        _ => return,
    };
    let Ok(other) = other else { return };
    let wanted = match (&expr.op, &other) {
        (BinaryOperator::Plus, DataType::Timestamp(..) | DataType::Interval(_))
        | (BinaryOperator::Minus, DataType::Interval(_)) => DataType::Interval(IntervalUnit::MonthDayNano),
        (BinaryOperator::Minus, DataType::Timestamp(..) | DataType::Date32) => other,
        _ => return,
    };
    *literal = cast(std::mem::take(literal), wanted);
}

/// `interval * 2`, `2 * interval`, `interval / 2`.
fn scaled(expr: &RawBinaryExpr, left: &DataType, right: &DataType) -> Option<Expr> {
    let is_interval = |ty: &DataType| matches!(ty, DataType::Interval(_) | DataType::Duration(_));
    let is_number = |ty: &DataType| ty.is_numeric();
    let float = |side: &Expr| cast(side.clone(), DataType::Float64);
    let (interval, factor) = match expr.op {
        BinaryOperator::Multiply if is_interval(left) && is_number(right) => (&expr.left, float(&expr.right)),
        BinaryOperator::Multiply if is_number(left) && is_interval(right) => (&expr.right, float(&expr.left)),
        BinaryOperator::Divide if is_interval(left) && is_number(right) => {
            (&expr.left, computed(Operation::Divide, lit(1.0), float(&expr.right)))
        }
        _ => return None,
    };
    // What two timestamps are apart has days.
    let apart = [left, right].into_iter().any(|ty| matches!(ty, DataType::Duration(_)));
    let interval = match apart {
        true => Arc::new(justified()).call(vec![interval.clone()]),
        false => interval.clone(),
    };
    Some(Arc::new(interval_times()).call(vec![interval, factor]))
}

/// A literal without a type is of the other side's: `'3' + 1`.
fn typed(mut expr: RawBinaryExpr, left: DataType, right: DataType) -> (RawBinaryExpr, DataType, DataType) {
    let is_untyped = |side: &Expr| matches!(side, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let takes = |ty: &DataType| ty.is_signed_integer() || ty.is_floating();
    let is_arithmetic = matches!(
        expr.op,
        BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide
    );
    if is_arithmetic && is_untyped(&expr.left) && takes(&right) {
        expr.left = cast(expr.left, right.clone());
        return (expr, right.clone(), right);
    }
    if is_arithmetic && is_untyped(&expr.right) && takes(&left) {
        expr.right = cast(expr.right, left.clone());
        return (expr, left.clone(), left);
    }
    (expr, left, right)
}
