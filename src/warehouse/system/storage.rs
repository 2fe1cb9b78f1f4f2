//! `sluice.storage`: how much room there is where the data lies.

use super::columns::{DOUBLE, LONG, TEXT, columns};
use super::text;
use crate::catalog::live::Row;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use std::path::Path;

pub(super) fn schema() -> SchemaRef {
    columns(&[("place", TEXT), ("total_bytes", LONG), ("free_bytes", LONG), ("free_percent", DOUBLE)])
}

/// One row; none where the system does not tell.
pub(super) fn rows(root: &Path) -> Vec<Row> {
    let Ok(disk) = rustix::fs::statvfs(root) else { return vec![] };
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(disk.f_frsize)).unwrap_or(i64::MAX);
    // What is kept for root is of no use here.
    let percent = (disk.f_blocks > 0).then(|| disk.f_bavail as f64 * 100.0 / disk.f_blocks as f64);
    vec![vec![
        text("data"),
        bytes(disk.f_blocks).into(),
        bytes(disk.f_bavail).into(),
        ScalarValue::Float64(percent),
    ]]
}
