//! PostgreSQL's functions that make rows of JSON: `json_each`, `jsonb_array_elements`, `json_object_keys` and their like.
//!
//! Each gives a list here, of which readers' statements make rows; `json_each` and its like are two, for the keys and for
//! the values. Values stay as they are written.

use super::rowwise::RowWise;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::scalar::ScalarValue;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// The functions.
pub(super) const FUNCTIONS: [RowWise; 12] = [
    lists("json_object_keys", |row| keys(row, "json_object_keys")),
    lists("jsonb_object_keys", |row| keys(row, "jsonb_object_keys")),
    lists("json_each_keys", |row| each(row, None, |(key, _)| Some(key))),
    lists("jsonb_each_keys", |row| each(row, Some("jsonb_each"), |(key, _)| Some(key))),
    lists("json_each_values", |row| each(row, None, |(_, value)| written(&value))),
    lists("json_each_text_values", |row| each(row, None, |(_, value)| text(&value))),
    lists("jsonb_each_values", |row| each(row, Some("jsonb_each"), |(_, value)| written(&value))),
    lists("jsonb_each_text_values", |row| each(row, Some("jsonb_each_text"), |(_, value)| text(&value))),
    lists("json_array_elements", |row| items(row, Some("json_array_elements"), written)),
    lists("json_array_elements_text", |row| items(row, Some("json_array_elements_text"), text)),
    lists("jsonb_array_elements", |row| items(row, None, written)),
    lists("jsonb_array_elements_text", |row| items(row, None, text)),
];

const fn lists(name: &'static str, body: fn(&[ScalarValue]) -> Result<ScalarValue>) -> RowWise {
    RowWise {
        name,
        accepts: |types| (types.len() == 1).then(|| vec![DataType::Utf8]),
        returns: |_| DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        body,
    }
}

fn list(items: impl Iterator<Item = Option<String>>) -> ScalarValue {
    let items: Vec<ScalarValue> = items.map(ScalarValue::Utf8).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Utf8))
}

pub(super) fn json(row: &[ScalarValue]) -> &str {
    row[0].try_as_str().flatten().unwrap_or_default().trim_start()
}

pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|_| exec_datafusion_err!("invalid input syntax for type json"))
}

fn keys(row: &[ScalarValue], function: &str) -> Result<ScalarValue> {
    match json(row) {
        json if json.starts_with('{') => {
            Ok(list(read::<Members>(json)?.0.into_iter().map(|(key, _)| Some(key))))
        }
        json if json.starts_with('[') => exec_err!("cannot call {function} on an array"),
        _ => exec_err!("cannot call {function} on a scalar"),
    }
}

/// `function` is named in what is said of JSON that is no object, by those functions that do so.
fn each(
    row: &[ScalarValue],
    function: Option<&str>,
    of: fn((String, Box<RawValue>)) -> Option<String>,
) -> Result<ScalarValue> {
    let json = json(row);
    match (json.chars().next(), function) {
        (Some('{'), _) => Ok(list(read::<Members>(json)?.0.into_iter().map(of))),
        (_, Some(function)) => exec_err!("cannot call {function} on a non-object"),
        (Some('['), None) => exec_err!("cannot deconstruct an array as an object"),
        (_, None) => exec_err!("cannot deconstruct a scalar"),
    }
}

/// As [`each`], of JSON that is no array.
fn items(
    row: &[ScalarValue],
    function: Option<&str>,
    of: fn(&RawValue) -> Option<String>,
) -> Result<ScalarValue> {
    let json = json(row);
    match (json.chars().next(), function) {
        (Some('['), _) => Ok(list(read::<Vec<Box<RawValue>>>(json)?.iter().map(|item| of(item)))),
        (Some('{'), Some(function)) => exec_err!("cannot call {function} on a non-array"),
        (_, Some(function)) => exec_err!("cannot call {function} on a scalar"),
        (Some('{'), None) => exec_err!("cannot extract elements from an object"),
        (_, None) => exec_err!("cannot extract elements from a scalar"),
    }
}

pub(super) fn written(value: &RawValue) -> Option<String> {
    Some(value.get().to_string())
}

/// A text without its quotes, NULL for `null`, and anything else as it is written.
pub(super) fn text(value: &RawValue) -> Option<String> {
    match value.get() {
        "null" => None,
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).ok(),
        other => Some(other.to_string()),
    }
}

/// An object's members in their order, those of one name all of them.
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// None of what is no object.
    pub(super) fn of(value: &RawValue) -> Option<Vec<(String, Box<RawValue>)>> {
        serde_json::from_str::<Members>(value.get()).ok().map(|members| members.0)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}
