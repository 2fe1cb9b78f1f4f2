//! Columns under construction: values are appended as they are read, and taken back when their record proves bad.
//!
//! A column knows its length, so no flag says whether a record has set it: it has when the column is one longer than
//! the rows before it. Whoever gets a [`Fault`] from an append truncates the column.

use super::fault::{Fault, Outcome};
use super::lookup::Lookup;
use super::{json, scalar, time};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array, ListArray, NullBufferBuilder,
    PrimitiveArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Date32Type, FieldRef, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit,
};
use arrow::error::ArrowError;
use std::mem;
use std::sync::Arc;

/// The columns of a record, or of a STRUCT.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) fields: Vec<RowField>,
    pub(super) lookup: Lookup,
}

/// One column of a row.
#[derive(Debug)]
pub(super) struct RowField {
    pub(super) field: FieldRef,
    pub(super) column: Column,
}

/// A column under construction.
#[derive(Debug)]
pub(super) struct Column {
    /// Which it is, with what it holds.
    pub(super) values: Values,
    data_type: DataType,
    valid: NullBufferBuilder,
}

/// A column's values so far; NULL has a placeholder.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Date(Vec<i32>),
    Timestamp { values: Vec<i64>, zone: Option<Arc<str>> },
    Text(Bytes),
    Binary(Bytes),
    Struct(Row),
    List { item: Box<RowField>, ends: Vec<i32> },
}

/// Values of any length, end to end.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Row {
    /// Empty columns for these fields; names the first that no decoder can fill.
    pub(super) fn new<'a>(fields: impl Iterator<Item = &'a FieldRef>) -> Result<Self, String> {
        let fields = fields.map(RowField::new).collect::<Result<Vec<_>, String>>()?;
        let lookup = Lookup::new(fields.iter().map(|f| f.field.name().as_str()));
        Ok(Self { fields, lookup })
    }

    /// Takes back all rows from `length` on.
    pub(super) fn truncate(&mut self, length: usize) {
        for field in &mut self.fields {
            field.column.truncate(length);
        }
    }

    /// Makes room for so many more rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        for field in &mut self.fields {
            field.column.reserve(rows);
        }
    }

    /// Gives NULL to the columns that row `row` has not set; a column that must not be NULL is a fault.
    pub(super) fn complete(&mut self, row: usize) -> Outcome {
        for RowField { field, column } in &mut self.fields {
            if column.len() == row {
                if !field.is_nullable() {
                    return Err(Fault::not_null().within(field.name()));
                }
                column.append_null();
            }
        }
        Ok(())
    }

    /// The columns as arrays, in order; the row is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.fields.iter_mut().map(|f| f.column.finish()).collect()
    }
}

impl RowField {
    fn new(field: &FieldRef) -> Result<Self, String> {
        let column =
            Column::new(field.data_type()).map_err(|why| format!("column \"{}\": {why}", field.name()))?;
        Ok(Self { field: Arc::clone(field), column })
    }
}

impl Column {
    fn new(data_type: &DataType) -> Result<Self, String> {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Values::Timestamp { values: Vec::new(), zone: zone.clone() }
            }
            DataType::Utf8 => Values::Text(Bytes::new()),
            DataType::Binary => Values::Binary(Bytes::new()),
            DataType::Struct(fields) => Values::Struct(Row::new(fields.iter())?),
            DataType::List(item) => Values::List { item: Box::new(RowField::new(item)?), ends: vec![0] },
            other => return Err(format!("no record can be read as {other}")),
        };
        Ok(Self { values, data_type: data_type.clone(), valid: NullBufferBuilder::new(0) })
    }

    /// Values so far, NULLs included.
    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// The type it becomes.
    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Says that a value was put into [`Column::values`].
    pub(super) fn appended(&mut self) -> Outcome {
        self.valid.append_non_null();
        Ok(())
    }

    pub(super) fn append_null(&mut self) {
        self.valid.append_null();
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp { values, .. } => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Text(values) | Values::Binary(values) => values.end(),
            Values::Struct(row) => row.fields.iter_mut().for_each(|f| f.column.append_null()),
            Values::List { item, ends } => ends.push(length_i32(item.column.len())),
        }
    }

    /// Takes back all values from `length` on, and what a failed append left behind.
    pub(super) fn truncate(&mut self, length: usize) {
        if self.valid.len() > length {
            self.valid.truncate(length);
        }
        match &mut self.values {
            Values::Boolean(values) => values.truncate(length),
            Values::Int8(values) => values.truncate(length),
            Values::Int16(values) => values.truncate(length),
            Values::Int32(values) | Values::Date(values) => values.truncate(length),
            Values::Int64(values) | Values::Timestamp { values, .. } => values.truncate(length),
            Values::Float32(values) => values.truncate(length),
            Values::Float64(values) => values.truncate(length),
            Values::Decimal { values, .. } => values.truncate(length),
            Values::Text(values) | Values::Binary(values) => values.truncate(length),
            Values::Struct(row) => row.truncate(length),
            Values::List { item, ends } => {
                ends.truncate(length + 1);
                item.column.truncate(last_end(ends));
            }
        }
    }

    /// Reads text: what a JSON string or a CSV field holds. Blanks around anything but text do not count.
    pub(super) fn append_text(&mut self, text: &str) -> Outcome {
        if let Values::Text(values) = &mut self.values {
            if text.as_bytes().contains(&0) {
                return Err(Fault::encoding("text cannot hold the NUL character"));
            }
            values.bytes.extend_from_slice(text.as_bytes());
            values.end();
            return self.appended();
        }
        let trimmed = text.trim_ascii();
        let read = match &mut self.values {
            Values::Boolean(values) => scalar::boolean(trimmed).map(|value| values.append(value)),
            Values::Date(values) => time::date(trimmed.as_bytes()).map(|value| values.push(value)),
            Values::Timestamp { values, .. } => {
                time::timestamp(trimmed.as_bytes()).map(|value| values.push(value))
            }
            Values::Binary(values) => scalar::binary(text, &mut values.bytes).map(|()| values.end()),
            _ => self.push_number(trimmed),
        };
        match read {
            Some(()) => self.appended(),
            None => Err(Fault::mismatched_text(text, &self.data_type)),
        }
    }

    /// Reads a number as JSON writes it, unquoted.
    pub(super) fn append_number(&mut self, text: &str) -> Outcome {
        let read = match &mut self.values {
            Values::Timestamp { values, .. } => time::epoch(text.as_bytes()).map(|value| values.push(value)),
            Values::Text(values) => {
                values.bytes.extend_from_slice(text.as_bytes());
                values.end();
                Some(())
            }
            _ => self.push_number(text),
        };
        match read {
            Some(()) => self.appended(),
            None => Err(Fault::mismatch(text.as_bytes(), &self.data_type)),
        }
    }

    /// Reads a CSV field, whose STRUCTs and LISTs are JSON.
    pub(super) fn append_field(&mut self, text: &str, nesting: &mut Vec<u8>) -> Outcome {
        match &self.values {
            Values::Struct(_) | Values::List { .. } => {
                match json::read_nested(text.as_bytes(), self, nesting) {
                    Err(fault) if fault.is_fatal() => Err(Fault::mismatched_text(text, &self.data_type)),
                    outcome => outcome,
                }
            }
            _ => self.append_text(text),
        }
    }

    /// Pushes a number into a numeric column; `None` if it is no number, does not fit, or the column is not numeric.
    fn push_number(&mut self, text: &str) -> Option<()> {
        let bytes = text.as_bytes();
        match &mut self.values {
            Values::Int8(values) => values.push(scalar::integer(bytes)?.try_into().ok()?),
            Values::Int16(values) => values.push(scalar::integer(bytes)?.try_into().ok()?),
            Values::Int32(values) => values.push(scalar::integer(bytes)?.try_into().ok()?),
            Values::Int64(values) => values.push(scalar::integer(bytes)?),
            Values::Float32(values) => values.push(scalar::float32(text)?),
            Values::Float64(values) => values.push(scalar::float64(text)?),
            Values::Decimal { values, precision, scale } => {
                values.push(scalar::decimal(bytes, *precision, *scale)?);
            }
            _ => return None,
        }
        Some(())
    }

    fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.reserve(rows),
            Values::Int8(values) => values.reserve(rows),
            Values::Int16(values) => values.reserve(rows),
            Values::Int32(values) | Values::Date(values) => values.reserve(rows),
            Values::Int64(values) | Values::Timestamp { values, .. } => values.reserve(rows),
            Values::Float32(values) => values.reserve(rows),
            Values::Float64(values) => values.reserve(rows),
            Values::Decimal { values, .. } => values.reserve(rows),
            Values::Text(values) | Values::Binary(values) => values.ends.reserve(rows),
            Values::Struct(row) => row.reserve(rows),
            Values::List { ends, .. } => ends.reserve(rows),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let length = self.valid.len();
        let nulls = self.valid.finish();
        Ok(match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int8(values) => primitive::<Int8Type>(values, nulls)?,
            Values::Int16(values) => primitive::<Int16Type>(values, nulls)?,
            Values::Int32(values) => primitive::<Int32Type>(values, nulls)?,
            Values::Int64(values) => primitive::<Int64Type>(values, nulls)?,
            Values::Float32(values) => primitive::<Float32Type>(values, nulls)?,
            Values::Float64(values) => primitive::<Float64Type>(values, nulls)?,
            Values::Date(values) => primitive::<Date32Type>(values, nulls)?,
            Values::Decimal { values, precision, scale } => Arc::new(
                Decimal128Array::try_new(scalars(values), nulls)?
                    .with_precision_and_scale(*precision, *scale)?,
            ),
            Values::Timestamp { values, zone } => Arc::new(
                TimestampMicrosecondArray::try_new(scalars(values), nulls)?.with_timezone_opt(zone.clone()),
            ),
            Values::Text(values) => {
                let (offsets, bytes) = values.finish();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Binary(values) => {
                let (offsets, bytes) = values.finish();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Struct(row) => {
                let fields = row.fields.iter().map(|f| Arc::clone(&f.field)).collect();
                Arc::new(StructArray::try_new_with_length(fields, row.finish()?, nulls, length)?)
            }
            Values::List { item, ends } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(mem::replace(ends, vec![0])));
                let items = item.column.finish()?;
                Arc::new(ListArray::try_new(Arc::clone(&item.field), offsets, items, nulls)?)
            }
        })
    }
}

impl Bytes {
    fn new() -> Self {
        Self { bytes: Vec::new(), ends: vec![0] }
    }

    /// The bytes put in since the last end are a value.
    pub(super) fn end(&mut self) {
        self.ends.push(length_i32(self.bytes.len()));
    }

    fn truncate(&mut self, length: usize) {
        self.ends.truncate(length + 1);
        self.bytes.truncate(last_end(&self.ends));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        // What the next batch will need is about what this one did.
        let next = Vec::with_capacity(self.bytes.len());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(mem::replace(&mut self.ends, vec![0])));
        (offsets, Buffer::from_vec(mem::replace(&mut self.bytes, next)))
    }
}

/// The end of a list's items so far.
pub(super) fn length_i32(length: usize) -> i32 {
    // No column holds more than the payloads it came from, whose sum the buffer keeps below this.
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn last_end(ends: &[i32]) -> usize {
    ends.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
}

fn scalars<T: ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(mem::take(values))
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<arrow::buffer::NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(PrimitiveArray::<T>::try_new(scalars(values), nulls)?))
}
