//! Rows of a system catalog, filled in by column name.
//!
//! A catalog of PostgreSQL has dozens of columns of which a server like this one has something to say about a few. A
//! [`Rows`] knows the relation's shape; what a row does not mention is NULL, or for NOT NULL columns the zero of its
//! type, as PostgreSQL itself writes for features that are not used.

use super::data::{CatalogColumn, CatalogRelation};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Int16Builder, Int32Builder, Int64Builder, ListBuilder,
    StringBuilder, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use std::sync::Arc;

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// `bool`
    Bool(bool),
    /// Any integer or OID; microseconds since 1970 for timestamps.
    Int(i64),
    /// `float4`
    Float(f32),
    /// Text and everything held as text.
    Text(String),
    /// `int2vector`, `oidvector`, `oid[]`.
    Ints(Vec<i64>),
    /// `text[]`
    Texts(Vec<String>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(i64::from(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_string())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Value::Text(value.clone())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        value.map_or(Value::Null, Value::Text)
    }
}

impl From<Option<i32>> for Value {
    fn from(value: Option<i32>) -> Self {
        value.map_or(Value::Null, Value::from)
    }
}

/// Rows of one relation, in the making.
#[derive(Debug)]
pub struct Rows {
    relation: &'static CatalogRelation,
    positions: HashMap<&'static str, usize>,
    columns: Vec<Vec<Value>>,
}

impl Rows {
    /// No rows yet.
    pub fn new(relation: &'static CatalogRelation) -> Self {
        let positions = relation.columns.iter().enumerate().map(|(index, c)| (c.name, index)).collect();
        Self { relation, positions, columns: vec![vec![]; relation.columns.len()] }
    }

    /// Adds a row of these cells. Names that the relation does not have are ignored.
    pub fn push<'a>(&mut self, cells: impl IntoIterator<Item = (&'a str, Value)>) {
        for (column, values) in self.relation.columns.iter().zip(&mut self.columns) {
            values.push(default_of(column));
        }
        for (name, value) in cells {
            let cell = self.positions.get(name).and_then(|index| self.columns.get_mut(*index)?.last_mut());
            debug_assert!(cell.is_some(), "{}.{name} does not exist", self.relation.name);
            if let Some(cell) = cell {
                *cell = value;
            }
        }
    }

    /// The rows as Arrow.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        if self.columns.iter().all(Vec::is_empty) {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.relation.arrow)));
        }
        let arrays = self
            .relation
            .arrow
            .fields()
            .iter()
            .zip(&self.columns)
            .map(|(field, values)| array(field, values))
            .collect();
        RecordBatch::try_new(Arc::clone(&self.relation.arrow), arrays)
    }
}

fn default_of(column: &CatalogColumn) -> Value {
    if !column.not_null {
        return Value::Null;
    }
    match column.typname {
        "bool" => Value::Bool(false),
        "float4" => Value::Float(0.0),
        "int2vector" | "oidvector" | "_oid" => Value::Ints(vec![]),
        "_text" => Value::Texts(vec![]),
        "oid" | "int2" | "int4" | "int8" | "xid" | "regproc" => Value::Int(0),
        _ => Value::Text(String::new()),
    }
}

/// Cells as an array of a field's type. A cell of another kind than the column's is NULL.
fn array(field: &Field, values: &[Value]) -> ArrayRef {
    let ints = || values.iter().map(int_of);
    match field.data_type() {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::new();
            values.iter().for_each(|v| builder.append_option(bool_of(v)));
            Arc::new(builder.finish())
        }
        DataType::Int16 => {
            let mut builder = Int16Builder::new();
            ints().for_each(|v| builder.append_option(v.and_then(|v| i16::try_from(v).ok())));
            Arc::new(builder.finish())
        }
        DataType::Int32 => {
            let mut builder = Int32Builder::new();
            ints().for_each(|v| builder.append_option(v.and_then(|v| i32::try_from(v).ok())));
            Arc::new(builder.finish())
        }
        DataType::Int64 => {
            let mut builder = Int64Builder::new();
            ints().for_each(|v| builder.append_option(v));
            Arc::new(builder.finish())
        }
        DataType::Float32 => {
            let mut builder = Float32Builder::new();
            values.iter().for_each(|v| {
                builder.append_option(match v {
                    Value::Float(v) => Some(*v),
                    _ => None,
                });
            });
            Arc::new(builder.finish())
        }
        DataType::Timestamp(_, Some(zone)) => {
            let mut builder = TimestampMicrosecondBuilder::new().with_timezone(Arc::clone(zone));
            ints().for_each(|v| builder.append_option(v));
            Arc::new(builder.finish())
        }
        DataType::Utf8 => {
            let mut builder = StringBuilder::new();
            values.iter().for_each(|v| {
                builder.append_option(match v {
                    Value::Text(v) => Some(v),
                    _ => None,
                });
            });
            Arc::new(builder.finish())
        }
        DataType::List(item) => list(item, values),
        other => new_null_array(other, values.len()),
    }
}

fn list(item: &Arc<Field>, values: &[Value]) -> ArrayRef {
    let no_ints = || values.iter().map(|v| if let Value::Ints(v) = v { Some(v) } else { None });
    match item.data_type() {
        DataType::Int16 => {
            let mut builder = ListBuilder::new(Int16Builder::new()).with_field(Arc::clone(item));
            for cell in no_ints() {
                builder.append_option(cell.map(|v| v.iter().map(|v| i16::try_from(*v).ok())));
            }
            Arc::new(builder.finish())
        }
        DataType::Int32 => {
            let mut builder = ListBuilder::new(Int32Builder::new()).with_field(Arc::clone(item));
            for cell in no_ints() {
                builder.append_option(cell.map(|v| v.iter().map(|v| i32::try_from(*v).ok())));
            }
            Arc::new(builder.finish())
        }
        DataType::Utf8 => {
            let mut builder = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item));
            for cell in values {
                builder.append_option(match cell {
                    Value::Texts(v) => Some(v.iter().map(Some)),
                    _ => None,
                });
            }
            Arc::new(builder.finish())
        }
        _ => new_null_array(&DataType::List(Arc::clone(item)), values.len()),
    }
}

/// Static rows come as text: `t` is true.
fn bool_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Text(text) => Some(text == "t"),
        _ => None,
    }
}

fn int_of(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}
