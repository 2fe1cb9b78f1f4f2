//! Values as text, as PostgreSQL prints them: `x::text`, `x || 'a'`, `concat(x)`.
//!
//! The engine prints times, intervals, floats and arrays in its own way. Bytes are the text that they hold, as in models:
//! `_raw::text`.

use super::typed::Typed as _;
use crate::serve::postgres::encode::Forms;
use crate::serve::postgres::printed;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// An expression that makes text as PostgreSQL does.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema, forms: Forms) -> Result<Transformed<Expr>> {
    let printed = |value: Expr| printed::printed(value, forms);
    let is_printed = |expr: &Expr| expr.type_of(schema).is_ok_and(|found| prints_otherwise(&found, forms));
    match expr {
        Expr::Cast(Cast { expr, field }) if field.data_type().is_string() && is_printed(&expr) => {
            Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(printed(*expr)), field })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::StringConcat, right }) => {
            let is_list = |expr: &Expr| expr.type_of(schema).is_ok_and(|found| found.is_list());
            let is_bytes = |expr: &Expr| expr.type_of(schema).is_ok_and(|found| found.is_binary());
            // Arrays and bytes are put together as what they are.
            if is_list(&left) || is_list(&right) || is_bytes(&left) && is_bytes(&right) {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            let side = |side: Box<Expr>| if is_printed(&side) { Box::new(printed(*side)) } else { side };
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: side(left), op, right: side(right) })))
        }
        Expr::ScalarFunction(ScalarFunction { func, args })
            if ["concat", "concat_ws"].contains(&func.name()) =>
        {
            // Here a boolean is printed, too, and not cast: `t`.
            let is_boolean = |expr: &Expr| expr.type_of(schema).is_ok_and(|found| found == DataType::Boolean);
            let args = args.into_iter();
            let args = args.map(|arg| if is_boolean(&arg) || is_printed(&arg) { printed(arg) } else { arg });
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: args.collect() })))
        }
        Expr::ScalarFunction(ScalarFunction { func, args })
            if ["format", "quote_literal", "quote_nullable"].contains(&func.name()) =>
        {
            let of_itself = |found: &DataType| found.is_string() || found.is_integer() || found.is_null();
            let keeps = |expr: &Expr| match expr.type_of(schema) {
                // Here, too, it is printed by `format` alone.
                Ok(DataType::Boolean) => func.name() != "format",
                found => found.is_ok_and(|found| of_itself(&found)),
            };
            let args = args.into_iter().map(|arg| if keeps(&arg) { arg } else { printed(arg) }).collect();
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// True for what the engine does not print as PostgreSQL does.
fn prints_otherwise(data_type: &DataType, forms: Forms) -> bool {
    data_type.is_floating()
        || data_type.is_list()
        || matches!(data_type, DataType::Timestamp(..))
        || data_type == &DataType::Date32 && !forms.has_iso_dates()
        || matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}
