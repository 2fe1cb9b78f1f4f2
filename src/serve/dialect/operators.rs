//! Days and dates: `date + 7` is a date, `date - date` a number of days.

use super::arithmetic::{Operation, computed};
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable as _, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let operation = match expr.op {
            BinaryOperator::Plus => Operation::Add,
            BinaryOperator::Minus => Operation::Subtract,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let is_date = |ty: &DataType| ty == &DataType::Date32;
        let is_count = |ty: &DataType| ty.is_signed_integer();
        let both_dates = is_date(&left) && is_date(&right) && operation == Operation::Subtract;
        let moved = is_date(&left) && is_count(&right)
            || is_count(&left) && is_date(&right) && operation == Operation::Add;
        if !both_dates && !moved {
            return Ok(PlannerResult::Original(expr));
        }
        // A date's days and a count of days are both whole numbers.
        let days = |side: Expr| cast(side, DataType::Int32);
        let computed = computed(operation, days(expr.left), days(expr.right));
        Ok(PlannerResult::Planned(if moved { cast(computed, DataType::Date32) } else { computed }))
    }
}
