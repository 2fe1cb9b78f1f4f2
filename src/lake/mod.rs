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
mod error;
mod foreign;
mod index;
mod log;
mod lookup;
mod name;
mod read;
mod scan;
mod schema;
mod side;
mod snapshot;
mod stats;
mod storable;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod upkeep;
mod vector;
mod write;

pub use changes::Changes;
pub use error::{Error, chain};
pub use foreign::Followed;
pub use name::TableName;
pub use read::conform;
pub use scan::FilesProvider;
pub use schema::{TableDefinition, TableKind, query_schema};
pub use snapshot::{DataFile, Snapshot};
pub use stats::FileStatistics;
pub use storable::{Unstorable, storable};
pub use table::{Commit, Table};
pub use upkeep::{UpkeepSettings, plan_folds};
pub use write::{DataWriter, Effort};

use datafusion::catalog::TableProvider;
use index::Indexes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Store, io_error};

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
    /// some. [`Error::Schema`] when the change needs the table to be rebuilt. Blocks.
    pub fn ensure(&self, name: &TableName, definition: &TableDefinition) -> Result<Arc<Table>, Error> {
        let Some(table) = self.table(name)? else {
            let (store, indexes) = (Store::new(self.folder(name)), Arc::clone(&self.indexes));
            return Ok(self.keep(Table::create(name, store, indexes, definition)?));
        };
        table.evolve(definition)?;
        Ok(table)
    }

    /// The table with exactly these columns and of this kind. Where the stored one differs, it is emptied and given
    /// the new ones
    /// in one commit: only for tables whose rows can be computed again. Blocks.
    pub fn ensure_exact(&self, name: &TableName, definition: &TableDefinition) -> Result<Arc<Table>, Error> {
        let Some(table) = self.table(name)? else { return self.ensure(name, definition) };
        let snapshot = table.snapshot();
        if snapshot.schema.fields() != definition.schema.fields()
            || snapshot.partition_columns != definition.partition_columns
            || snapshot.kind() != definition.kind
        {
            table.replace(definition)?;
        }
        Ok(table)
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

    fn keep(&self, table: Table) -> Arc<Table> {
        let mut tables = self.tables.lock();
        Arc::clone(tables.entry(table.name().clone()).or_insert_with(|| Arc::new(table)))
    }
}
