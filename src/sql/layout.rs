//! The columns that a source's definition stands for: what decoders make, what bronze adds, what stands beside.

use super::{IncludeKind, SourceDefinition};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// What bronze keeps of each record beside its own columns.
pub(super) const BRONZE_COLUMNS: [&str; 7] =
    ["_raw", "_source", "_partition", "_offset", "_batch", "_watermark", "_ingested_at"];

/// The rows that a decoder makes: declared columns, included columns, then `_raw`, `_source`, `_partition`, `_offset`.
/// Bronze adds `_batch`, `_watermark` and `_ingested_at`.
pub fn row_schema(source: &SourceDefinition) -> SchemaRef {
    let mut fields: Vec<Field> =
        source.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), c.nullable)).collect();
    fields.extend(source.includes.iter().map(|include| {
        let data_type = match include.kind {
            IncludeKind::Key => DataType::Binary,
            IncludeKind::Partition | IncludeKind::Header(_) => DataType::Utf8,
            IncludeKind::Offset => DataType::Int64,
            IncludeKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(&include.column, data_type, true)
    }));
    fields.extend([
        Field::new("_raw", DataType::Binary, true),
        Field::new("_source", DataType::Utf8, true),
        Field::new("_partition", DataType::Utf8, true),
        Field::new("_offset", DataType::Int64, true),
    ]);
    Arc::new(Schema::new(fields))
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns of a source's bronze table: [`row_schema`], then `_batch` (the commit's number), `_watermark` (the
/// event-time watermark that stood when that commit began) and `_ingested_at`.
pub fn table_schema(source: &SourceDefinition) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = row_schema(source).fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("_batch", DataType::Int64, true)));
    fields.push(Arc::new(Field::new("_watermark", timestamp(), true)));
    fields.push(Arc::new(Field::new("_ingested_at", timestamp(), true)));
    Arc::new(Schema::new(fields))
}

/// The columns of what shows a source's watermark: one row once there is one, and none before.
pub fn watermark_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("watermark", timestamp(), true)]))
}

/// The columns of every quarantine table, whatever table it stands beside: decode errors and broken expectations have
/// one shape.
///
/// `source`, `partition`, `offset` and `input_batch` say which record it is: of a source as it came, of a model the input
/// row. `raw` are its bytes, `origin` and `beside` what came with them (topic or file; key, headers). Where a model's row
/// is not traced to a row of its input, `raw` is the row itself, as JSON. `batch` and `definition` say which commit and
/// which definition set it apart, `state` whether it can be replayed.
pub fn quarantine_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("source"),
        text("partition"),
        number("offset"),
        text("rule"),
        text("reason"),
        Field::new("raw", DataType::Binary, true),
        number("batch"),
        Field::new("quarantined_at", timestamp(), true),
        number("input_batch"),
        text("origin"),
        text("beside"),
        text("definition"),
        text("state"),
    ]))
}
