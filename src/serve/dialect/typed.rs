//! What type an expression has. Every rule asks, for every expression: of a long chain of conditions the engine would look
//! through all that stand to the left, each time.

use crate::engine::is_comparison;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _};

pub(super) trait Typed {
    /// Its type over such columns.
    fn type_of(&self, schema: &DFSchema) -> Result<DataType>;
}

impl Typed for Expr {
    fn type_of(&self, schema: &DFSchema) -> Result<DataType> {
        match self {
            Expr::BinaryExpr(BinaryExpr { op, .. }) if op.is_logic_operator() || is_comparison(*op) => {
                Ok(DataType::Boolean)
            }
            other => other.get_type(schema),
        }
    }
}
