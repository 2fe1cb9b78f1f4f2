//! `surrogate_key(...)`: 64 bits that stand for values, the same ones for ever.
//!
//! The first eight bytes, big-endian, of the SHA-256 of the values' canonical bytes. What is equal in SQL has equal bytes
//! whatever its width or scale: `7`, `7::BIGINT` and `7.00` are one number, a timestamp is one instant in any unit. Each
//! value begins with a byte that tells its kind and, where lengths differ, its length, so that `('ab', 'c')` and
//! `('a', 'bc')`, NULL and `''` differ. Nothing here may ever change: stored keys were made by it.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal128Array, Float64Array, Int64Array,
    StringViewArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const DECIMAL: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const BINARY: u8 = 6;
const DATE: u8 = 7;
const TIMESTAMP: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 10;
const MAP: u8 = 11;

/// A column whose values can be written canonically.
enum Values {
    Null,
    Boolean(BooleanArray),
    Signed(Int64Array),
    Unsigned(UInt64Array),
    Decimal(Decimal128Array, i8),
    Float(Float64Array),
    Text(StringViewArray),
    Binary(BinaryViewArray),
    Date(Int64Array),
    /// Instants as a count of units, each so many nanoseconds.
    Timestamp(Int64Array, i128),
    /// A list's array, its elements, and where they begin.
    List(ArrayRef, Box<Values>, Vec<usize>),
    Struct(ArrayRef, Vec<Values>),
    Map(ArrayRef, Box<Values>, Vec<usize>),
}

impl Values {
    fn new(array: &ArrayRef) -> Result<Self> {
        let to = |data_type: &DataType| cast(array, data_type);
        Ok(match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
            DataType::UInt64 => Values::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            integer if integer.is_integer() => {
                Values::Signed(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale) => {
                let wide = to(&DataType::Decimal128(38, *scale))?;
                Values::Decimal(wide.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            float if float.is_floating() => {
                Values::Float(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Values::Text(to(&DataType::Utf8View)?.as_string_view().clone())
            }
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => {
                Values::Binary(to(&DataType::BinaryView)?.as_binary_view().clone())
            }
            DataType::Date32 => {
                let days = cast(&to(&DataType::Int32)?, &DataType::Int64)?;
                Values::Date(days.as_primitive::<Int64Type>().clone())
            }
            DataType::Timestamp(unit, _) => timestamps(array, *unit),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let starts = list.value_offsets().iter().map(|at| usize::try_from(*at).unwrap_or_default());
                Values::List(Arc::clone(array), Box::new(Values::new(list.values())?), starts.collect())
            }
            DataType::Struct(_) => {
                let fields = array.as_struct().columns().iter().map(Values::new).collect::<Result<_>>()?;
                Values::Struct(Arc::clone(array), fields)
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let entries: ArrayRef = Arc::new(map.entries().clone());
                let starts = map.value_offsets().iter().map(|at| usize::try_from(*at).unwrap_or_default());
                Values::Map(Arc::clone(array), Box::new(Values::new(&entries)?), starts.collect())
            }
            other => return exec_err!("surrogate_key takes no {other}"),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Values::Null => true,
            Values::Boolean(values) => values.is_null(row),
            Values::Signed(values) | Values::Date(values) | Values::Timestamp(values, _) => {
                values.is_null(row)
            }
            Values::Unsigned(values) => values.is_null(row),
            Values::Decimal(values, _) => values.is_null(row),
            Values::Float(values) => values.is_null(row),
            Values::Text(values) => values.is_null(row),
            Values::Binary(values) => values.is_null(row),
            Values::List(values, _, _) | Values::Struct(values, _) | Values::Map(values, _, _) => {
                values.is_null(row)
            }
        }
    }

    /// Adds a row's canonical bytes.
    fn write(&self, row: usize, bytes: &mut Vec<u8>) {
        if self.is_null(row) {
            return bytes.push(NULL);
        }
        match self {
            Values::Null => bytes.push(NULL),
            Values::Boolean(values) => bytes.extend([BOOLEAN, u8::from(values.value(row))]),
            Values::Signed(values) => number(INTEGER, i128::from(values.value(row)), bytes),
            Values::Unsigned(values) => number(INTEGER, i128::from(values.value(row)), bytes),
            Values::Decimal(values, scale) => decimal(values.value(row), *scale, bytes),
            Values::Float(values) => {
                // One zero and one NaN.
                let value = values.value(row);
                let value = if value == 0.0 {
                    0.0
                } else if value.is_nan() {
                    f64::NAN
                } else {
                    value
                };
                bytes.push(FLOAT);
                bytes.extend(value.to_bits().to_be_bytes());
            }
            Values::Text(values) => sized(TEXT, values.value(row).as_bytes(), bytes),
            Values::Binary(values) => sized(BINARY, values.value(row), bytes),
            Values::Date(values) => number(DATE, i128::from(values.value(row)), bytes),
            Values::Timestamp(values, unit) => number(TIMESTAMP, i128::from(values.value(row)) * unit, bytes),
            Values::List(_, elements, starts) => several(LIST, elements, starts, row, bytes),
            Values::Map(_, entries, starts) => several(MAP, entries, starts, row, bytes),
            Values::Struct(_, fields) => {
                length(STRUCT, fields.len(), bytes);
                fields.iter().for_each(|field| field.write(row, bytes));
            }
        }
    }
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> Values {
    match unit {
        TimeUnit::Second => {
            Values::Timestamp(array.as_primitive::<TimestampSecondType>().reinterpret_cast(), 1_000_000_000)
        }
        TimeUnit::Millisecond => {
            Values::Timestamp(array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(), 1_000_000)
        }
        TimeUnit::Microsecond => {
            Values::Timestamp(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(), 1_000)
        }
        TimeUnit::Nanosecond => {
            Values::Timestamp(array.as_primitive::<TimestampNanosecondType>().reinterpret_cast(), 1)
        }
    }
}

fn number(kind: u8, value: i128, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    bytes.extend(value.to_be_bytes());
}

/// A decimal without the zeros at its end; a whole one is an integer.
fn decimal(mut value: i128, mut scale: i8, bytes: &mut Vec<u8>) {
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    while scale < 0 {
        value = value.wrapping_mul(10);
        scale += 1;
    }
    if scale == 0 {
        return number(INTEGER, value, bytes);
    }
    number(DECIMAL, value, bytes);
    bytes.extend(scale.to_be_bytes());
}

fn length(kind: u8, length: usize, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    bytes.extend((length as u64).to_be_bytes());
}

fn sized(kind: u8, value: &[u8], bytes: &mut Vec<u8>) {
    length(kind, value.len(), bytes);
    bytes.extend(value);
}

fn several(kind: u8, elements: &Values, starts: &[usize], row: usize, bytes: &mut Vec<u8>) {
    let (start, end) = (starts[row], starts[row + 1]);
    length(kind, end - start, bytes);
    (start..end).for_each(|element| elements.write(element, bytes));
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SurrogateKey {
    signature: Signature,
}

impl SurrogateKey {
    pub(super) fn new() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SurrogateKey {
    fn name(&self) -> &str {
        "surrogate_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.iter().find(|argument| !is_hashed(argument)) {
            Some(other) => plan_err!("surrogate_key takes no {other}"),
            None => Ok(DataType::Int64),
        }
    }

    fn is_nullable(
        &self,
        _: &[datafusion::logical_expr::Expr],
        _: &dyn datafusion::common::ExprSchema,
    ) -> bool {
        false
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { arguments.number_rows };
        let arrays = arguments.args.iter().map(|value| value.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let columns = arrays.iter().map(Values::new).collect::<Result<Vec<_>>>()?;
        let mut bytes = vec![];
        let keys = (0..rows).map(|row| {
            bytes.clear();
            columns.iter().for_each(|column| column.write(row, &mut bytes));
            let mut first = [0_u8; 8];
            first.copy_from_slice(&Sha256::digest(&bytes)[..8]);
            i64::from_be_bytes(first)
        });
        let keys = Int64Array::from_iter_values(keys);
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(keys.value(0))))),
            false => Ok(ColumnarValue::Array(Arc::new(keys))),
        }
    }
}

/// True for the types that have canonical bytes.
fn is_hashed(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) => is_hashed(element.data_type()),
        DataType::Map(entries, _) => is_hashed(entries.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_hashed(field.data_type())),
        DataType::Decimal256(_, _) | DataType::Time32(_) | DataType::Time64(_) => false,
        DataType::Duration(_) | DataType::Interval(_) | DataType::Date64 => false,
        DataType::Null | DataType::Boolean | DataType::Date32 | DataType::Timestamp(_, _) => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            true
        }
        other => other.is_numeric() || other.is_string(),
    }
}
