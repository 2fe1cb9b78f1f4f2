//! Whether a row is a person's: by the columns that say so, or by its bytes. Pure.
//!
//! Of a record that is JSON the fields are looked at, whatever is around them, and of a CSV record those of the column. What is
//! torn may hold the value anywhere: it is the person's when the value stands in it as a word.

use crate::ingest::decode::{Beside, CsvLayout};
use crate::lake::Reworked;
use crate::sql::remarks;
use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What stands in the place of the value in texts that must stay.
const ERASED: &str = "(erased)";

/// Which of these rows have the value in one of the columns.
pub fn told(rows: &RecordBatch, columns: &[String], value: &str) -> Result<BooleanArray, ArrowError> {
    let mut found = vec![false; rows.num_rows()];
    for column in columns.iter().filter_map(|name| rows.column_by_name(name)) {
        // What has no text, as lists and structs, is no value that says whose a row is.
        let Ok(texts) = cast(column, &DataType::Utf8) else { continue };
        for (found, text) in found.iter_mut().zip(texts.as_string::<i32>()) {
            *found |= text == Some(value);
        }
    }
    Ok(found.into())
}

/// What is looked at of the rows of a quarantine.
pub const LOOKED_AT: [&str; 3] = ["source", "raw", "beside"];

/// Which of these rows of a quarantine are records that are the person's; `layouts` are those of sources whose records are
/// CSV.
pub fn set_apart(
    rows: &RecordBatch,
    fields: &BTreeSet<String>,
    value: &str,
    layouts: &BTreeMap<String, CsvLayout>,
) -> Result<BooleanArray, ArrowError> {
    let raw = rows.column_by_name("raw").and_then(|column| column.as_binary_opt::<i32>());
    let text = |name: &str, row: usize| {
        let column = rows.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let found = (0..rows.num_rows()).map(|row| {
        let Some(raw) = raw.filter(|raw| raw.is_valid(row)).map(|raw| raw.value(row)) else { return false };
        let layout = text("source", row).and_then(|source| layouts.get(source));
        let beside = || text("beside", row).and_then(Beside::from_text);
        is_of(raw, value, fields, || layout?.values(raw, beside().as_ref(), fields))
    });
    Ok(found.map(Some).collect())
}

/// The rows without those found; `None` when there are none.
pub fn without(rows: &RecordBatch, found: &BooleanArray) -> Result<Option<Reworked>, ArrowError> {
    if found.true_count() == 0 {
        return Ok(None);
    }
    let (kept, went) = (filter_record_batch(rows, &not(found)?)?, filter_record_batch(rows, found)?);
    Ok(Some(Reworked { kept, went }))
}

/// The rows with the value blotted out of their texts; `None` when it is in none.
pub fn blotted(rows: &RecordBatch, value: &str) -> Result<Option<Reworked>, ArrowError> {
    let mut is_there = false;
    let columns = rows.columns().iter().map(|column| -> ArrayRef {
        let Some(texts) = column.as_string_opt::<i32>() else { return Arc::clone(column) };
        let blotted = texts.iter().map(|text| {
            let text = text?;
            is_there |= mentions(text, value) > 0;
            Some(blotted_text(text, value))
        });
        Arc::new(blotted.collect::<StringArray>())
    });
    let columns = columns.collect();
    let kept = RecordBatch::try_new(rows.schema(), columns)?;
    Ok(is_there.then(|| Reworked { kept, went: rows.slice(0, 0) }))
}

/// How often the value stands in a text.
pub fn mentions(text: &str, value: &str) -> usize {
    words(text.as_bytes(), value.as_bytes()).len()
}

/// A text with the value blotted out of it.
pub fn blotted_text(text: &str, value: &str) -> String {
    blotted_at(text, value, |_| true)
}

/// SQL with the value blotted out of its comments: it means what it meant.
pub fn blotted_remarks(sql: &str, value: &str) -> String {
    let remarks = if mentions(sql, value) > 0 { remarks(sql) } else { vec![] };
    blotted_at(sql, value, |place| remarks.iter().any(|remark| remark.contains(&place)))
}

/// A text with the value blotted out at some of its places.
fn blotted_at(text: &str, value: &str, goes: impl Fn(usize) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for place in words(text.as_bytes(), value.as_bytes()).into_iter().filter(|place| goes(*place)) {
        kept.push_str(text.get(from..place).unwrap_or_default());
        kept.push_str(ERASED);
        from = place + value.len();
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    kept
}

/// Whether a record is the person's; `of_csv` gives what stands in the fields, should it be CSV that is whole.
fn is_of(
    record: &[u8],
    value: &str,
    fields: &BTreeSet<String>,
    of_csv: impl FnOnce() -> Option<Vec<String>>,
) -> bool {
    let is_in = |bytes: &[u8]| !words(bytes, value.as_bytes()).is_empty();
    match serde_json::from_slice::<serde_json::Value>(record) {
        Ok(json @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => {
            holds(&json, fields, value)
        }
        _ => match of_csv() {
            Some(values) => values.iter().any(|field| is_in(field.as_bytes())),
            None => is_in(record),
        },
    }
}

fn holds(json: &serde_json::Value, fields: &BTreeSet<String>, value: &str) -> bool {
    use serde_json::Value as V;
    let is_value = |json: &V| match json {
        V::String(text) => text == value,
        V::Number(number) => number.to_string() == value,
        _ => false,
    };
    match json {
        V::Array(items) => items.iter().any(|item| holds(item, fields, value)),
        V::Object(members) => members.iter().any(|(name, inside)| {
            let is_field = fields.iter().any(|field| field.eq_ignore_ascii_case(name));
            is_field && is_value(inside) || holds(inside, fields, value)
        }),
        _ => false,
    }
}

/// Where a value stands in bytes as a word: with no letter or digit beside it.
fn words(bytes: &[u8], value: &[u8]) -> Vec<usize> {
    if value.is_empty() {
        return vec![];
    }
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    let is_word = |place: &usize| {
        let before = place.checked_sub(1).and_then(|at| bytes.get(at));
        !is_part(before) && !is_part(bytes.get(place + value.len()))
    };
    memchr::memmem::find_iter(bytes, value).filter(is_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, Int64Array};

    #[test]
    fn records_are_known_by_their_fields() {
        let fields = BTreeSet::from(["customer_id".to_string()]);
        for (record, is_persons) in [
            (r#"{"customer_id": 42, "n": 1}"#, true),
            (r#"{"Customer_ID": "42"}"#, true),
            (r#"{"customer_id": 420, "n": 42}"#, false),
            (r#"{"after": [{"customer_id": 42}]}"#, true),
            (r#"{"customer_id": 42"#, true),
            ("7,42,x", true),
            ("7,420,x42", false),
            ("42", true),
            ("", false),
        ] {
            assert_eq!(is_of(record.as_bytes(), "42", &fields, || None), is_persons, "{record}");
        }
    }

    #[test]
    fn lines_are_known_by_the_field_of_the_column() {
        let fields = BTreeSet::from(["customer_id".to_string()]);
        let is_persons = |values: Option<&str>| {
            is_of(b"7,42,x", "42", &fields, || values.map(|value| vec![value.to_string()]))
        };
        assert_eq!([Some("42"), Some("42.0"), Some("7"), None].map(is_persons), [true, true, false, true]);
    }

    #[test]
    fn columns_say_whose_a_row_is() {
        let id: ArrayRef = Arc::new(Int64Array::from(vec![Some(42), Some(420), None]));
        let raw: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"42", b"", b""]));
        let rows = RecordBatch::try_from_iter([("id", id), ("raw", raw)]).unwrap();
        let found = told(&rows, &["id".to_string()], "42").unwrap();
        assert_eq!(found, BooleanArray::from(vec![true, false, false]));
        let reworked = without(&rows, &found).unwrap().unwrap();
        assert_eq!((reworked.kept.num_rows(), reworked.went.num_rows()), (2, 1));
        assert!(without(&rows, &told(&rows, &["id".to_string()], "4").unwrap()).unwrap().is_none());
        let apart = set_apart(&rows, &BTreeSet::new(), "42", &BTreeMap::new()).unwrap();
        assert_eq!(apart, BooleanArray::from(vec![true, false, false]));
    }

    #[test]
    fn texts_are_blotted() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("id = '42' OR x42 = 42"), None]));
        let rows = RecordBatch::try_from_iter([("statement", text)]).unwrap();
        let blotted = super::blotted(&rows, "42").unwrap().unwrap().kept;
        let texts = blotted.column(0).as_string::<i32>();
        assert_eq!((texts.value(0), texts.is_null(1)), ("id = '(erased)' OR x42 = (erased)", true));
        assert!(super::blotted(&rows, "43").unwrap().is_none());
    }

    #[test]
    fn sql_means_what_it_meant() {
        let text = "-- not 42's\nSELECT 42, '42 --' /* 42,\n42 */ FROM t42 -- 42";
        let blotted = blotted_remarks(text, "42");
        let expected = "-- not (erased)'s\nSELECT 42, '42 --' /* (erased),\n(erased) */ FROM t42 -- (erased)";
        assert_eq!(blotted, expected);
        assert_eq!((mentions(text, "42"), mentions(&blotted, "42")), (6, 2));
        assert_eq!(blotted_remarks("SELECT 'torn 42 -- 42", "42"), "SELECT 'torn 42 -- 42");
    }
}
