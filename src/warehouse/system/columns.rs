//! The columns of the tables of schema `sluice`.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

pub(super) fn columns(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) const TEXT: DataType = DataType::Utf8;
pub(super) const LONG: DataType = DataType::Int64;
pub(super) const DOUBLE: DataType = DataType::Float64;

pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(super) fn sources_schema() -> SchemaRef {
    columns(&[
        ("source", TEXT),
        ("connector", TEXT),
        ("state", TEXT),
        ("error", TEXT),
        ("rows_in", LONG),
        ("rows_quarantined", LONG),
        ("rate", DOUBLE),
        ("lag_records", LONG),
        ("lag_seconds", DOUBLE),
        ("last_event_at", timestamp()),
        ("last_commit_at", timestamp()),
        ("watermark", timestamp()),
        ("pushes_limited", LONG),
        ("last_limited_at", timestamp()),
    ])
}

pub(super) fn progress_schema() -> SchemaRef {
    columns(&[("source", TEXT), ("partition", TEXT), ("position", LONG), ("committed_at", timestamp())])
}

pub(super) fn ingest_log_schema() -> SchemaRef {
    columns(&[
        ("source", TEXT),
        ("batch", LONG),
        ("started_at", timestamp()),
        ("rows", LONG),
        ("bytes", LONG),
        ("outcome", TEXT),
        ("error", TEXT),
        ("attempts", LONG),
    ])
}

pub(super) fn models_schema() -> SchemaRef {
    columns(&[
        ("model", TEXT),
        ("kind", TEXT),
        ("layer", TEXT),
        ("refresh_policy", TEXT),
        ("trigger", TEXT),
        ("key_columns", TEXT),
        ("incremental", DataType::Boolean),
        ("why_not", TEXT),
        ("definition_hash", TEXT),
    ])
}

pub(super) fn refreshes_schema() -> SchemaRef {
    columns(&[
        ("epoch", LONG),
        ("model", TEXT),
        ("mode", TEXT),
        ("reason", TEXT),
        ("rows_read", LONG),
        ("rows_inserted", LONG),
        ("rows_deleted", LONG),
        ("seconds", DOUBLE),
        ("outcome", TEXT),
        ("error", TEXT),
        ("at", timestamp()),
    ])
}

pub(super) fn freshness_schema() -> SchemaRef {
    columns(&[("table_name", TEXT), ("fresh_as_of", timestamp()), ("lag_seconds", DOUBLE), ("state", TEXT)])
}

pub(super) fn expectations_schema() -> SchemaRef {
    columns(&[
        ("model", TEXT),
        ("name", TEXT),
        ("rule", TEXT),
        ("action", TEXT),
        ("epoch", LONG),
        ("passed", LONG),
        ("failed", LONG),
        ("at", timestamp()),
        ("at_least", DOUBLE),
        ("met", DataType::Boolean),
    ])
}

pub(super) fn audit_log_schema() -> SchemaRef {
    columns(&[
        ("at", timestamp()),
        ("role", TEXT),
        ("session", LONG),
        ("client", TEXT),
        ("protocol", TEXT),
        ("statement", TEXT),
        ("objects", TEXT),
        ("outcome", TEXT),
        ("sqlstate", TEXT),
        ("seconds", DataType::Float64),
        ("login", TEXT),
    ])
}

pub(super) fn audits_schema() -> SchemaRef {
    columns(&[
        ("model", TEXT),
        ("name", TEXT),
        ("blocking", DataType::Boolean),
        ("epoch", LONG),
        ("outcome", TEXT),
        ("rows", LONG),
        ("examples", TEXT),
        ("error", TEXT),
        ("defined_at", TEXT),
        ("at", timestamp()),
    ])
}

pub(super) fn incident_log_schema() -> SchemaRef {
    columns(&[
        ("id", TEXT),
        ("object", TEXT),
        ("kind", TEXT),
        ("opened_at", timestamp()),
        ("closed_at", timestamp()),
        ("attempts", LONG),
        ("error", TEXT),
        ("at", timestamp()),
    ])
}

pub(super) fn incidents_schema() -> SchemaRef {
    columns(&[
        ("id", TEXT),
        ("object", TEXT),
        ("kind", TEXT),
        ("opened_at", timestamp()),
        ("closed_at", timestamp()),
        ("attempts", LONG),
        ("error", TEXT),
        ("state", TEXT),
    ])
}

pub(super) fn backfill_log_schema() -> SchemaRef {
    columns(&[
        ("id", TEXT),
        ("table_name", TEXT),
        ("from_time", timestamp()),
        ("to_time", timestamp()),
        ("done_to", timestamp()),
        ("rows_taken", LONG),
        ("rows_made", LONG),
        ("state", TEXT),
        ("error", TEXT),
        ("started_at", timestamp()),
        ("history_may_be_lost", DataType::Boolean),
        ("at", timestamp()),
    ])
}

pub(super) fn backfills_schema() -> SchemaRef {
    columns(&[
        ("id", TEXT),
        ("table_name", TEXT),
        ("from_time", timestamp()),
        ("to_time", timestamp()),
        ("done_to", timestamp()),
        ("rows_taken", LONG),
        ("rows_made", LONG),
        ("state", TEXT),
        ("error", TEXT),
        ("started_at", timestamp()),
        ("updated_at", timestamp()),
        ("history_may_be_lost", DataType::Boolean),
    ])
}

pub(super) fn quarantine_schema() -> SchemaRef {
    columns(&[
        ("table_name", TEXT),
        ("source", TEXT),
        ("position", TEXT),
        ("rule", TEXT),
        ("reason", TEXT),
        ("raw", DataType::Binary),
        ("epoch", LONG),
        ("state", TEXT),
        ("definition_hash", TEXT),
        ("quarantined_at", timestamp()),
        ("untraced_because", TEXT),
    ])
}

pub(super) fn erasures_schema() -> SchemaRef {
    columns(&[
        ("id", TEXT),
        ("tag", TEXT),
        ("subject_salt", TEXT),
        ("subject_hash", TEXT),
        ("requested_by", TEXT),
        ("requested_at", timestamp()),
        ("finished_at", timestamp()),
        ("table_name", TEXT),
        ("by", TEXT),
        ("rows", LONG),
        ("files", LONG),
        ("verified", DataType::Boolean),
        ("state", TEXT),
        ("error", TEXT),
    ])
}
