//! Functions that make another JSON of one: `jsonb_set`, `jsonb_insert`, `jsonb_strip_nulls`, `jsonb_pretty`; and
//! `json_object`, which makes one of texts.

use super::json::printed;
use super::row::{Cell, RowFunction, text};
use crate::engine::functions::json_place;
use crate::serve::Error;
use crate::serve::postgres::decode::array_elements;
use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType::{self, Utf8};
use datafusion::error::{DataFusionError, Result};
use serde_json::Value;

/// The functions.
pub fn functions() -> Vec<RowFunction> {
    let jsonb = |value: &Value| Ok(text(printed(value)));
    vec![
        RowFunction::new("jsonb_set", 3..=4, Utf8, move |row| {
            let creates = !matches!(row.get(3), Some(Cell::Bool(false)));
            jsonb(&changed(row, Change::Set { creates })?)
        })
        .of_type("jsonb"),
        RowFunction::new("jsonb_insert", 3..=4, Utf8, move |row| {
            let behind = matches!(row.get(3), Some(Cell::Bool(true)));
            jsonb(&changed(row, Change::Insert { behind })?)
        })
        .of_type("jsonb"),
        RowFunction::new("jsonb_strip_nulls", 1..=1, Utf8, move |row| jsonb(&without_nulls(read(&row[0])?)))
            .of_type("jsonb"),
        RowFunction::new("json_strip_nulls", 1..=1, Utf8, |row| {
            Ok(text(without_nulls(read(&row[0])?).to_string()))
        })
        .of_type("json"),
        RowFunction::new("jsonb_pretty", 1..=1, Utf8, |row| {
            let mut lines = String::new();
            pretty(&read(&row[0])?, 0, &mut lines);
            Ok(text(lines))
        }),
        RowFunction::new("json_object", 1..=2, Utf8, |row| Ok(text(object(row, " : ")?))).of_type("json"),
        RowFunction::new("jsonb_object", 1..=2, Utf8, |row| {
            Ok(text(super::jsonb_form::as_jsonb(&object(row, ":")?)?))
        })
        .of_type("jsonb"),
    ]
}

fn error(code: &'static str, message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Error::new(code, message)))
}

fn read(cell: &Cell<'_>) -> Result<Value> {
    super::json::read(cell.text().unwrap_or_default())
}

/// The items of a list of texts, or of one that is still a text itself: `{a,b}`.
fn texts(cell: &Cell<'_>) -> Result<Vec<Option<String>>> {
    match cell {
        Cell::Other(items) => {
            let items = cast(items, &DataType::Utf8)?;
            Ok(items.as_string::<i32>().iter().map(|item| item.map(str::to_string)).collect())
        }
        other => {
            let written = other.text().unwrap_or_default();
            let malformed = || error("22P02", format!("malformed array literal: \"{written}\""));
            array_elements(written).ok_or_else(malformed)
        }
    }
}

/// What is done where a path ends.
#[derive(Clone, Copy)]
enum Change {
    /// A value takes the place of another, and that of none where it is created.
    Set { creates: bool },
    /// A value comes before an item of an array or behind it, or becomes a member that there was not.
    Insert { behind: bool },
}

fn changed(row: &[Cell<'_>], change: Change) -> Result<Value> {
    let (mut value, path, new) = (read(&row[0])?, texts(&row[1])?, read(&row[2])?);
    if !value.is_object() && !value.is_array() {
        return Err(error("22023", "cannot set path in scalar"));
    }
    let null = path.iter().position(Option::is_none);
    if let Some(at) = null {
        return Err(error("22004", format!("path element at position {} is null", at + 1)));
    }
    let path: Vec<String> = path.into_iter().flatten().collect();
    change_at(&mut value, &path, 1, new, change)?;
    Ok(value)
}

/// Changes what a path leads to; it leads nowhere through what is not there. `depth` counts its steps, from 1.
fn change_at(value: &mut Value, path: &[String], depth: usize, new: Value, change: Change) -> Result<()> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    match value {
        Value::Object(members) if rest.is_empty() => match (members.contains_key(step), change) {
            (true, Change::Insert { .. }) => {
                let hint = "Try using the function jsonb_set to replace key value.";
                let error = Error::new("22023", "cannot replace existing key").with_hint(hint);
                return Err(DataFusionError::External(Box::new(error)));
            }
            (false, Change::Set { creates: false }) => {}
            _ => drop(members.insert(step.clone(), new)),
        },
        Value::Object(members) => {
            if let Some(inner) = members.get_mut(step) {
                change_at(inner, rest, depth + 1, new, change)?;
            }
        }
        Value::Array(items) => {
            let at: i64 = step.parse().map_err(|_| {
                error("22P02", format!("path element at position {depth} is not an integer: \"{step}\""))
            })?;
            let found = json_place(at, items.len());
            match (found, change) {
                (Some(found), _) if !rest.is_empty() => {
                    change_at(&mut items[found], rest, depth + 1, new, change)?;
                }
                (Some(found), Change::Set { .. }) => items[found] = new,
                (Some(found), Change::Insert { behind }) => items.insert(found + usize::from(behind), new),
                (None, Change::Set { creates: false }) => {}
                (None, _) if !rest.is_empty() => {}
                (None, _) if at < 0 => items.insert(0, new),
                (None, _) => items.push(new),
            }
        }
        _ => {}
    }
    Ok(())
}

/// Without members that are `null`, at any depth; items of arrays stay.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain => plain,
    }
}

/// Each member and each item on a line of its own, in the order of `jsonb`.
fn pretty(value: &Value, depth: usize, lines: &mut String) {
    let indented = |lines: &mut String, depth: usize| {
        lines.push('\n');
        lines.extend(std::iter::repeat_n("    ", depth));
    };
    match value {
        Value::Array(items) => {
            lines.push('[');
            for (at, item) in items.iter().enumerate() {
                lines.push_str(if at == 0 { "" } else { "," });
                indented(lines, depth + 1);
                pretty(item, depth + 1, lines);
            }
            indented(lines, depth);
            lines.push(']');
        }
        Value::Object(members) => {
            lines.push('{');
            for (at, (name, value)) in super::json::in_order(members).into_iter().enumerate() {
                lines.push_str(if at == 0 { "" } else { "," });
                indented(lines, depth + 1);
                lines.push_str(&format!("{}: ", Value::String(name.clone())));
                pretty(value, depth + 1, lines);
            }
            indented(lines, depth);
            lines.push('}');
        }
        plain => lines.push_str(&plain.to_string()),
    }
}

/// An object of names and values in turn, or of a list of names and one of values; all values are texts.
fn object(row: &[Cell<'_>], between: &str) -> Result<String> {
    let names = texts(&row[0])?;
    let pairs: Vec<(Option<String>, Option<String>)> = match row.get(1) {
        Some(values) => {
            let values = texts(values)?;
            if values.len() != names.len() {
                return Err(error("2202E", "mismatched array dimensions"));
            }
            names.into_iter().zip(values).collect()
        }
        None if !names.len().is_multiple_of(2) => {
            return Err(error("2202E", "array must have even number of elements"));
        }
        None => names.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
    };
    let members = pairs.into_iter().map(|(name, value)| {
        let name = name.ok_or_else(|| error("22004", "null value not allowed for object key"))?;
        let value = value.map_or(Value::Null, Value::String);
        Ok(format!("{}{between}{value}", Value::String(name)))
    });
    Ok(format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value, path: &[&str], change: Change) -> Option<Value> {
        let mut value = value;
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        change_at(&mut value, &path, 1, json!(9), change).ok()?;
        Some(value)
    }

    #[test]
    fn paths_that_lead_somewhere() {
        let (create, keep) = (Change::Set { creates: true }, Change::Set { creates: false });
        for (value, path, change, expected) in [
            (json!({"a": 1}), &["a"][..], create, Some(json!({"a": 9}))),
            (json!({"a": 1}), &["b"], create, Some(json!({"a": 1, "b": 9}))),
            (json!({"a": 1}), &["b"], keep, Some(json!({"a": 1}))),
            (json!({"a": [1, 2]}), &["a", "-1"], create, Some(json!({"a": [1, 9]}))),
            (json!([1, 2]), &["7"], create, Some(json!([1, 2, 9]))),
            (json!([1, 2]), &["-7"], create, Some(json!([9, 1, 2]))),
            (json!([1, 2]), &["x"], create, None),
            (json!({"a": 1}), &["a", "b"], create, Some(json!({"a": 1}))),
            (json!([1, 2]), &["1"], Change::Insert { behind: false }, Some(json!([1, 9, 2]))),
            (json!([1, 2]), &["1"], Change::Insert { behind: true }, Some(json!([1, 2, 9]))),
            (json!({"a": 1}), &["a"], Change::Insert { behind: true }, None),
        ] {
            assert_eq!(set(value.clone(), path, change), expected, "{value} {path:?}");
        }
    }
}
