//! PostgreSQL's JSON operators as functions: `->` is `json_get`, `->>` is `json_get_text`, `#>` and `#>>` take a path. What
//! they take out stays as it is written.

use super::json_rows::{Members, json, read, text as unquoted, written};
use super::rowwise::RowWise;
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::json::LineDelimitedWriter;
use datafusion::common::{Result, exec_err};
use datafusion::scalar::ScalarValue;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The functions. JSON is text here.
pub(super) const FUNCTIONS: [RowWise; 9] = [
    RowWise { name: "json_get", accepts: by_name_or_place, returns: text, body: |row| get(row, written) },
    RowWise {
        name: "json_get_text",
        accepts: by_name_or_place,
        returns: text,
        body: |row| get(row, unquoted),
    },
    RowWise { name: "json_get_path", accepts: path, returns: text, body: |row| get_path(row, written) },
    RowWise { name: "json_get_path_text", accepts: path, returns: text, body: |row| get_path(row, unquoted) },
    RowWise { name: "json_array_length", accepts: one, returns: |_| DataType::Int32, body: array_length },
    RowWise { name: "jsonb_array_length", accepts: one, returns: |_| DataType::Int32, body: array_length },
    RowWise { name: "json_typeof", accepts: one, returns: text, body: type_of },
    RowWise { name: "jsonb_typeof", accepts: one, returns: text, body: type_of },
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

fn one(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 1).then(|| vec![DataType::Utf8])
}

fn text(_: &[DataType]) -> DataType {
    DataType::Utf8
}

fn texts(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 2).then(|| vec![DataType::Utf8; 2])
}

/// A path, as a list of texts or as the text of one.
fn path(types: &[DataType]) -> Option<Vec<DataType>> {
    match types {
        [_, DataType::List(_)] => Some(vec![DataType::Utf8, DataType::new_list(DataType::Utf8, true)]),
        _ => texts(types),
    }
}

/// A member's name or an item's position.
fn by_name_or_place(types: &[DataType]) -> Option<Vec<DataType>> {
    match types {
        [_, at] if at.is_integer() => Some(vec![DataType::Utf8, DataType::Int64]),
        _ => texts(types),
    }
}

fn array_length(row: &[ScalarValue]) -> Result<ScalarValue> {
    match read(json(row))? {
        Value::Array(items) => Ok(ScalarValue::Int32(i32::try_from(items.len()).ok())),
        Value::Object(_) => exec_err!("cannot get array length of a non-array"),
        _ => exec_err!("cannot get array length of a scalar"),
    }
}

fn type_of(row: &[ScalarValue]) -> Result<ScalarValue> {
    let name = match read(json(row))? {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Ok(ScalarValue::Utf8(Some(name.to_string())))
}

fn get(row: &[ScalarValue], show: fn(&RawValue) -> Option<String>) -> Result<ScalarValue> {
    let value: Box<RawValue> = read(json(row))?;
    let found = match &row[1] {
        ScalarValue::Int64(Some(at)) => item(&value, *at),
        name => name.try_as_str().flatten().and_then(|name| member(&value, name)),
    };
    Ok(ScalarValue::Utf8(found.as_deref().and_then(show)))
}

fn member(value: &RawValue, name: &str) -> Option<Box<RawValue>> {
    // Of several of one name, the last counts.
    let members = Members::of(value)?.into_iter().rev();
    members.into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

fn item(value: &RawValue, at: i64) -> Option<Box<RawValue>> {
    let mut items: Vec<Box<RawValue>> = serde_json::from_str(value.get()).ok()?;
    let at = place(at, items.len())?;
    Some(items.swap_remove(at))
}

/// Which of so many items is meant: places below zero count from the end.
pub fn place(at: i64, length: usize) -> Option<usize> {
    let at = if at < 0 { at + i64::try_from(length).ok()? } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

fn get_path(row: &[ScalarValue], show: fn(&RawValue) -> Option<String>) -> Result<ScalarValue> {
    let steps: Vec<String> = match &row[1] {
        ScalarValue::List(list) => {
            let items = list.value(0);
            items.as_string::<i32>().iter().flatten().map(str::to_string).collect()
        }
        path => {
            let path = path.try_as_str().flatten().unwrap_or_default();
            let steps = path.trim_start_matches('{').trim_end_matches('}').split(',').map(str::trim);
            steps.filter(|step| !step.is_empty()).map(|step| step.trim_matches('"').to_string()).collect()
        }
    };
    let whole: Box<RawValue> = read(json(row))?;
    let found = steps.iter().try_fold(whole, |value, step| match value.get().starts_with('[') {
        true => item(&value, step.parse().ok()?),
        false => member(&value, step),
    });
    Ok(ScalarValue::Utf8(found.as_deref().and_then(show)))
}
