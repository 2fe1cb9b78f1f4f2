//! `list[n]`: in PostgreSQL nothing stands before the first place; the engine counts what is below it from the end.

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::scalar::ScalarValue;

/// An item, or NULL where there is none.
pub(super) fn of_expr(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if func.name() == "array_element" && args.len() == 2 && !is_place(&args[1]) =>
        {
            let place = std::mem::take(&mut args[1]);
            args[1] = when(place.clone().gt(lit(0_i64)), place).end()?;
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_place(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Int64(Some(1..)) | ScalarValue::Int32(Some(1..)), _))
}
