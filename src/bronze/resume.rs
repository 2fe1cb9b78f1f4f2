//! Where to go on after a start: decided from what the tables hold.

use crate::ingest::FileProgress;
use crate::lake::{DataFile, Snapshot};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Application version: the number of the last commit.
pub(super) const BATCH: &str = "sluice.batch";
/// Application version: the watermark, microseconds since 1970.
pub(super) const WATERMARK: &str = "sluice.watermark";
/// Application versions, one a partition: the position.
pub(super) const POSITION: &str = "sluice.position.";
/// Mark on files of side tables: the commit number of the main table that they go with.
pub(super) const BATCH_TAG: &str = "sluice.batch";

/// Positions by partition.
pub(super) fn positions(snapshot: &Snapshot) -> BTreeMap<String, i64> {
    snapshot.transactions_of(POSITION).map(|(partition, next)| (partition.to_string(), next)).collect()
}

/// Files of a side table whose main commit never came: a crash fell between the two. Their rows are taken back, since
/// the records they stand for will be read again.
pub(super) fn overhang(side: &Snapshot, main_batch: i64) -> Vec<Arc<DataFile>> {
    let batch_of = |file: &DataFile| file.tags.get(BATCH_TAG).and_then(|tag| tag.parse::<i64>().ok());
    side.files.iter().filter(|file| batch_of(file).is_some_and(|batch| batch > main_batch)).cloned().collect()
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
