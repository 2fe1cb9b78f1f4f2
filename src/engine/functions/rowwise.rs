//! Functions that are a closure over one row: for what is not called on millions of rows, or parses text anyway.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use std::hash::{Hash, Hasher};

/// The types that arguments are cast to; `None` where the function does not take them.
type Accepts = fn(&[DataType]) -> Option<Vec<DataType>>;

/// A function.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowWise {
    pub(super) name: &'static str,
    pub(super) accepts: Accepts,
    pub(super) returns: fn(&[DataType]) -> DataType,
    /// One row's arguments, none of them NULL.
    pub(super) body: fn(&[ScalarValue]) -> Result<ScalarValue>,
}

/// It, as the engine takes it.
#[derive(Debug)]
pub(super) struct Function {
    of: RowWise,
    signature: Signature,
}

impl Function {
    pub(super) fn new(of: RowWise) -> Self {
        Self { of, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.of.name == other.of.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.of.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match (self.of.accepts)(types) {
            Some(types) => Ok(types),
            None => plan_err!(
                "No function matches the given name and argument types '{}({})'",
                self.of.name,
                types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok((self.of.returns)(types))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let null = ScalarValue::try_new_null(args.return_type())?;
        let row = |row: usize| {
            let values = columns.iter().map(|column| ScalarValue::try_from_array(column, row));
            let values = values.collect::<Result<Vec<_>>>()?;
            if values.iter().any(ScalarValue::is_null) { Ok(null.clone()) } else { (self.of.body)(&values) }
        };
        if is_constant {
            return row(0).map(ColumnarValue::Scalar);
        }
        if rows == 0 {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(args.return_type())));
        }
        let values = (0..rows).map(row).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    }
}
