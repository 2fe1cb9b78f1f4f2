//! The only value of a list: what a subquery gives that is used as an expression.

use arrow::array::{Array as _, AsArray as _, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// The only value of a list, NULL of none; more are an error (21000).
pub(super) fn only_value(values: Expr) -> Expr {
    Arc::new(ScalarUDF::new_from_impl(OnlyValue::default())).call(vec![values])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyValue {
    signature: Signature,
}

impl Default for OnlyValue {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OnlyValue {
    fn name(&self) -> &str {
        "only_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(item)] => Ok(item.data_type().clone()),
            _ => Err(DataFusionError::Plan("only_value takes a list".to_string())),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let lists = lists.as_list::<i32>();
        let offsets = lists.value_offsets();
        let indices = (0..lists.len()).map(|row| {
            if lists.is_null(row) {
                return Ok(None);
            }
            match offsets[row + 1] - offsets[row] {
                0 => Ok(None),
                1 => Ok(u64::try_from(offsets[row]).ok()),
                _ => Err(DataFusionError::Execution(
                    "more than one row returned by a subquery used as an expression".to_string(),
                )),
            }
        });
        let indices: UInt64Array = indices.collect::<Result<Vec<_>>>()?.into();
        Ok(ColumnarValue::Array(take(lists.values(), &indices, None)?))
    }
}
