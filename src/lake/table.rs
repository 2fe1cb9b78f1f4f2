//! A table that this process writes: the newest snapshot in memory, commits one after another.
//!
//! ```text
//! writer     DataWriter ── part-*.parquet, synced ──┐
//! commit     lock ─ check removes are still live ─ NNN.json linked ─ folder synced ─ snapshot published ─ unlock
//! readers    ───────────────────────────────────────────────────────────────────────┴─ Arc<Snapshot>
//! ```
//!
//! A commit costs the same at version 10 and at version 10,000: the file list is kept in memory and fed from each
//! commit; nothing is listed or replayed.

use super::action::{Line, Txn};
use super::changes::{Change, ChangedRows, change_of};
use super::index::Indexes;
use super::log;
use super::read::conform;
use super::recent::Recent;
use super::schema::{self, TableDefinition};
use super::snapshot::{DataFile, Snapshot};
use super::store::{Put, Stamp, Store};
use super::vector;
use super::write::{DataWriter, Effort};
use super::{Error, TableName};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use roaring::RoaringTreemap;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// Versions before the newest that are kept in memory: refreshes start from them.
const PREVIOUS_MAX: usize = 4;

/// How often a commit is tried again when another writer took its version.
const ATTEMPTS_MAX: usize = 15;

/// What one commit does.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Delta's name for it: `WRITE`, `STREAMING UPDATE`, `DELETE`, `OPTIMIZE` ...
    pub operation: &'static str,
    /// New files.
    pub adds: Vec<DataFile>,
    /// Files that leave.
    pub removes: Vec<Arc<DataFile>>,
    /// Files of which more rows are deleted: all their deleted rows, old ones included.
    pub deletes: Vec<(Arc<DataFile>, RoaringTreemap)>,
    /// Application versions that become durable with it.
    pub transactions: Vec<(String, i64)>,
    /// False for upkeep, which moves rows without changing them.
    pub data_change: bool,
    /// A changed definition.
    pub definition: Option<TableDefinition>,
    /// All rows that it changes, where they are at hand, for those who follow the table.
    pub rows: Option<ChangedRows>,
}

impl Commit {
    /// An append.
    pub fn append(adds: Vec<DataFile>, transactions: Vec<(String, i64)>) -> Self {
        Self {
            operation: "STREAMING UPDATE",
            adds,
            removes: Vec::new(),
            deletes: Vec::new(),
            transactions,
            data_change: true,
            definition: None,
            rows: None,
        }
    }
}

/// A file that left the table but may still be on disk, for readers of older versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tombstone {
    /// When it left, milliseconds since 1970.
    pub(super) removed_ms: i64,
    /// The version without it.
    pub(super) version: i64,
}

/// A table of the warehouse.
#[derive(Debug)]
pub struct Table {
    name: TableName,
    store: Store,
    indexes: Arc<Indexes>,
    snapshot: ArcSwap<Snapshot>,
    /// The versions just before it, oldest first.
    previous: Mutex<VecDeque<Arc<Snapshot>>>,
    commits: Mutex<()>,
    /// The newest commits' changes.
    pub(super) recent: Mutex<Recent>,
    pub(super) tombstones: Mutex<HashMap<String, Tombstone>>,
    /// Files that left before then are forgotten, milliseconds since 1970.
    pub(super) forgotten_ms: AtomicI64,
    /// The newest commit's file and the log's folder as they were seen, of a table that others write.
    pub(super) seen: Mutex<[Option<Stamp>; 2]>,
}

impl Table {
    /// Opens the newest version; `None` when there is no such table.
    pub(super) fn open(name: &TableName, store: Store, indexes: Arc<Indexes>) -> Result<Option<Self>, Error> {
        let Some(loaded) = log::load(&store, name, None)? else { return Ok(None) };
        Ok(Some(Self {
            name: name.clone(),
            store,
            indexes,
            snapshot: ArcSwap::from_pointee(loaded.snapshot),
            previous: Mutex::default(),
            commits: Mutex::new(()),
            recent: Mutex::default(),
            tombstones: Mutex::new(loaded.tombstones),
            forgotten_ms: AtomicI64::default(),
            seen: Mutex::default(),
        }))
    }

    /// Creates version 0.
    pub(super) fn create(
        name: &TableName,
        store: Store,
        indexes: Arc<Indexes>,
        definition: &TableDefinition,
    ) -> Result<Self, Error> {
        store.make_folder(log::FOLDER)?;
        let lines = [
            Line { commit_info: Some(commit_info("CREATE TABLE", false)), ..Line::default() },
            Line { protocol: Some(schema::protocol(definition)), ..Line::default() },
            Line { meta_data: Some(schema::metadata(name, definition, None)?), ..Line::default() },
        ];
        let body = render(name, &lines)?;
        if store.put_new(&log::commit_path(0), &body, &[])? == Put::Exists {
            return Err(Error::Conflict { table: name.clone(), version: 0 });
        }
        Self::open(name, store, indexes)?.ok_or_else(|| Error::Gone { table: name.clone(), version: 0 })
    }

    /// Its name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The newest version.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The version `version`, from memory if it is one of the newest, else from the log.
    pub async fn snapshot_at(self: &Arc<Self>, version: i64) -> Result<Arc<Snapshot>, Error> {
        let newest = self.snapshot();
        if newest.version == version {
            return Ok(newest);
        }
        let previous = self.previous.lock().iter().find(|previous| previous.version == version).cloned();
        if let Some(previous) = previous {
            return Ok(previous);
        }
        let loaded = self.blocking(move |table| table.load_at(version)).await?;
        Ok(Arc::new(loaded.ok_or_else(|| Error::Gone { table: self.name.clone(), version })?))
    }

    pub(super) fn load_at(&self, version: i64) -> Result<Option<Snapshot>, Error> {
        Ok(log::load(&self.store, &self.name, Some(version))?.map(|loaded| loaded.snapshot))
    }

    /// A writer of new files in the table's newest schema. Its calls block: keep them off the async threads.
    pub fn writer(&self, effort: Effort) -> Result<DataWriter, Error> {
        let snapshot = self.snapshot();
        self.writer_of(&snapshot.schema, &snapshot.partition_columns, effort)
    }

    /// A writer of new files for a commit that gives the table another definition. Its calls block.
    pub fn writer_as(&self, definition: &TableDefinition, effort: Effort) -> Result<DataWriter, Error> {
        self.writer_of(&definition.schema, &definition.partition_columns, effort)
    }

    fn writer_of(
        &self,
        schema: &SchemaRef,
        partition_columns: &[String],
        effort: Effort,
    ) -> Result<DataWriter, Error> {
        let (name, store) = (self.name.clone(), self.store.clone());
        DataWriter::new(name, store, Arc::clone(schema), partition_columns, effort)
    }

    /// Writes batches into new files, fitted to the table's newest schema by column name.
    pub async fn write(
        self: &Arc<Self>,
        batches: Vec<RecordBatch>,
        effort: Effort,
    ) -> Result<Vec<DataFile>, Error> {
        self.blocking(move |table| {
            let mut writer = table.writer(effort)?;
            let schema = Arc::clone(writer.schema());
            for batch in batches {
                writer.write(&conform(&table.name, &batch, &schema)?)?;
            }
            writer.finish()
        })
        .await
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    pub(super) fn shared_indexes(&self) -> Arc<Indexes> {
        Arc::clone(&self.indexes)
    }

    /// Commits, durable when it returns. Removes and deletes are checked against the newest version under the lock:
    /// [`Error::Conflict`] when one of their files has changed since it was read.
    pub async fn commit(self: &Arc<Self>, commit: Commit) -> Result<Arc<Snapshot>, Error> {
        self.blocking(move |table| table.commit_blocking(&commit)).await
    }

    /// The newest version in the log: that of a commit, too, which looked failed and is there.
    pub async fn newest(self: &Arc<Self>) -> Result<Arc<Snapshot>, Error> {
        self.blocking(move |table| {
            let _one_at_a_time = table.commits.lock();
            loop {
                let base = table.snapshot();
                if log::read_commit(&table.store, &table.name, base.version + 1)?.is_none() {
                    return Ok(base);
                }
                table.take_foreign(&base, base.version + 1)?;
            }
        })
        .await
    }

    /// Empties the table and gives it another definition, in one commit. Blocks.
    pub(super) fn replace(&self, definition: &TableDefinition) -> Result<(), Error> {
        let commit = Commit {
            operation: "REPLACE TABLE",
            removes: self.snapshot().files.clone(),
            definition: Some(definition.clone()),
            ..Commit::append(Vec::new(), Vec::new())
        };
        self.commit_blocking(&commit).map(|_| ())
    }

    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Table) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let table = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&table)).await;
        done.map_err(|_| Error::Stopped { table: self.name.clone() })?
    }

    pub(super) fn commit_blocking(&self, commit: &Commit) -> Result<Arc<Snapshot>, Error> {
        let _one_at_a_time = self.commits.lock();
        failpoint::pass(Point::DataWritten, || self.name.to_string());
        let bitmaps: Vec<RoaringTreemap> = commit.deletes.iter().map(|(_, rows)| rows.clone()).collect();
        let vectors = if bitmaps.is_empty() { Vec::new() } else { vector::write(&self.store, &bitmaps)? };
        if !vectors.is_empty() {
            failpoint::pass(Point::VectorsWritten, || self.name.to_string());
        }
        let revised: Vec<Arc<DataFile>> = commit
            .deletes
            .iter()
            .zip(vectors)
            .map(|((file, _), vector)| Arc::new(file.with_vector(vector)))
            .collect();
        let folders = self.folders_of(&commit.adds);
        for _ in 0..ATTEMPTS_MAX {
            let base = self.snapshot();
            self.check_removes(&base, commit)?;
            let version = base.version + 1;
            let (lines, added) = self.lines(&base, commit, &revised)?;
            let body = render(&self.name, &lines)?;
            match self.store.put_new(&log::commit_path(version), &body, &folders)? {
                Put::Done => {
                    failpoint::pass(Point::CommitDurable, || self.name.to_string());
                    let next = Arc::new(base.next(version, &lines, added.clone())?);
                    self.publish(&next, &lines, added, commit.rows.clone());
                    return Ok(next);
                }
                Put::Exists => {
                    self.take_foreign(&base, version)?;
                    let newest = self.snapshot();
                    match landed(commit, &base, &newest) {
                        Landed::No => {}
                        Landed::Yes => return Ok(newest),
                        Landed::Overtaken => break,
                    }
                }
            }
        }
        Err(Error::Conflict { table: self.name.clone(), version: self.snapshot().version })
    }

    /// The folders that these files and all vectors are in, up to the table's own.
    fn folders_of(&self, files: &[DataFile]) -> Vec<PathBuf> {
        let folders = files.iter().flat_map(|file| Path::new(&file.path).ancestors().skip(1));
        let folders: BTreeSet<&Path> = folders.chain([Path::new("")]).collect();
        folders.into_iter().map(|folder| self.store.path("").join(folder)).collect()
    }

    /// A file that left or changed since the caller read it makes its commit wrong.
    fn check_removes(&self, base: &Snapshot, commit: &Commit) -> Result<(), Error> {
        let touched: Vec<&Arc<DataFile>> =
            commit.removes.iter().chain(commit.deletes.iter().map(|(file, _)| file)).collect();
        if touched.is_empty() {
            return Ok(());
        }
        let live: HashMap<&str, &DataFile> =
            base.files.iter().map(|f| (f.path.as_str(), f.as_ref())).collect();
        let unchanged =
            |file: &DataFile| live.get(file.path.as_str()).is_some_and(|f| f.descriptor == file.descriptor);
        if touched.into_iter().all(|file| unchanged(file)) {
            return Ok(());
        }
        Err(Error::Conflict { table: self.name.clone(), version: base.version })
    }

    fn lines(
        &self,
        base: &Snapshot,
        commit: &Commit,
        revised: &[Arc<DataFile>],
    ) -> Result<(Vec<Line>, Vec<Arc<DataFile>>), Error> {
        let now_ms = clock::now_ms();
        let blind = commit.removes.is_empty() && commit.deletes.is_empty();
        let mut lines =
            vec![Line { commit_info: Some(commit_info(commit.operation, blind)), ..Line::default() }];
        if let Some(definition) = &commit.definition {
            let protocol = schema::joined(&base.protocol, schema::protocol(definition));
            if protocol != *base.protocol {
                lines.push(Line { protocol: Some(protocol), ..Line::default() });
            }
            let metadata = schema::metadata(&self.name, definition, Some(base.metadata.id.clone()))?;
            lines.push(Line { meta_data: Some(metadata), ..Line::default() });
        }
        lines.extend(commit.transactions.iter().map(|(app_id, version)| Line {
            txn: Some(Txn { app_id: app_id.clone(), version: *version, last_updated: Some(now_ms) }),
            ..Line::default()
        }));
        let leaving = commit.removes.iter().chain(commit.deletes.iter().map(|(file, _)| file));
        lines.extend(
            leaving
                .map(|f| Line { remove: Some(f.to_remove(commit.data_change, now_ms)), ..Line::default() }),
        );
        let added: Vec<Arc<DataFile>> =
            revised.iter().cloned().chain(commit.adds.iter().map(|f| Arc::new(f.clone()))).collect();
        lines.extend(
            added.iter().map(|f| Line { add: Some(f.to_add(commit.data_change)), ..Line::default() }),
        );
        Ok((lines, added))
    }

    /// Another writer took the version: its commit becomes ours to build on, unless it changed the table itself.
    fn take_foreign(&self, base: &Snapshot, version: i64) -> Result<(), Error> {
        let conflict = || Error::Conflict { table: self.name.clone(), version };
        let lines = log::read_commit(&self.store, &self.name, version)?.ok_or_else(conflict)?;
        if lines.iter().any(|l| l.meta_data.is_some() || l.protocol.is_some()) {
            return Err(conflict());
        }
        let added = log::added_files(&self.store, &self.name, &lines)?;
        let next = Arc::new(base.next(version, &lines, added.clone())?);
        self.publish(&next, &lines, added, None);
        Ok(())
    }

    /// Keeps no version but the newest in memory.
    pub(super) fn forget_previous(&self) {
        self.previous.lock().clear();
    }

    pub(super) fn set_snapshot(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
    }

    pub(super) fn publish(
        &self,
        next: &Arc<Snapshot>,
        lines: &[Line],
        added: Vec<Arc<DataFile>>,
        rows: Option<ChangedRows>,
    ) {
        {
            let mut tombstones = self.tombstones.lock();
            for line in lines {
                if let Some(remove) = &line.remove {
                    log::bury(&mut tombstones, remove, next.version);
                }
            }
            for file in &added {
                tombstones.remove(&file.path);
            }
        }
        let change = Change { rows, ..change_of(&self.snapshot(), next.version, lines, &added) };
        self.recent.lock().push(change, clock::instant());
        let before = self.snapshot.swap(Arc::clone(next));
        let mut previous = self.previous.lock();
        previous.push_back(before);
        if previous.len() > PREVIOUS_MAX {
            previous.pop_front();
        }
    }
}

/// What the commit that took our version says about ours.
#[derive(Debug, PartialEq, Eq)]
enum Landed {
    /// It has nothing to do with ours.
    No,
    /// It is ours, of an earlier try that looked failed.
    Yes,
    /// Another writer advances the same application versions.
    Overtaken,
}

/// An application version is advanced by one commit only, so it tells whose commit took the version.
fn landed(commit: &Commit, base: &Snapshot, newest: &Snapshot) -> Landed {
    let moved = |app: &String| base.transaction(app) != newest.transaction(app);
    if !commit.transactions.iter().any(|(app, _)| moved(app)) {
        return Landed::No;
    }
    let is_ours = commit.transactions.iter().all(|(app, version)| newest.transaction(app) == Some(*version));
    if is_ours { Landed::Yes } else { Landed::Overtaken }
}

fn commit_info(operation: &str, blind_append: bool) -> Map<String, Value> {
    let info = json!({
        "timestamp": clock::now_ms(),
        "operation": operation,
        "operationParameters": {},
        "isBlindAppend": blind_append,
        "engineInfo": concat!("sluice/", env!("CARGO_PKG_VERSION")),
        "txnId": uuid::Uuid::new_v4().to_string(),
    });
    match info {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn render(table: &TableName, lines: &[Line]) -> Result<Vec<u8>, Error> {
    super::action::render_commit(lines).map_err(|e| Error::Corrupt {
        table: table.clone(),
        file: log::FOLDER.to_string(),
        reason: e.to_string(),
    })
}
