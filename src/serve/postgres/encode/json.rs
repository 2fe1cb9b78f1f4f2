//! Structs and maps as JSON.

use super::{Style, Writer, flat, list, text};
use crate::serve::Error;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};

/// The writer of values as JSON: numbers and booleans bare, lists, structs and maps as themselves, all else as text.
pub(super) fn writer(array: &ArrayRef, style: Style) -> Result<Writer, Error> {
    let (array, style) = (flat(array)?, style.of_json());
    Ok(match array.data_type() {
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let members = fields.iter().zip(columns.columns()).map(|(field, column)| {
                let mut name = BytesMut::new();
                put_string(field.name().as_bytes(), &mut name);
                Ok((name, Value::new(column, style)?))
            });
            let members = members.collect::<Result<Vec<_>, Error>>()?;
            Box::new(move |row, out| {
                out.put_u8(b'{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.put_u8(b',');
                    }
                    out.put_slice(name);
                    out.put_u8(b':');
                    value.put(row, out)?;
                }
                out.put_u8(b'}');
                Ok(())
            })
        }
        DataType::Map(..) => {
            let map = array.as_map().clone();
            let key = text::writer(map.keys(), text::item_oid(map.keys()), style)?;
            let value = Value::new(map.values(), style)?;
            Box::new(move |row, out| {
                let offsets = map.value_offsets();
                // Offsets are never negative.
                let at = |i: usize| usize::try_from(offsets[i]).unwrap_or(0);
                out.put_u8(b'{');
                for (i, entry) in (at(row)..at(row + 1)).enumerate() {
                    if i > 0 {
                        out.put_u8(b',');
                    }
                    let mut name = BytesMut::new();
                    key(entry, &mut name)?;
                    put_string(&name, out);
                    out.put_u8(b':');
                    value.put(entry, out)?;
                }
                out.put_u8(b'}');
                Ok(())
            })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            let (values, ranges) = list::parts(&array)?;
            let value = Value::new(&values, style)?;
            Box::new(move |row, out| {
                out.put_u8(b'[');
                for (i, at) in ranges(row).enumerate() {
                    if i > 0 {
                        out.put_u8(b',');
                    }
                    value.put(at, out)?;
                }
                out.put_u8(b']');
                Ok(())
            })
        }
        DataType::Boolean => {
            let array = array.as_boolean().clone();
            Box::new(move |row, out| {
                out.put_slice(if array.value(row) { b"true" } else { b"false" });
                Ok(())
            })
        }
        DataType::Float32 | DataType::Float64 => {
            let number = text::writer(&array, text::item_oid(&array), style)?;
            Box::new(move |row, out| {
                let start = out.len();
                number(row, out)?;
                // JSON has no such numbers.
                if out[start..].iter().any(|byte| matches!(byte, b'N' | b'I')) {
                    let word = out.split_off(start);
                    put_string(&word, out);
                }
                Ok(())
            })
        }
        DataType::Timestamp(_, zone) => {
            let is_zoned = zone.is_some();
            let plain = text::writer(&array, text::item_oid(&array), style)?;
            Box::new(move |row, out| {
                let mut value = BytesMut::new();
                plain(row, &mut value)?;
                put_moment(&value, is_zoned, out);
                Ok(())
            })
        }
        data_type if data_type.is_numeric() => text::writer(&array, text::item_oid(&array), style)?,
        _ => {
            let plain = text::writer(&array, text::item_oid(&array), style)?;
            Box::new(move |row, out| {
                let mut value = BytesMut::new();
                plain(row, &mut value)?;
                put_string(&value, out);
                Ok(())
            })
        }
    })
}

/// A column's values as JSON.
pub(in crate::serve::postgres) struct Value {
    nulls: Option<NullBuffer>,
    write: Writer,
}

impl Value {
    /// The values of an array.
    pub(in crate::serve::postgres) fn new(array: &ArrayRef, style: Style) -> Result<Self, Error> {
        Ok(Self { nulls: array.logical_nulls(), write: writer(array, style)? })
    }

    /// Writes one of them, `null` where it is.
    pub(in crate::serve::postgres) fn put(&self, row: usize, out: &mut BytesMut) -> Result<(), Error> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.put_slice(b"null");
            return Ok(());
        }
        (self.write)(row, out)
    }
}

/// A moment as ISO 8601 has it: a `T` between date and time, a zone with minutes.
fn put_moment(text: &[u8], is_zoned: bool, out: &mut BytesMut) {
    let text = String::from_utf8_lossy(text).replacen(' ', "T", 1);
    let is_short = is_zoned && text.rfind(['+', '-']).is_some_and(|sign| text.len() - sign == 3);
    put_string(if is_short { text + ":00" } else { text }.as_bytes(), out);
}

/// A JSON string. The text is UTF-8 already.
fn put_string(text: &[u8], out: &mut BytesMut) {
    out.put_u8(b'"');
    for byte in text {
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            control @ 0..=31 => out.put_slice(format!("\\u{control:04x}").as_bytes()),
            byte => out.put_u8(*byte),
        }
    }
    out.put_u8(b'"');
}
