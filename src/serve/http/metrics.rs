//! `GET /metrics`: the newest cut in Prometheus' text format.
//!
//! Comes in: the cut, its `sluice` system tables, the process. Goes out: gauges. Of system tables that describe things
//! by name each number becomes `sluice_<table>_<column>` with the first text column as label, so that a column added
//! there shows here.

use super::{Peer, Refusal, Shared, admit};
use crate::catalog::cut::{Cut, Freshness};
use crate::engine::Engine;
use crate::lake::TableName;
use crate::ops::clock;
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use datafusion::error::Result;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The system tables that describe named things.
const TABLES: [&str; 6] = ["sources", "models", "freshness", "alerts", "alert_targets", "storage"];
/// Rows of one that are shown.
const ROWS_MAX: usize = 1000;
/// How long one may take: a scrape must not wait for a warehouse that is busy.
const TABLE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The handler.
pub(super) async fn metrics(
    State(state): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> std::result::Result<Response, Refusal> {
    admit(&state, &headers, peer).await?;
    let cut = state.readers.cuts.borrow().clone();
    let mut text = String::new();
    write_cut(&mut text, &cut);
    write_process(&mut text);
    for table in TABLES {
        if !cut.tables.contains_key(&TableName::new("sluice", table)) {
            continue;
        }
        match tokio::time::timeout(TABLE_WAIT_MAX, rows(&state.readers.engine, &cut, table)).await {
            Ok(Ok(batches)) => write_table(&mut text, table, &batches),
            Ok(Err(error)) => tracing::warn!(table, %error, "system table could not be read for metrics"),
            Err(_) => tracing::warn!(table, "system table took too long for metrics"),
        }
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn rows(engine: &Engine, cut: &Arc<Cut>, table: &str) -> Result<Vec<RecordBatch>> {
    engine.collect_over(cut, &format!("SELECT * FROM sluice.{table} LIMIT {ROWS_MAX}")).await
}

fn write_cut(text: &mut String, cut: &Cut) {
    family(text, "sluice_epoch", "Number of the epoch that readers see.");
    sample(text, "sluice_epoch", &[], cut.epoch as f64);
    family(text, "sluice_epoch_age_seconds", "Seconds since the time of the epoch that readers see.");
    let age = (clock::now() - cut.wave_time).num_milliseconds() as f64 / 1000.0;
    sample(text, "sluice_epoch_age_seconds", &[], age);
    let real = || cut.tables.iter().filter(|(_, table)| table.provider.is_some());
    family(text, "sluice_table_version", "Delta version of a table in this epoch.");
    for (name, table) in real() {
        sample(text, "sluice_table_version", &labels(name), table.version as f64);
    }
    family(text, "sluice_table_freshness", "1 for the state that a table is in.");
    for (name, table) in real() {
        for state in [Freshness::Fresh, Freshness::Stale, Freshness::Failed] {
            let mut labels = labels(name).to_vec();
            labels.push(("state", state.as_str()));
            let is_it = table.freshness.as_str() == state.as_str();
            sample(text, "sluice_table_freshness", &labels, f64::from(u8::from(is_it)));
        }
    }
}

fn labels(name: &TableName) -> [(&'static str, &str); 2] {
    [("schema", name.schema.as_str()), ("table", name.name.as_str())]
}

/// Resident memory, where the system tells.
fn write_process(text: &mut String) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    if let Some(kibibytes) = kibibytes {
        family(text, "process_resident_memory_bytes", "Resident memory size in bytes.");
        sample(text, "process_resident_memory_bytes", &[], kibibytes * 1024.0);
    }
}

/// Every number of a table of named things.
fn write_table(text: &mut String, table: &str, batches: &[RecordBatch]) {
    let Some(first) = batches.first() else { return };
    let schema = first.schema();
    let Some(label) = schema.fields().iter().position(|f| is_text(f.data_type())) else { return };
    for (at, field) in schema.fields().iter().enumerate() {
        if !field.data_type().is_numeric() {
            continue;
        }
        let metric = metric_name(table, field.name());
        family(text, &metric, &format!("Column {} of sluice.{table}.", field.name()));
        for batch in batches {
            let (Ok(names), Ok(values)) =
                (cast(batch.column(label), &DataType::Utf8), cast(batch.column(at), &DataType::Float64))
            else {
                continue;
            };
            let (names, values) = (names.as_string::<i32>(), values.as_primitive::<Float64Type>());
            for (name, value) in names.iter().zip(values) {
                if let (Some(name), Some(value)) = (name, value) {
                    sample(text, &metric, &[(schema.field(label).name(), name)], value);
                }
            }
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn metric_name(table: &str, column: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    format!("sluice_{table}_{}", column.chars().map(plain).collect::<String>())
}

fn family(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    text.push_str(name);
    for (at, (label, value)) in labels.iter().enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' });
    }
    let _ = writeln!(text, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    #[test]
    fn numbers_of_a_table_become_gauges_with_its_name() {
        let names = StringArray::from(vec![Some("a\"b"), Some("c"), None]);
        let rows = Int64Array::from(vec![Some(5), None, Some(7)]);
        let batch = RecordBatch::try_from_iter([
            ("name", Arc::new(names) as ArrayRef),
            ("rows", Arc::new(rows) as ArrayRef),
        ]);
        let mut text = String::new();
        write_table(&mut text, "sources", &[batch.unwrap()]);
        let expected = "# HELP sluice_sources_rows Column rows of sluice.sources.\n\
                        # TYPE sluice_sources_rows gauge\n\
                        sluice_sources_rows{name=\"a\\\"b\"} 5\n";
        assert_eq!(text, expected);
    }
}
