//! Change data that others write beside their rows (`delta.enableChangeDataFeed`): the rows that a commit changed, each
//! with what became of it.
//!
//! A file of change data becomes two files of the feed, each standing for some of its rows. Not all writers get it right
//! (a row changed into one that was there already may be missing), so it is taken only where its rows add up to those of
//! the files that came and went; else those are read.

use super::action::{ChangeFile, Line};
use super::changes::{Change, Changes};
use super::snapshot::DataFile;
use super::store::io_error;
use super::table::Table;
use super::{Error, read};
use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

/// What became of a row.
const CHANGE_TYPE: &str = "_change_type";

/// The change data of a commit.
pub(super) fn change_files(lines: &[Line]) -> Vec<Arc<DataFile>> {
    lines.iter().filter_map(|line| line.cdc.clone()).map(|cdc| Arc::new(of_change(cdc))).collect()
}

fn of_change(cdc: ChangeFile) -> DataFile {
    DataFile {
        path: cdc.path,
        size: u64::try_from(cdc.size).unwrap_or_default(),
        modified_ms: 0,
        partition_values: cdc.partition_values,
        tags: BTreeMap::new(),
        deletion_vector: None,
        only: None,
        descriptor: None,
        stats_json: None,
        stats: OnceLock::new(),
    }
}

impl Table {
    /// The rows of a commit's change data; `None` when it has none, or none to rely on.
    pub(super) fn change_data(&self, change: &Change) -> Result<Option<Changes>, Error> {
        if change.data.is_empty() {
            return Ok(None);
        }
        let mut changes = Changes::default();
        for file in &change.data {
            let Some((rows, came, went)) = self.change_types(file)? else { return Ok(None) };
            let of = |only: RoaringTreemap| Arc::new(file.with_rows(Some(rows)).with_only(only));
            changes.inserted.extend((!came.is_empty()).then(|| of(came)));
            changes.deleted.extend((!went.is_empty()).then(|| of(went)));
        }
        let adds_up =
            self.balance(&changes.inserted, &changes.deleted) == self.balance(&change.added, &change.removed);
        if !adds_up {
            let (table, version) = (self.name(), change.version);
            tracing::warn!(%table, version, "the change data does not add up to the files: they are compared");
        }
        Ok(adds_up.then_some(changes))
    }

    /// How many rows more came than went; `None` when a file does not say how many it has.
    fn balance(&self, came: &[Arc<DataFile>], went: &[Arc<DataFile>]) -> Option<i128> {
        let schema = &self.snapshot().schema;
        let rows = |files: &[Arc<DataFile>]| -> Option<i128> {
            files.iter().map(|file| file.live_rows(schema).map(i128::from)).sum()
        };
        Some(rows(came)? - rows(went)?)
    }

    /// How many rows a file of change data has, which of them came and which went; `None` when it is gone or says it
    /// in another way.
    fn change_types(&self, file: &DataFile) -> Result<Option<(u64, RoaringTreemap, RoaringTreemap)>, Error> {
        let path = self.store().path(&file.path);
        let open = match File::open(&path) {
            Ok(open) => open,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io_error("read", &path, e)),
        };
        let parquet = |source| Error::Parquet { table: self.name().clone(), source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(open).map_err(parquet)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), [CHANGE_TYPE]);
        let kinds = Arc::new(Schema::new(vec![Field::new(CHANGE_TYPE, DataType::Utf8, true)]));
        let (mut rows, mut came, mut went) = (0u64, RoaringTreemap::new(), RoaringTreemap::new());
        for batch in builder.with_projection(mask).build().map_err(parquet)? {
            let batch = batch.map_err(|source| Error::Arrow { table: self.name().clone(), source })?;
            let batch = read::conform(self.name(), &batch, &kinds)?;
            for kind in batch.column(0).as_string::<i32>() {
                match kind {
                    Some("insert" | "update_postimage") => came.insert(rows),
                    Some("delete" | "update_preimage") => went.insert(rows),
                    _ => return Ok(None),
                };
                rows += 1;
            }
        }
        Ok(Some((rows, came, went)))
    }
}
