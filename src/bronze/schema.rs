//! The columns of bronze tables and of what stands beside them.

use crate::ingest::Rejected;
use crate::ingest::decode::Beside;
use crate::quality::ApartState;
use crate::sql::{SourceDefinition, quarantine_schema};
use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Rejected records as rows of a quarantine table.
pub fn quarantine_batch(
    source: &SourceDefinition,
    rejected: &[Rejected],
    batch: i64,
    at_us: i64,
    state: ApartState,
) -> Result<RecordBatch, ArrowError> {
    let rows = rejected.len();
    let definition = hex::encode(&Sha256::digest(source.sql.as_bytes())[..8]);
    let state = |rejected: &Rejected| match &rejected.beside {
        Some(_) => state.as_str(),
        None => ApartState::Untraced.as_str(),
    };
    let beside = |rejected: &Rejected| rejected.beside.as_ref().map(Beside::to_text);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![source.name.to_string(); rows])),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.partition.as_str()))),
        Arc::new(Int64Array::from_iter_values(rejected.iter().map(|r| r.offset))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.rule))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.reason.as_str()))),
        Arc::new(BinaryArray::from_iter_values(rejected.iter().map(|r| r.raw.as_slice()))),
        Arc::new(Int64Array::from(vec![batch; rows])),
        Arc::new(TimestampMicrosecondArray::from(vec![at_us; rows]).with_timezone("UTC")),
        new_null_array(&DataType::Int64, rows),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.source.as_str()))),
        Arc::new(StringArray::from_iter(rejected.iter().map(beside))),
        Arc::new(StringArray::from(vec![definition.as_str(); rows])),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(state))),
    ];
    RecordBatch::try_new(quarantine_schema(), columns)
}

/// The columns of a files source's manifest, `<table>__files`: one row for each step of each arrival, newest last.
pub(super) fn manifest_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, true),
        Field::new("content", DataType::Utf8, true),
        Field::new("size", DataType::Int64, true),
        Field::new("modified_us", DataType::Int64, true),
        Field::new("taken", DataType::Int64, true),
        Field::new("done", DataType::Boolean, true),
        Field::new("batch", DataType::Int64, true),
    ]))
}
