//! Columns to `DataRow`s and rows of `COPY`, in text or binary.
//!
//! Comes in: a batch and the format of each column. Goes out: bytes of whole messages. What a column is gets decided once
//! a batch; a row then only calls its columns' writers. Text is PostgreSQL's to the letter, binary its send functions'.

mod binary;
mod copy;
mod interval;
mod json;
mod list;
mod numeric;
mod style;
mod text;
mod time;

#[cfg(test)]
mod tests;

pub(super) use copy::Copier;
pub(super) use json::Value as JsonValue;
pub(in crate::serve) use style::Forms;
pub(super) use style::Style;

use super::types::Column;
use crate::serve::Error;
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// As PostgreSQL prints it.
    #[default]
    Text,
    /// As its send function sends it.
    Binary,
}

impl Format {
    /// The format of a code in a message.
    pub(super) fn of(code: i16) -> Result<Self, Error> {
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            _ => Err(Error::new("22023", format!("unsupported format code: {code}"))),
        }
    }

    /// Its code.
    pub(super) fn code(self) -> i16 {
        i16::from(self == Format::Binary)
    }
}

/// Writes the value of a row, which is not null.
type Writer = Box<dyn Fn(usize, &mut BytesMut) -> Result<(), Error> + Send>;

/// Writes the rows of one batch.
pub(super) struct Encoder {
    cells: Vec<Cell>,
}

struct Cell {
    nulls: Option<NullBuffer>,
    write: Writer,
}

impl Encoder {
    /// An encoder of a batch.
    pub(super) fn new(
        batch: &RecordBatch,
        columns: &[Column],
        formats: &[Format],
        style: Style,
    ) -> Result<Self, Error> {
        let cells = batch.columns().iter().zip(columns).zip(formats).map(|((array, column), format)| {
            let array = flat(array)?;
            let write = match format {
                Format::Text => text::writer(&array, column.oid, style)?,
                Format::Binary => binary::writer(&array, column.oid)?,
            };
            Ok(Cell { nulls: array.logical_nulls(), write })
        });
        Ok(Self { cells: cells.collect::<Result<_, Error>>()? })
    }

    /// Appends a row as a `DataRow`; on failure nothing is appended.
    pub(super) fn write(&self, row: usize, out: &mut BytesMut) -> Result<(), Error> {
        message(b'D', out, |out| self.values(row, out))
    }
}

impl Cell {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// The values of an array as text; `oid` is their type.
pub(super) fn texts(array: &ArrayRef, oid: u32, style: Style) -> Result<StringArray, Error> {
    let write = text::writer(array, oid, style)?;
    let nulls = array.logical_nulls();
    let mut texts = StringBuilder::new();
    let mut value = BytesMut::new();
    for row in 0..array.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            texts.append_null();
            continue;
        }
        value.clear();
        write(row, &mut value)?;
        texts.append_value(String::from_utf8_lossy(&value));
    }
    Ok(texts.finish())
}

/// Appends a message with its length; on failure nothing is appended.
fn message(
    kind: u8,
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), Error>,
) -> Result<(), Error> {
    let start = out.len();
    out.put_u8(kind);
    out.put_i32(0);
    if let Err(error) = write(out) {
        out.truncate(start);
        return Err(error);
    }
    match i32::try_from(out.len() - start - 1) {
        Ok(length) => {
            out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(_) => {
            out.truncate(start);
            Err(Error::new("54000", "a row is larger than 2 GiB"))
        }
    }
}

/// Writes a value with its length before it.
fn sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), Error>) -> Result<(), Error> {
    let start = out.len();
    out.put_i32(0);
    write(out)?;
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Error::new("54000", "a value is larger than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Values themselves instead of an encoding of them, and one type each for what has several widths.
fn flat(array: &ArrayRef) -> Result<ArrayRef, Error> {
    let target = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::RunEndEncoded(_, values) => values.data_type().clone(),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::ListView(item) => DataType::List(item.clone()),
        DataType::LargeListView(item) => DataType::LargeList(item.clone()),
        DataType::LargeUtf8 => DataType::Utf8View,
        DataType::LargeBinary => DataType::BinaryView,
        _ => return Ok(array.clone()),
    };
    flat(&cast(array, &target)?)
}

fn unsupported(data_type: &DataType) -> Error {
    Error::new("0A000", format!("values of type {data_type} cannot be sent"))
        .with_hint("Cast the column to text or to another type.")
}
