//! A source's watermark as a table that queries read: one row, which is a function of the version of the source's table.
//!
//! No files stand behind it. Its version is the source's, its change the row that went and the row that came.

use super::Error;
use super::derive::{Moved, Source};
use crate::bronze::watermark_at;
use crate::catalog::cut::{CutTable, Freshness, Relation};
use crate::lake::{self, Snapshot, Table};
use crate::sql::watermark_schema;
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use std::sync::Arc;

/// The watermark at a version of a source's table, in a cut.
pub(super) fn in_cut(relation: &Arc<Relation>, source: &Snapshot) -> CutTable {
    let rows = rows(watermark_at(source));
    // One timestamp always fits its column.
    let rows = rows.unwrap_or_else(|_| Arc::new(EmptyTable::new(watermark_schema())));
    CutTable {
        relation: Arc::clone(relation),
        version: source.version,
        freshness: Freshness::Fresh,
        provider: Some(rows),
        computed: None,
    }
}

fn rows(watermark: Option<i64>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let times = TimestampMicrosecondArray::from_iter_values(watermark).with_timezone("UTC");
    let rows = RecordBatch::try_new(watermark_schema(), vec![Arc::new(times)])
        .map_err(|error: ArrowError| DataFusionError::from(error))?;
    Ok(Arc::new(MemTable::try_new(watermark_schema(), vec![vec![rows]])?))
}

/// What has changed of a watermark between two versions of its source, and from where to where it has moved; `None` when
/// nothing has, and the reason when that is not to be had.
pub(super) async fn change(
    source: &Arc<Table>,
    (from, to): (i64, i64),
) -> Result<Result<Option<(Source, Moved)>, String>, Error> {
    let mut marks = [None; 2];
    for (mark, version) in marks.iter_mut().zip([from, to]) {
        match source.snapshot_at(version).await {
            Ok(snapshot) => *mark = watermark_at(&snapshot),
            Err(lake::Error::Gone { .. }) => {
                return Ok(Err(format!("version {version} of {} is gone", source.name())));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let [old, new] = marks;
    if old == new {
        return Ok(Ok(None));
    }
    let source = |mark| Ok::<_, DataFusionError>(provider_as_source(rows(mark)?));
    let tables =
        |mark: Option<i64>| mark.into_iter().map(|mark| source(Some(mark))).collect::<Result<_, _>>();
    let moved = Moved { from: old, to: new };
    Ok(Ok(Some((Source { old: source(old)?, inserted: tables(new)?, deleted: tables(old)? }, moved))))
}
