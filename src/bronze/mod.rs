//! Rows and positions become one Delta commit.

use crate::ingest::row_schema;
use crate::sql::SourceDefinition;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// The columns of a source's bronze table: [`row_schema`], then `_batch` (the commit's number), `_watermark` (the
/// event-time watermark at that commit) and `_ingested_at`.
pub fn table_schema(source: &SourceDefinition) -> SchemaRef {
    let timestamp = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<Arc<Field>> = row_schema(source).fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("_batch", DataType::Int64, true)));
    fields.push(Arc::new(Field::new("_watermark", timestamp(), true)));
    fields.push(Arc::new(Field::new("_ingested_at", timestamp(), true)));
    Arc::new(Schema::new(fields))
}

/// The columns of every quarantine table, whatever table it stands beside: decode errors and broken expectations have
/// one shape. `raw` holds the record's bytes (for a model: the row as JSON).
pub fn quarantine_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("source"),
        text("partition"),
        Field::new("offset", DataType::Int64, true),
        text("rule"),
        text("reason"),
        Field::new("raw", DataType::Binary, true),
        Field::new("batch", DataType::Int64, true),
        Field::new("quarantined_at", timestamp, true),
    ]))
}
