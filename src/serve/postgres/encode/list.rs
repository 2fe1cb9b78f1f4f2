//! Lists as PostgreSQL's arrays: `{1,NULL,"a b"}`, and their binary form.

use super::super::types::{self, oid};
use super::{Style, Writer, binary, flat, sized, text, unsupported};
use crate::serve::Error;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};
use std::ops::Range;

/// Where the values of a row's list lie among all values.
type Ranges = Box<dyn Fn(usize) -> Range<usize> + Send>;

/// A list's values and where each row's lie.
pub(super) fn parts(array: &ArrayRef) -> Result<(ArrayRef, Ranges), Error> {
    Ok(match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>().clone();
            let values = list.values().clone();
            (values, Box::new(move |row| range(list.value_offsets(), row)))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>().clone();
            let values = list.values().clone();
            (values, Box::new(move |row| range(list.value_offsets(), row)))
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list().clone();
            let (values, size) = (list.values().clone(), usize::try_from(*size).unwrap_or(0));
            (values, Box::new(move |row| row * size..(row + 1) * size))
        }
        other => return Err(unsupported(other)),
    })
}

fn range<O: Copy + TryInto<usize>>(offsets: &[O], row: usize) -> Range<usize> {
    // Offsets are never negative.
    let at = |i: usize| offsets[i].try_into().unwrap_or(0);
    at(row)..at(row + 1)
}

fn is_list(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

/// The text form. The vectors of system catalogs are written without braces.
pub(super) fn text(array: &ArrayRef, oid: u32, style: Style) -> Result<Writer, Error> {
    let (values, ranges) = parts(array)?;
    let values = flat(&values)?;
    let write =
        text::writer(&values, types::element_of(oid).unwrap_or_else(|| text::item_oid(&values)), style)?;
    let nulls = values.logical_nulls();
    let nested = is_list(&values);
    if oid == oid::INT2VECTOR || oid == oid::OIDVECTOR {
        return Ok(Box::new(move |row, out| {
            for (i, value) in ranges(row).enumerate() {
                if i > 0 {
                    out.put_u8(b' ');
                }
                write(value, out)?;
            }
            Ok(())
        }));
    }
    Ok(Box::new(move |row, out| {
        let mut value_text = BytesMut::new();
        out.put_u8(b'{');
        for (i, value) in ranges(row).enumerate() {
            if i > 0 {
                out.put_u8(b',');
            }
            if is_null(&nulls, value) {
                out.put_slice(b"NULL");
            } else if nested {
                write(value, out)?;
            } else {
                value_text.clear();
                write(value, &mut value_text)?;
                quote(&value_text, out);
            }
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn is_null(nulls: &Option<NullBuffer>, row: usize) -> bool {
    nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
}

/// An element, quoted where it would be read as something else.
fn quote(text: &[u8], out: &mut BytesMut) {
    let special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace();
    if !text.is_empty() && !text.iter().any(special) && !text.eq_ignore_ascii_case(b"null") {
        return out.put_slice(text);
    }
    out.put_u8(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

/// The binary form (`array_send`). Lists of lists are arrays of several dimensions if they are boxes.
pub(super) fn binary(array: &ArrayRef, oid: u32) -> Result<Writer, Error> {
    let mut levels = Vec::new();
    let mut values = flat(array)?;
    let mut level_nulls = Vec::new();
    while is_list(&values) {
        let (inner, ranges) = parts(&values)?;
        level_nulls.push(values.logical_nulls());
        levels.push(ranges);
        values = flat(&inner)?;
    }
    // An array of arrays has its elements' array type, whatever its depth.
    let element = types::element_of(oid).unwrap_or_else(|| text::item_oid(&values));
    let (element, lower) = match oid {
        oid::INT2VECTOR => (oid::INT2, 0),
        oid::OIDVECTOR => (oid::OID, 0),
        _ => (element, 1),
    };
    let write = binary::writer(&values, element)?;
    let nulls = values.logical_nulls();
    Ok(Box::new(move |row, out| {
        let mut extents: Vec<usize> = Vec::new();
        let mut rows = row..row + 1;
        for (depth, ranges) in levels.iter().enumerate() {
            if depth > 0 && rows.clone().any(|row| is_null(&level_nulls[depth], row)) {
                return Err(not_a_box());
            }
            let mut extent = None;
            let (mut first, mut last) = (None, 0);
            for row in rows.clone() {
                let range = ranges(row);
                if extent.is_some_and(|extent| extent != range.len()) {
                    return Err(not_a_box());
                }
                extent = Some(range.len());
                first.get_or_insert(range.start);
                last = range.end;
            }
            extents.push(extent.unwrap_or(0));
            rows = first.unwrap_or(0)..last;
        }
        if rows.is_empty() {
            extents.clear();
        }
        let has_nulls = rows.clone().any(|value| is_null(&nulls, value));
        out.put_i32(extents.len() as i32);
        out.put_i32(i32::from(has_nulls));
        out.put_u32(element);
        for extent in &extents {
            out.put_i32(*extent as i32);
            out.put_i32(lower);
        }
        for value in rows {
            match is_null(&nulls, value) {
                true => out.put_i32(-1),
                false => sized(out, |out| write(value, out))?,
            }
        }
        Ok(())
    }))
}

fn not_a_box() -> Error {
    Error::new("2202E", "multidimensional arrays must have sub-arrays with matching dimensions")
        .with_hint("Fetch the column in text.")
}
