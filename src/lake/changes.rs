//! What came and what went between two versions of a table: its change feed, read from commits.
//!
//! A commit that only moves rows (a fold) changes nothing. A file that gets another deletion vector stands for the rows
//! that the new vector hides and the old one did not. While a commit's rows are few, they stay in memory for those who
//! follow the table: rows that went lie scattered, and each would cost them a page a column.

use super::Error;
use super::change_data::change_files;
use super::log::{added_files, read_commit};
use super::snapshot::{DataFile, Snapshot};
use super::table::Table;
use arrow::array::RecordBatch;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// All rows that a commit changed, in the table's columns.
#[derive(Clone, Debug, Default)]
pub struct ChangedRows {
    /// Rows that came.
    pub came: Vec<RecordBatch>,
    /// Rows that went.
    pub went: Vec<RecordBatch>,
}

impl ChangedRows {
    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.came.iter().chain(&self.went).map(RecordBatch::get_array_memory_size).sum()
    }
}

/// The rows that came and went. A row that came and went again in between is in both.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Changed rows that are in memory, besides those in files.
    pub rows: ChangedRows,
    /// Files whose live rows came.
    pub inserted: Vec<Arc<DataFile>>,
    /// Files whose rows, or some of them, went.
    pub deleted: Vec<Arc<DataFile>>,
}

impl Changes {
    /// True when no row came or went.
    pub fn is_empty(&self) -> bool {
        self.inserted.is_empty() && self.deleted.is_empty() && self.rows.bytes() == 0
    }

    /// How many rows came and how many went; `None` when a file does not say how many it has.
    pub fn rows(&self, snapshot: &Snapshot) -> Option<(u64, u64)> {
        let sum = |files: &[Arc<DataFile>], rows: &[RecordBatch]| -> Option<u64> {
            let in_files: u64 =
                files.iter().map(|file| file.live_rows(&snapshot.schema)).sum::<Option<u64>>()?;
            Some(in_files + rows.iter().map(|batch| batch.num_rows() as u64).sum::<u64>())
        };
        Some((sum(&self.inserted, &self.rows.came)?, sum(&self.deleted, &self.rows.went)?))
    }
}

/// One commit, as far as it changed contents.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: i64,
    /// Files that it added, vectors attached.
    pub(super) added: Vec<Arc<DataFile>>,
    /// Files that it removed, as they were before.
    pub(super) removed: Vec<Arc<DataFile>>,
    /// The same as rows, while they are kept.
    pub(super) rows: Option<ChangedRows>,
    /// Its own account of the rows that it changed, as some writers give.
    pub(super) data: Vec<Arc<DataFile>>,
}

impl Change {
    fn feed(&self, changes: &mut Changes) {
        if let Some(rows) = &self.rows {
            changes.rows.came.extend(rows.came.iter().cloned());
            changes.rows.went.extend(rows.went.iter().cloned());
            return;
        }
        let mut removed: HashMap<&str, &Arc<DataFile>> =
            self.removed.iter().map(|file| (file.path.as_str(), file)).collect();
        for file in &self.added {
            let Some(before) = removed.remove(file.path.as_str()) else {
                changes.inserted.push(Arc::clone(file));
                continue;
            };
            let (hidden, hidden_before) = (Table::deleted_rows(file), Table::deleted_rows(before));
            let gone = &hidden - &hidden_before;
            if !gone.is_empty() {
                changes.deleted.push(Arc::new(file.with_only(gone)));
            }
            let back = &hidden_before - &hidden;
            if !back.is_empty() {
                changes.inserted.push(Arc::new(file.with_only(back)));
            }
        }
        // What was not added again, under another vector, is gone whole.
        changes.deleted.extend(removed.into_values().cloned());
    }
}

impl Table {
    /// The changes after version `from`, up to and including `to`. `None` when the log does not reach back that far.
    pub async fn changes(self: &Arc<Self>, from: i64, to: i64) -> Result<Option<Changes>, Error> {
        if from == to {
            return Ok(Some(Changes::default()));
        }
        self.blocking(move |table| table.changes_blocking(from, to)).await
    }

    /// Files whose rows were appended after version `from`, up to and including `to`, in order. `None` when that is
    /// not the whole change (rows were removed) or when the log does not reach back that far.
    pub async fn appended(self: &Arc<Self>, from: i64, to: i64) -> Result<Option<Vec<Arc<DataFile>>>, Error> {
        let changes = self.changes(from, to).await?;
        // Rows in memory are of commits that took rows back, too.
        let only_files = |changes: &Changes| changes.deleted.is_empty() && changes.rows.bytes() == 0;
        Ok(changes.filter(only_files).map(|changes| changes.inserted))
    }

    fn changes_blocking(&self, from: i64, to: i64) -> Result<Option<Changes>, Error> {
        let mut changes = Changes::default();
        let known = self.recent.lock().between(from, to);
        if known.len() as i64 == to - from {
            known.iter().try_for_each(|change| self.feed(change, &mut changes))?;
            return Ok(self.are_there(&changes).then_some(changes));
        }
        // Not all in memory, as after a start: the log is replayed from the older version, which must still be there.
        let mut snapshot = match self.load_at(from) {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) | Err(Error::Gone { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        for version in from + 1..=to {
            let Some(lines) = read_commit(self.store(), self.name(), version)? else { return Ok(None) };
            let added = added_files(self.store(), self.name(), &lines)?;
            self.feed(&change_of(&snapshot, version, &lines, &added), &mut changes)?;
            snapshot = snapshot.next(version, &lines, added)?;
        }
        Ok(self.are_there(&changes).then_some(changes))
    }

    /// What a commit's change data says, where it has some; else what its files do.
    fn feed(&self, change: &Change, changes: &mut Changes) -> Result<(), Error> {
        match self.change_data(change)? {
            Some(data) => {
                changes.inserted.extend(data.inserted);
                changes.deleted.extend(data.deleted);
            }
            None => change.feed(changes),
        }
        Ok(())
    }

    /// False when a file that changes stand in is gone: others delete files as they like.
    fn are_there(&self, changes: &Changes) -> bool {
        let files = || changes.inserted.iter().chain(&changes.deleted);
        !self.store().is_foreign() || files().all(|file| self.store().path(&file.path).exists())
    }
}

/// What a commit changed, given the version before it.
pub(super) fn change_of(
    before: &Snapshot,
    version: i64,
    lines: &[super::action::Line],
    added: &[Arc<DataFile>],
) -> Change {
    let adds = lines.iter().filter_map(|line| line.add.as_ref()).zip(added);
    let added: Vec<Arc<DataFile>> =
        adds.filter(|(add, _)| add.data_change).map(|(_, file)| Arc::clone(file)).collect();
    let removes = lines.iter().filter_map(|line| line.remove.as_ref()).filter(|remove| remove.data_change);
    let mut paths: HashSet<&str> = removes.map(|remove| remove.path.as_str()).collect();
    if before.store.is_foreign() {
        // A file that is added again without a remove is the same file.
        paths.extend(added.iter().map(|file| file.path.as_str()));
    }
    let removed = match paths.is_empty() {
        true => Vec::new(),
        false => before.files.iter().filter(|file| paths.contains(file.path.as_str())).cloned().collect(),
    };
    Change { version, added, removed, rows: None, data: change_files(lines) }
}
