//! PostgreSQL's JSON operators as functions: `->` is `json_get`, `->>` is `json_get_text`, `#>` and `#>>` take a path.

use super::rowwise::RowWise;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use arrow::json::LineDelimitedWriter;
use datafusion::common::{Result, exec_err};
use datafusion::scalar::ScalarValue;
use serde_json::Value;
use std::sync::Arc;

/// The functions. JSON is text here.
pub(super) const FUNCTIONS: [RowWise; 7] = [
    RowWise { name: "json_get", accepts: member, returns: text, body: |row| get(row, as_json) },
    RowWise { name: "json_get_text", accepts: member, returns: text, body: |row| get(row, as_text) },
    RowWise { name: "json_get_path", accepts: texts, returns: text, body: |row| get_path(row, as_json) },
    RowWise { name: "json_get_path_text", accepts: texts, returns: text, body: |row| get_path(row, as_text) },
    RowWise {
        name: "json_array_length",
        accepts: |types| (types.len() == 1).then(|| vec![DataType::Utf8]),
        returns: |_| DataType::Int32,
        body: |row| match parsed(&row[0])? {
            Value::Array(items) => Ok(ScalarValue::Int32(i32::try_from(items.len()).ok())),
            Value::Object(_) => exec_err!("cannot get array length of a non-array"),
            _ => exec_err!("cannot get array length of a scalar"),
        },
    },
    RowWise {
        name: "json_typeof",
        accepts: |types| (types.len() == 1).then(|| vec![DataType::Utf8]),
        returns: text,
        body: |row| {
            let name = match parsed(&row[0])? {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            Ok(ScalarValue::Utf8(Some(name.to_string())))
        },
    },
    RowWise {
        name: "row_as_json",
        accepts: |types| matches!(types, [DataType::Struct(_)]).then(|| types.to_vec()),
        returns: text,
        body: |row| row_as_json(&row[0]),
    },
];

/// An object of a struct's fields, those left out that are NULL.
fn row_as_json(row: &ScalarValue) -> Result<ScalarValue> {
    let ScalarValue::Struct(fields) = row else { return exec_err!("row_as_json takes a struct") };
    let schema = Arc::new(Schema::new(fields.fields().clone()));
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&RecordBatch::try_new(schema, fields.columns().to_vec())?)?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&writer.into_inner()).trim_end().to_string();
    Ok(ScalarValue::Utf8(Some(text)))
}

fn text(_: &[DataType]) -> DataType {
    DataType::Utf8
}

fn texts(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 2).then(|| vec![DataType::Utf8; 2])
}

/// A member's name or an item's position.
fn member(types: &[DataType]) -> Option<Vec<DataType>> {
    match types {
        [_, at] if at.is_integer() => Some(vec![DataType::Utf8, DataType::Int64]),
        _ => texts(types),
    }
}

fn parsed(value: &ScalarValue) -> Result<Value> {
    let text = value.try_as_str().flatten().unwrap_or_default();
    serde_json::from_str(text).or_else(|_| exec_err!("invalid input syntax for type json"))
}

fn get(row: &[ScalarValue], show: fn(&Value) -> Option<String>) -> Result<ScalarValue> {
    let value = parsed(&row[0])?;
    let found = match &row[1] {
        ScalarValue::Int64(Some(at)) => item(&value, *at),
        name => value.as_object().and_then(|members| members.get(name.try_as_str().flatten()?)),
    };
    Ok(ScalarValue::Utf8(found.and_then(show)))
}

/// Positions below zero count from the end.
fn item(value: &Value, at: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let at = if at < 0 { at + i64::try_from(items.len()).ok()? } else { at };
    items.get(usize::try_from(at).ok()?)
}

fn get_path(row: &[ScalarValue], show: fn(&Value) -> Option<String>) -> Result<ScalarValue> {
    let value = parsed(&row[0])?;
    let path = row[1].try_as_str().flatten().unwrap_or_default();
    let steps = path.trim_start_matches('{').trim_end_matches('}').split(',').map(str::trim);
    let found = steps.filter(|step| !step.is_empty()).try_fold(&value, |value, step| match value {
        Value::Array(_) => item(value, step.parse().ok()?),
        other => other.as_object()?.get(step),
    });
    Ok(ScalarValue::Utf8(found.and_then(show)))
}

fn as_json(value: &Value) -> Option<String> {
    Some(value.to_string())
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
