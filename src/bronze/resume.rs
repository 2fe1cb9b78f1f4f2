//! Where to go on after a start: decided from what the tables hold.

use crate::ingest::FileProgress;
use crate::lake::Snapshot;
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use std::collections::BTreeMap;

/// Application version: the number of the last commit, and the step that side tables are marked with.
pub(super) const BATCH: &str = "sluice.batch";
/// Application version: the watermark, microseconds since 1970.
const WATERMARK: &str = "sluice.watermark";
/// Application versions, one a partition of a source with a watermark: its newest event, microseconds since 1970.
pub(super) const NEWEST: &str = "sluice.newest.";
/// Application versions, one a partition: the position.
pub(super) const POSITION: &str = "sluice.position.";

/// The watermark at a version of a source's table, or of one that follows it; microseconds since 1970.
pub fn watermark_at(snapshot: &Snapshot) -> Option<i64> {
    snapshot.transaction(WATERMARK)
}

/// What a commit says of the watermark that the table has come to with it.
pub fn mark(watermark: i64) -> (String, i64) {
    (WATERMARK.to_string(), watermark)
}

/// Positions by partition.
pub(super) fn positions(snapshot: &Snapshot) -> BTreeMap<String, i64> {
    snapshot.transactions_of(POSITION).map(|(partition, next)| (partition.to_string(), next)).collect()
}

/// The manifest's rows as progress.
pub(super) fn progress(rows: &RecordBatch) -> Vec<FileProgress> {
    let text = |name: &str, row: usize| {
        rows.column_by_name(name).map(|c| c.as_string::<i32>().value(row).to_string()).unwrap_or_default()
    };
    let number = |name: &str, row: usize| {
        rows.column_by_name(name).map(|c| c.as_primitive::<Int64Type>().value(row)).unwrap_or_default()
    };
    (0..rows.num_rows())
        .map(|row| FileProgress {
            path: text("path", row),
            content: text("content", row),
            size: number("size", row),
            modified_us: number("modified_us", row),
            taken: number("taken", row),
            done: rows.column_by_name("done").is_some_and(|c| c.as_boolean().value(row)),
        })
        .collect()
}
