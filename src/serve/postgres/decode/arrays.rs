//! Arrays as clients send them, of one dimension or several.

use super::{Reader, binary_value, null, text_value};
use crate::serve::Error;
use crate::serve::datetime::Reading;
use crate::serve::postgres::types;
use arrow::datatypes::DataType;
use bytes::Buf as _;
use datafusion::common::ScalarValue;

/// Elements of an array parameter.
const ELEMENTS_MAX: usize = 1 << 20;
/// As PostgreSQL's `MAXDIM`.
const DIMENSIONS_MAX: usize = 6;

/// `{1,NULL}`, `{{1,2},{3,4}}`.
pub(super) fn of_text(element: u32, text: &str, reading: &Reading) -> Result<ScalarValue, Error> {
    read(element, text, reading, 1)?.ok_or_else(|| malformed(text))
}

/// `None` if it is malformed.
fn read(element: u32, text: &str, reading: &Reading, dimension: usize) -> Result<Option<ScalarValue>, Error> {
    if let Some(parts) = inner(text) {
        let Some(parts) = parts.filter(|_| dimension < DIMENSIONS_MAX) else { return Ok(None) };
        let parts = parts.into_iter().map(|part| read(element, part, reading, dimension + 1));
        let parts = parts.collect::<Result<Option<Vec<_>>, _>>()?;
        return Ok(parts.and_then(|parts| rows(&parts)));
    }
    let Some(items) = elements(text) else { return Ok(None) };
    let items = items.into_iter().map(|item| match item {
        Some(item) => text_value(element, &item, reading),
        None => null(element),
    });
    list(element, &items.collect::<Result<Vec<_>, _>>()?).map(Some)
}

fn malformed(text: &str) -> Error {
    Error::new("22P02", format!("malformed array literal: \"{text}\""))
}

/// The arrays in an array of arrays; `Some(None)` if what follows the first is none.
fn inner(text: &str) -> Option<Option<Vec<&str>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    inner.starts_with('{').then(|| {
        let (mut parts, mut start, mut depth, mut quoted, mut escaped) = (vec![], 0, 0_usize, false, false);
        for (at, letter) in inner.char_indices() {
            match letter {
                _ if std::mem::take(&mut escaped) => {}
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                '{' if !quoted => depth += 1,
                '}' if !quoted => depth = depth.checked_sub(1)?,
                ',' if !quoted && depth == 0 => {
                    parts.push(inner[start..at].trim());
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(inner[start..].trim());
        let is_array = |part: &&str| part.starts_with('{') && part.ends_with('}');
        (depth == 0 && parts.iter().all(is_array)).then_some(parts)
    })
}

/// Arrays as one of a dimension more; `None` if they are not alike.
fn rows(arrays: &[ScalarValue]) -> Option<ScalarValue> {
    let of = arrays.first()?.data_type();
    let length = |array: &ScalarValue| match array {
        ScalarValue::List(list) => Some(list.value(0).len()),
        _ => None,
    };
    let alike = |array: &ScalarValue| array.data_type() == of && length(array) == length(&arrays[0]);
    arrays.iter().all(alike).then(|| ScalarValue::List(ScalarValue::new_list_nullable(arrays, &of)))
}

fn list(element: u32, values: &[ScalarValue]) -> Result<ScalarValue, Error> {
    let item = types::arrow_type(element)?.unwrap_or(DataType::Utf8);
    let values = values.iter().map(|value| value.cast_to(&item)).collect::<Result<Vec<_>, _>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &item)))
}

/// The number of dimensions, whether there are NULLs, the type of elements; for each dimension length and lower bound;
/// the elements, the last dimension first.
pub(super) fn of_binary(reader: &mut Reader) -> Result<ScalarValue, Error> {
    let (dimensions, _nulls, element) = (reader.i32()?, reader.i32()?, reader.i32()? as u32);
    let dimensions = usize::try_from(dimensions).ok().filter(|count| *count <= DIMENSIONS_MAX);
    let mut lengths = Vec::new();
    for _ in 0..dimensions.ok_or_else(|| reader.malformed())? {
        let length = usize::try_from(reader.i32()?).map_err(|_| reader.malformed())?;
        let _lower = reader.i32()?;
        lengths.push(length);
    }
    let count = match lengths.as_slice() {
        [] => Some(0),
        lengths => lengths.iter().try_fold(1_usize, |count, length| count.checked_mul(*length)),
    };
    let count = count.filter(|count| *count <= ELEMENTS_MAX).ok_or_else(|| reader.malformed())?;
    let mut values = Vec::new();
    for _ in 0..count {
        let length = reader.i32()?;
        values.push(match usize::try_from(length) {
            Err(_) => null(element)?,
            Ok(length) if length <= reader.bytes.remaining() => {
                let mut item = Reader { oid: element, bytes: reader.bytes.split_to(length) };
                binary_value(element, &mut item)?
            }
            Ok(_) => return Err(reader.malformed()),
        });
    }
    let Some((last, outer)) = lengths.split_last().filter(|(last, outer)| **last > 0 && !outer.is_empty())
    else {
        return list(element, &values);
    };
    let mut arrays = values.chunks(*last).map(|items| list(element, items)).collect::<Result<Vec<_>, _>>()?;
    for length in outer.iter().skip(1).rev() {
        arrays = arrays.chunks(*length).filter_map(rows).collect();
    }
    rows(&arrays).ok_or_else(|| reader.malformed())
}

/// The elements of `{a,NULL,"b c"}`; arrays of one dimension.
pub(in crate::serve) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut letters = inner.chars().peekable();
    while letters.peek().is_some_and(|c| c.is_whitespace()) {
        letters.next();
    }
    if letters.peek().is_none() {
        return Some(elements);
    }
    loop {
        let (mut element, mut quoted, mut open) = (String::new(), false, false);
        let ended = loop {
            match letters.next() {
                None if open => return None,
                None => break true,
                Some('\\') => element.push(letters.next()?),
                Some('"') => {
                    quoted = true;
                    open = !open;
                }
                Some(',') if !open => break false,
                Some('{' | '}') if !open => return None,
                Some(letter) if !open && element.is_empty() && letter.is_whitespace() => {}
                Some(letter) => element.push(letter),
            }
        };
        let bare = element.trim_end();
        elements.push(match quoted {
            true => Some(element),
            false if bare.is_empty() => return None,
            false if bare.eq_ignore_ascii_case("null") => None,
            false => Some(bare.to_string()),
        });
        if elements.len() > ELEMENTS_MAX {
            return None;
        }
        if ended {
            return Some(elements);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::datetime::Order;

    fn text(text: &str) -> Result<ScalarValue, Error> {
        of_text(23, text, &Reading { zone: "UTC".to_string(), order: Order::Dmy })
    }

    #[test]
    fn elements_are_parted() {
        let some = |text: &str| Some(text.to_string());
        assert_eq!(elements("{}"), Some(vec![]));
        assert_eq!(
            elements(r#"{1, NULL ,"NULL","a,\"b"}"#),
            Some(vec![some("1"), None, some("NULL"), some("a,\"b")])
        );
        assert_eq!(elements("{1,{2}}"), None);
        assert_eq!(elements("{1,"), None);
        assert!(matches!(text("{1,2,NULL}").unwrap(), ScalarValue::List(list) if list.value(0).len() == 3));
    }

    #[test]
    fn arrays_of_arrays_are_alike() {
        let shown = |said: &str| text(said).map(|value| value.to_string());
        assert_eq!(shown("{{1,2},{3,NULL}}").unwrap(), "[[1, 2], [3, ]]");
        assert_eq!(shown(" { {1} , {2} } ").unwrap(), "[[1], [2]]");
        assert_eq!(shown("{{{1}},{{2}}}").unwrap(), "[[[1]], [[2]]]");
        for wrong in ["{{1,2},{3}}", "{{1},2}", "{{1},{{2}}}", "{{1}", "{{1},}", "{{{{{{{1}}}}}}}"] {
            assert_eq!(shown(wrong).unwrap_err().code, "22P02", "{wrong}");
        }
        let numbers = |numbers: &[i32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
        let items: Vec<u8> = [1, 2, 3, 4].iter().flat_map(|item| numbers(&[4, *item])).collect();
        let bytes = [numbers(&[2, 0, 23, 2, 1, 2, 1]), items].concat();
        let mut reader = Reader { oid: 1007, bytes: bytes.into() };
        assert_eq!(of_binary(&mut reader).unwrap().to_string(), "[[1, 2], [3, 4]]");
    }
}
