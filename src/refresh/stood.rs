//! The stored rows of some keys with their places, read once: a merge starts from them, and what it makes of them is
//! compared with them.

use super::Error;
use super::compare::{Bag, KeySet};
use super::evaluate::is_worth_looking_up;
use crate::lake::{self, DataFile, Snapshot, Table};
use arrow::array::RecordBatch;
use arrow::compute::{filter_record_batch, not};
use datafusion::catalog::MemTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::TableSource;
use roaring::RoaringTreemap;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of one version of a table.
#[derive(Debug)]
pub(super) struct Stood {
    snapshot: Arc<Snapshot>,
    parts: Vec<Part>,
    /// Rows that were read to find these.
    pub(super) rows_read: u64,
}

/// Some rows of one file.
#[derive(Debug)]
struct Part {
    file: Arc<DataFile>,
    positions: Vec<u64>,
    rows: RecordBatch,
}

/// Rows of a file that go: where they stand, and themselves.
type Gone = (Arc<DataFile>, RoaringTreemap, Vec<RecordBatch>);

impl Stood {
    /// The rows of a table that have one of the keys.
    pub(super) async fn read(table: &Arc<Table>, keys: &Arc<KeySet>) -> Result<Arc<Self>, Error> {
        let name = table.name().clone();
        let (table, keys) = (Arc::clone(table), Arc::clone(keys));
        let read = tokio::task::spawn_blocking(move || Self::read_blocking(&table, &keys)).await;
        read.map_err(|_| lake::Error::Stopped { table: name })?.map(Arc::new)
    }

    /// The same. Blocks.
    pub(super) fn read_blocking(table: &Table, keys: &KeySet) -> Result<Self, Error> {
        let snapshot = table.snapshot();
        let whole: HashMap<&str, &Arc<DataFile>> =
            snapshot.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let files = files_of(table, &snapshot, keys.columns(), keys.values())?;
        let read = lake::read_in_parts::<_, Error>(&files, |looked_up| {
            let (mut parts, mut rows_read) = (Vec::new(), 0);
            let Some(file) = whole.get(looked_up.path.as_str()) else { return Ok((parts, rows_read)) };
            table.read_file::<Error>(&snapshot, looked_up, |rows, mut positions| {
                rows_read += positions.len() as u64;
                let meant = keys.held(&rows)?;
                let mut each = meant.iter();
                positions.retain(|_| each.next().copied().unwrap_or_default());
                if !positions.is_empty() {
                    let rows = filter_record_batch(&rows, &meant.into())?;
                    parts.push(Part { file: Arc::clone(file), positions, rows });
                }
                Ok(())
            })?;
            Ok((parts, rows_read))
        });
        let (parts, rows_read): (Vec<_>, Vec<u64>) = read?.into_iter().unzip();
        let (parts, rows_read) = (parts.into_iter().flatten().collect(), rows_read.iter().sum());
        Ok(Self { snapshot, parts, rows_read })
    }

    /// The rows.
    pub(super) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.parts.iter().map(|part| &part.rows)
    }

    /// The rows as a table.
    pub(super) fn rows(&self) -> Result<Arc<dyn TableSource>, Error> {
        let rows = self.batches().cloned().collect();
        Ok(provider_as_source(Arc::new(MemTable::try_new(Arc::clone(&self.snapshot.schema), vec![rows])?)))
    }

    /// True while a snapshot's rows stand where they were read.
    pub(super) fn stands_in(&self, snapshot: &Snapshot) -> bool {
        self.snapshot.version == snapshot.version
    }

    /// The rows that the bag does not hold, by file: where they stand, and themselves. Those that it holds are taken out
    /// of it.
    pub(super) fn not_in(&self, bag: &mut Bag) -> Result<Vec<Gone>, Error> {
        let mut gone: Vec<Gone> = Vec::new();
        for part in &self.parts {
            let held = bag.held(&part.rows)?;
            let places = part.positions.iter().zip(&held).filter(|(_, held)| !**held).map(|(at, _)| *at);
            let rows = filter_record_batch(&part.rows, &not(&held.clone().into())?)?;
            match gone.last_mut().filter(|(file, ..)| Arc::ptr_eq(file, &part.file)) {
                Some((_, of_file, rows_of_file)) => {
                    of_file.extend(places);
                    rows_of_file.push(rows);
                }
                None => gone.push((Arc::clone(&part.file), places.collect(), vec![rows])),
            }
        }
        Ok(gone)
    }
}

/// Where rows with these keys may stand: found by an index when that reads less than all.
pub(super) fn files_of(
    table: &Table,
    snapshot: &Snapshot,
    columns: &[usize],
    keys: &[RecordBatch],
) -> Result<Vec<Arc<DataFile>>, Error> {
    let count: u64 = keys.iter().map(|batch| batch.num_rows() as u64).sum();
    let rows = snapshot.rows().unwrap_or(u64::MAX);
    if is_worth_looking_up(count, rows)
        && let Some(files) = table.files_of_keys(snapshot, columns, keys)?
    {
        return Ok(files);
    }
    Ok(snapshot.files.clone())
}
