//! A scalar function that is a Rust closure over one row's arguments.
//!
//! Catalog functions run on a few thousand rows at most and are many: what matters is that each is a line or two. A
//! [`RowFunction`] takes integers of any width as `i64`, text of any layout as `&str`, and lists as arrays; by default
//! it is strict, that is, NULL when any argument is.

use crate::serve::postgres::catalog::types::PG_TYPE_KEY;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One argument of one row.
#[derive(Clone, Debug)]
pub enum Cell<'a> {
    /// NULL, or left out.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// A list's items, or a value of another type (an array of one item).
    Other(ArrayRef),
}

impl Cell<'_> {
    /// The integer; text is read as one, as PostgreSQL reads `'16393'` where an OID is asked for.
    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(value) => Some(*value),
            Cell::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The OID.
    pub fn oid(&self) -> Option<i32> {
        self.int().and_then(|value| i32::try_from(value).ok())
    }

    /// The text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What a function computes for one row. The result must have the function's type, or be NULL.
pub type Body = Arc<dyn Fn(&[Cell<'_>]) -> Result<ScalarValue> + Send + Sync>;

/// A scalar function over one row.
#[derive(Clone)]
pub struct RowFunction {
    name: &'static str,
    arguments_min: usize,
    arguments_max: usize,
    returns: DataType,
    /// `typname` of the result where Arrow's type does not tell it.
    typname: Option<&'static str>,
    strict: bool,
    signature: Signature,
    body: Body,
}

impl RowFunction {
    /// A strict function of `arguments` (fewest to most).
    pub fn new(
        name: &'static str,
        arguments: std::ops::RangeInclusive<usize>,
        returns: DataType,
        body: impl Fn(&[Cell<'_>]) -> Result<ScalarValue> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            arguments_min: *arguments.start(),
            arguments_max: *arguments.end(),
            returns,
            typname: None,
            strict: true,
            // Coercion is our own: it also checks the number of arguments.
            signature: Signature::user_defined(Volatility::Stable),
            body: Arc::new(body),
        }
    }

    /// The body is also called when arguments are NULL.
    pub fn called_on_null(mut self) -> Self {
        self.strict = false;
        self
    }

    /// The result is of this PostgreSQL type.
    pub fn of_type(mut self, typname: &'static str) -> Self {
        self.typname = Some(typname);
        self
    }

    /// As DataFusion takes it.
    pub fn into_udf(self) -> ScalarUDF {
        ScalarUDF::new_from_impl(self)
    }

    fn row(&self, columns: &[ArrayRef], row: usize) -> Result<ScalarValue> {
        let cells: Vec<Cell<'_>> = columns.iter().map(|column| cell(column, row)).collect();
        if self.strict && cells.iter().any(|cell| matches!(cell, Cell::Null)) {
            return ScalarValue::try_new_null(&self.returns);
        }
        (self.body)(&cells)
    }
}

impl fmt::Debug for RowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.body, &other.body)
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name, self.returns.clone(), true);
        Ok(Arc::new(match self.typname {
            Some(typname) => field.with_metadata([(PG_TYPE_KEY.to_string(), typname.to_string())].into()),
            None => field,
        }))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() < self.arguments_min || types.len() > self.arguments_max {
            return Err(DataFusionError::Plan(format!(
                "function {} does not take {} arguments",
                self.name,
                types.len()
            )));
        }
        Ok(types.iter().map(coerced).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let columns: Vec<ArrayRef> =
            columns.iter().map(|c| Ok(cast(c, &coerced(c.data_type()))?)).collect::<Result<_>>()?;
        if constant {
            return Ok(ColumnarValue::Scalar(self.row(&columns, 0)?));
        }
        if rows == 0 {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(&self.returns)));
        }
        let values = (0..rows).map(|row| self.row(&columns, row)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    }
}

fn coerced(data_type: &DataType) -> DataType {
    match data_type {
        t if t.is_integer() => DataType::Int64,
        t if t.is_string() => DataType::Utf8,
        other => other.clone(),
    }
}

fn cell(column: &ArrayRef, row: usize) -> Cell<'_> {
    if column.data_type() == &DataType::Null || column.is_null(row) {
        return Cell::Null;
    }
    if let Some(ints) = column.as_any().downcast_ref::<Int64Array>() {
        return Cell::Int(ints.value(row));
    }
    if let Some(texts) = column.as_any().downcast_ref::<StringArray>() {
        return Cell::Text(texts.value(row));
    }
    if let Some(bools) = column.as_any().downcast_ref::<BooleanArray>() {
        return Cell::Bool(bools.value(row));
    }
    match column.data_type() {
        DataType::List(_) => Cell::Other(column.as_list::<i32>().value(row)),
        _ => Cell::Other(column.slice(row, 1)),
    }
}

/// A text result.
pub fn text(value: impl Into<Option<String>>) -> ScalarValue {
    ScalarValue::Utf8(value.into())
}

/// A boolean result.
pub fn boolean(value: impl Into<Option<bool>>) -> ScalarValue {
    ScalarValue::Boolean(value.into())
}

/// An OID, or another `int4`.
pub fn int4(value: impl Into<Option<i32>>) -> ScalarValue {
    ScalarValue::Int32(value.into())
}

/// An `int8` result.
pub fn int8(value: impl Into<Option<i64>>) -> ScalarValue {
    ScalarValue::Int64(value.into())
}

/// A list of OIDs.
pub fn oids(values: &[i32]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|v| int4(*v)).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Int32))
}

/// The type of a list of `item`.
pub fn list_of(item: DataType) -> DataType {
    DataType::new_list(item, true)
}
