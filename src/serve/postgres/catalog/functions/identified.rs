//! `identified(number, name)`: a `reg*` value as clients get it, its number and its name in one.

use arrow::array::{Array as _, StructArray};
use arrow::compute::cast;
use arrow::datatypes::DataType::{self, Int32, Utf8};
use arrow::datatypes::{Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Identified {
    signature: Signature,
}

impl Default for Identified {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![Int32, Utf8], Volatility::Immutable) }
    }
}

fn parts() -> Fields {
    Fields::from(vec![Field::new("oid", Int32, true), Field::new("name", Utf8, true)])
}

impl ScalarUDFImpl for Identified {
    fn name(&self) -> &str {
        "identified"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(parts()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = args.args[0].to_array(args.number_rows)?;
        let names = cast(&args.args[1].to_array(args.number_rows)?, &Utf8)?;
        let nulls = numbers.logical_nulls();
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(parts(), vec![numbers, names], nulls)?)))
    }
}
