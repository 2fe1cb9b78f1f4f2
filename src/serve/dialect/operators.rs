//! Operators between times and numbers, and subscripts of JSON: `date + 7` is a date, `date - date` a number of days, `interval * 2` an interval.

use super::arithmetic::{Operation, computed, moved};
use super::beside::of_operand;
use super::numbers::is_numeric;
use super::times::interval;
use super::typed::Typed as _;
use super::{checks, jsonb};
use crate::engine::functions::{interval_times, json_get, justified};
use crate::engine::{make_alike, read};
use crate::serve::postgres::array_elements;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::functions_nested::expr_fn::array_has_any;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, GetFieldAccess, cast, lit};
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

    /// `ARRAY[date '2026-01-01', '2026-01-02']`
    fn plan_array_literal(
        &self,
        mut items: Vec<Expr>,
        schema: &DFSchema,
    ) -> Result<PlannerResult<Vec<Expr>>> {
        make_alike(&mut items, schema);
        Ok(PlannerResult::Original(items))
    }

    /// `j['a']`, `j[0]` of JSON.
    fn plan_field_access(
        &self,
        RawFieldAccessExpr { field_access, expr }: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let original =
            |field_access, expr| Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr }));
        if !jsonb::is_jsonb(&expr, schema) {
            return original(field_access, expr);
        }
        let key = match field_access {
            GetFieldAccess::NamedStructField { name } => lit(name),
            GetFieldAccess::ListIndex { key } => *key,
            range => return original(range, expr),
        };
        Ok(PlannerResult::Planned(Arc::new(json_get()).call(vec![expr, key])))
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

/// A literal without a type beside a time: `ts + '1 day'` adds an interval, `ts - '2026-01-01'` takes a time off, `b - a > '1 day'`
/// compares lengths.
fn time_beside(expr: &mut RawBinaryExpr, schema: &DFSchema) {
    let is_literal = |side: &Expr| matches!(side, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let (literal, other) = match (is_literal(&expr.left), is_literal(&expr.right)) {
        (true, false) => (&mut expr.left, expr.right.type_of(schema)),
        (false, true) => (&mut expr.right, expr.left.type_of(schema)),
        _ => return,
    };
    let Ok(other) = other else { return };
    let wanted = match (&expr.op, &other) {
        (BinaryOperator::Plus, DataType::Timestamp(..)) => None,
        (BinaryOperator::Minus, DataType::Timestamp(..) | DataType::Date32) => Some(other),
        (
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq,
            DataType::Interval(_) | DataType::Duration(_),
        ) => None,
        _ => return,
    };
    let text = std::mem::take(literal);
    *literal = match wanted {
        Some(wanted) => cast(text, wanted),
        None => interval(text),
    };
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

/// A literal without a type is of the other side's: `'3' + 1`, `is_open = 'yes'`.
fn typed(mut expr: RawBinaryExpr, left: DataType, right: DataType) -> (RawBinaryExpr, DataType, DataType) {
    use BinaryOperator::{Divide, Eq, Minus, Modulo, Multiply, NotEq, Plus};
    let is_untyped = |side: &Expr| matches!(side, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let takes = |other: &DataType| match expr.op {
        Plus | Minus | Multiply | Divide | Modulo => {
            other.is_signed_integer() || other.is_floating() || is_numeric(other)
        }
        Eq | NotEq => other == &DataType::Boolean,
        _ => false,
    };
    if is_untyped(&expr.left) && takes(&right) {
        read(&mut expr.left, &right);
        return (expr, right.clone(), right);
    }
    if is_untyped(&expr.right) && takes(&left) {
        read(&mut expr.right, &left);
        return (expr, left.clone(), left);
    }
    (expr, left, right)
}
