//! The columns of bronze tables and of what stands beside them.

use crate::ingest::Rejected;
use crate::sql::quarantine_schema;
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// Rejected records as rows of a quarantine table.
pub fn quarantine_batch(
    source: &str,
    rejected: &[Rejected],
    batch: i64,
    at_us: i64,
) -> Result<RecordBatch, ArrowError> {
    let rows = rejected.len();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![source; rows])),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.partition.as_str()))),
        Arc::new(Int64Array::from_iter_values(rejected.iter().map(|r| r.offset))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.rule))),
        Arc::new(StringArray::from_iter_values(rejected.iter().map(|r| r.reason.as_str()))),
        Arc::new(BinaryArray::from_iter_values(rejected.iter().map(|r| r.raw.as_slice()))),
        Arc::new(Int64Array::from(vec![batch; rows])),
        Arc::new(TimestampMicrosecondArray::from(vec![at_us; rows]).with_timezone("UTC")),
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
