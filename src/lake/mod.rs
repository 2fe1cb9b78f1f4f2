//! The only code that touches object stores and Delta: store, snapshots, scan, commit, upkeep.
//!
//! Comes in: record batches and what to commit with them. Goes out: [`Snapshot`]s, and DataFusion tables pinned to
//! them. A table is `<root>/<schema>/<name>`, a plain Delta table that other engines read without this server.
//!
//! Guarantee: what [`Table::commit`] returned is durable and whole, whatever is killed or cut off when; one process
//! writes a root at a time. Failure: errors name table and file; a damaged table fails alone.

mod action;
mod change_data;
mod changes;
mod decoded;
mod erase;
mod error;
mod evolve;
mod foreign;
mod in_parts;
mod in_place;
mod index;
mod log;
mod name;
mod partition;
mod read;
mod recall;
mod recent;
mod scan;
mod schema;
mod scratch;
mod side;
mod snapshot;
mod staged;
mod stats;
mod storable;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod upkeep;
mod vector;
mod write;

pub use changes::{ChangedRows, Changes};
pub use decoded::ReadsAgain;
pub use erase::{Rework, Reworked};
pub use error::{Error, chain};
pub use evolve::reads_alike;
pub use foreign::Followed;
pub use in_parts::read_in_parts;
pub use name::TableName;
pub use partition::{PartitionValues, files_of_partitions, partitions_of};
pub use read::conform;
pub use scan::FilesProvider;
pub use schema::{TableDefinition, TableKind, query_schema};
pub use scratch::Scratch;
pub use snapshot::{DataFile, Snapshot};
pub use stats::FileStatistics;
pub use storable::{Unstorable, storable};
pub use table::{Commit, Table};
pub use upkeep::{UpkeepSettings, plan_folds};
pub use write::{DataWriter, Effort};

use crate::ops::failpoint::{self, Point};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::catalog::{MemTable, TableProvider};
use index::Indexes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, io_error};

/// What the folder of a dropped table is renamed to begins so.
const DROPPED: &str = ".dropped-";

/// Held by the one process that writes a root.
const LOCK_FILE: &str = ".sluice.lock";

/// A root of tables, locked for this process.
#[derive(Debug)]
pub struct Lake {
    root: PathBuf,
    tables: Mutex<BTreeMap<TableName, Arc<Table>>>,
    indexes: Arc<Indexes>,
    _lock: File,
}

impl Lake {
    /// Opens (and creates) a root and locks it. [`Error::Locked`] when another process holds it.
    pub fn open(root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(|e| io_error("create", root, e))?;
        let root = root.canonicalize().map_err(|e| io_error("open", root, e))?;
        let path = root.join(LOCK_FILE);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io_error("open", &path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::Locked { path: root }),
            Err(std::fs::TryLockError::Error(e)) => return Err(io_error("lock", &path, e)),
        }
        Ok(Self { root, tables: Mutex::new(BTreeMap::new()), indexes: Arc::default(), _lock: lock })
    }

    /// The root's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a table.
    pub fn folder(&self, name: &TableName) -> PathBuf {
        self.root.join(&name.schema).join(&name.name)
    }

    /// An existing table; `None` when there is none. Blocks.
    pub fn table(&self, name: &TableName) -> Result<Option<Arc<Table>>, Error> {
        if let Some(table) = self.tables.lock().get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        let (store, indexes) = (Store::new(self.folder(name)), Arc::clone(&self.indexes));
        let Some(table) = Table::open(name, store, indexes)? else { return Ok(None) };
        Ok(Some(self.keep(table)))
    }

    /// The table as defined: created when new, given the new columns and properties when it has changed by adding
    /// some, rewritten when types are wider. [`Error::Retyped`] or [`Error::Schema`] when rows would not fit. Blocks.
    pub fn ensure(&self, name: &TableName, definition: &TableDefinition) -> Result<Arc<Table>, Error> {
        let table = self.ensure_any(name, definition)?;
        table.evolve(definition)?;
        Ok(table)
    }

    /// The table as it stands, whatever its columns; created as defined when new. Blocks.
    pub fn ensure_any(&self, name: &TableName, definition: &TableDefinition) -> Result<Arc<Table>, Error> {
        if let Some(table) = self.table(name)? {
            return Ok(table);
        }
        let (store, indexes) = (Store::new(self.folder(name)), Arc::clone(&self.indexes));
        Ok(self.keep(Table::create(name, store, indexes, definition)?))
    }

    /// The table with exactly these columns and of this kind. Where the stored one differs, it is emptied and given
    /// the new ones in one commit: only for tables that nobody reads, whose rows can be computed again. Blocks.
    pub fn ensure_exact(&self, name: &TableName, definition: &TableDefinition) -> Result<Arc<Table>, Error> {
        let table = self.ensure_any(name, definition)?;
        if !table.snapshot().fits(definition) {
            table.replace(definition)?;
        }
        Ok(table)
    }

    /// The tables of a schema, open or not. Blocks.
    pub fn names_in(&self, schema: &str) -> Result<Vec<TableName>, Error> {
        let names = Store::new(self.root.join(schema)).list("")?.into_iter();
        Ok(names.filter(|name| !name.starts_with('.')).map(|name| TableName::new(schema, name)).collect())
    }

    /// Time since a table was last committed to; `None` when there is none. Blocks.
    pub fn idle(&self, name: &TableName) -> Result<Option<Duration>, Error> {
        Store::new(self.folder(name)).age(log::FOLDER)
    }

    /// Takes a table out of the lake for good, in one step; who still holds it must not use it any more. Its files go
    /// with [`Lake::clear_dropped`]. Blocks.
    pub fn drop_table(&self, name: &TableName) -> Result<(), Error> {
        self.tables.lock().remove(name);
        let (from, to) = (self.folder(name), self.root.join(format!("{DROPPED}{}", uuid::Uuid::new_v4())));
        std::fs::rename(&from, &to).map_err(|e| io_error("rename", &from, e))?;
        store::sync_folder(&self.root.join(&name.schema))?;
        failpoint::pass(Point::TableDropped, || name.to_string());
        Ok(())
    }

    /// Deletes the files of dropped tables, of those too that an earlier process did not come to. Blocks.
    pub fn clear_dropped(&self) -> Result<(), Error> {
        let names = Store::new(self.root.clone()).list("")?;
        for name in names.iter().filter(|name| name.starts_with(DROPPED)) {
            let path = self.root.join(name);
            std::fs::remove_dir_all(&path).map_err(|e| io_error("delete", &path, e))?;
        }
        Ok(())
    }

    /// Every open table.
    pub fn open_tables(&self) -> Vec<Arc<Table>> {
        self.tables.lock().values().cloned().collect()
    }

    /// A snapshot as DataFusion reads it.
    pub fn provider(&self, snapshot: &Arc<Snapshot>) -> Arc<dyn TableProvider> {
        self.provider_of_files(snapshot, snapshot.files.clone())
    }

    /// Some files of a snapshot as DataFusion reads them: the rows that a change brought.
    pub fn provider_of_files(
        &self,
        snapshot: &Arc<Snapshot>,
        files: Vec<Arc<DataFile>>,
    ) -> Arc<dyn TableProvider> {
        let (root, indexes) = (snapshot.store.path(""), Arc::clone(&self.indexes));
        Arc::new(FilesProvider::new(snapshot, files, root, indexes))
    }

    /// Rows in memory as if they stood in a snapshot's table.
    pub fn provider_of_rows(
        &self,
        snapshot: &Snapshot,
        rows: &[RecordBatch],
    ) -> Result<Arc<dyn TableProvider>, Error> {
        let schema = query_schema(&snapshot.schema);
        let rows = rows.iter().map(|batch| conform(&snapshot.table, batch, &schema));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        match MemTable::try_new(schema, vec![rows]) {
            Ok(table) => Ok(Arc::new(table)),
            Err(error) => Err(Error::Arrow {
                table: snapshot.table.clone(),
                source: ArrowError::ExternalError(Box::new(error)),
            }),
        }
    }

    fn keep(&self, table: Table) -> Arc<Table> {
        let mut tables = self.tables.lock();
        Arc::clone(tables.entry(table.name().clone()).or_insert_with(|| Arc::new(table)))
    }
}
