//! Upkeep: folding small and much-deleted files, checkpoints, log cleanup, vacuum. It never changes contents.
//!
//! What to do is decided by pure functions over a snapshot ([`plan_folds`]); doing it goes through the table's one
//! commit lock, so that it can race with ingest and refreshes and at worst gives up.

use super::Error;
use super::log;
use super::read::conform;
use super::snapshot::{DataFile, Snapshot};
use super::stats::FileStatistics;
use super::table::{Commit, Table};
use super::vector;
use super::write::Effort;
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What is kept in memory of a file outlives it by this: older versions are mostly read just after they were the newest.
pub(super) const REMEMBERED_MS: i64 = 60_000;

/// When upkeep acts.
#[derive(Clone, Copy, Debug)]
pub struct UpkeepSettings {
    /// Files of one size class that are folded together.
    pub fold_files_min: usize,
    /// Files at least this large are left alone unless much is deleted of them, bytes.
    pub fold_bytes_max: u64,
    /// Share of deleted rows at which a file is rewritten, percent.
    pub deleted_percent_max: u64,
    /// Commits between two checkpoints.
    pub checkpoint_commits: i64,
    /// How long a removed file is kept at least, for queries that still read it.
    pub keep: Duration,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self {
            fold_files_min: 16,
            fold_bytes_max: 64 << 20,
            deleted_percent_max: 40,
            checkpoint_commits: 100,
            keep: Duration::from_secs(3600),
        }
    }
}

/// Decides which files to fold, each group into one: a file of which much is deleted, with the smaller ones of its
/// partition, which would be rewritten into its class soon; and files of one partition and one size class, as soon as
/// there are enough of them, so that each row is rewritten once per class, not once per fold.
pub fn plan_folds(snapshot: &Snapshot, settings: &UpkeepSettings) -> Vec<Vec<Arc<DataFile>>> {
    // The newest file may belong to a step that is not finished (a side table's rows, before the main commit), which a
    // restart takes back by the file's mark.
    let settled = &snapshot.files[..snapshot.files.len().saturating_sub(1)];
    let (mut worn, mut standing): (Vec<_>, Vec<_>) =
        settled.iter().cloned().partition(|file| is_much_deleted(file, snapshot, settings));
    worn.sort_by_key(|file| Reverse(file.size));
    let mut folds: Vec<_> = worn
        .into_iter()
        .map(|file| {
            let along = |other: &mut Arc<DataFile>| {
                other.partition_values == file.partition_values && other.size <= file.size / 2
            };
            let mut group: Vec<_> = standing.extract_if(.., along).collect();
            group.push(file);
            group
        })
        .collect();
    let mut classes: BTreeMap<(&BTreeMap<String, Option<String>>, u32), Vec<&Arc<DataFile>>> =
        BTreeMap::new();
    for file in standing.iter().filter(|file| file.size < settings.fold_bytes_max) {
        classes.entry((&file.partition_values, size_class(file.size))).or_default().push(file);
    }
    folds.extend(
        classes
            .into_values()
            .filter(|files| files.len() >= settings.fold_files_min)
            .map(|files| files.into_iter().cloned().collect()),
    );
    folds
}

/// Powers of eight above 64 KiB: a fold of `fold_files_min` files lands at least one class higher.
fn size_class(bytes: u64) -> u32 {
    (bytes >> 16).checked_ilog(8).map_or(0, |class| class + 1)
}

fn is_much_deleted(file: &DataFile, snapshot: &Snapshot, settings: &UpkeepSettings) -> bool {
    let (Some(vector), Some(rows)) = (&file.deletion_vector, file.statistics(&snapshot.schema).rows) else {
        return false;
    };
    vector.rows.len() * 100 >= rows * settings.deleted_percent_max
}

impl Table {
    /// Folds a group of files into one with the same rows. Gives up quietly when one of them changed meanwhile.
    pub async fn fold(self: &Arc<Self>, group: Vec<Arc<DataFile>>) -> Result<(), Error> {
        self.blocking(move |table| table.fold_blocking(group)).await
    }

    pub(super) fn fold_blocking(self: &Table, group: Vec<Arc<DataFile>>) -> Result<(), Error> {
        let snapshot = self.snapshot();
        let mut writer = self.writer(Effort::Compact)?;
        for file in &group {
            self.read_file::<Error>(&snapshot, file, |batch, _| {
                writer.write(&conform(self.name(), &batch, &snapshot.schema)?)
            })?;
        }
        let mut adds = writer.finish()?;
        failpoint::pass(Point::FoldWritten, || self.name().to_string());
        // Marks that all the group's files share stay on what they became.
        let tags = group.first().map(|f| f.tags.clone()).unwrap_or_default();
        if group.iter().all(|f| f.tags == tags) {
            adds.iter_mut().for_each(|add| add.tags = tags.clone());
        }
        let commit = Commit {
            operation: "OPTIMIZE",
            adds: adds.clone(),
            removes: group,
            deletes: Vec::new(),
            transactions: Vec::new(),
            data_change: false,
            definition: None,
            rows: None,
        };
        match self.commit_blocking(&commit) {
            Ok(_) => {
                failpoint::pass(Point::FoldCommitted, || self.name().to_string());
                Ok(())
            }
            Err(error) => {
                adds.iter().try_for_each(|add| self.store().delete(&add.path))?;
                if matches!(error, Error::Conflict { .. }) { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Lets go of changed rows in memory that are old and of what is kept there of files that left, writes a checkpoint
    /// when enough was committed since the last, then deletes what no reader needs any more: commits below `floor` that a checkpoint covers, and files removed at or below `floor` longer than `keep` ago.
    /// `floor` is the oldest version that an epoch, a consumer or a reader still names.
    pub async fn tidy(self: &Arc<Self>, floor: i64, settings: UpkeepSettings) -> Result<(), Error> {
        self.blocking(move |table| table.tidy_blocking(floor, &settings)).await
    }

    /// Removes the files whose rows are all older than `before` by a timestamp column, unless `stays` keeps them, in
    /// one commit: retention by whole files. Gives up quietly when one of them changed meanwhile.
    pub async fn forget(
        self: &Arc<Self>,
        column: &str,
        before: DateTime<Utc>,
        stays: impl Fn(&FileStatistics) -> bool,
    ) -> Result<(), Error> {
        let snapshot = self.snapshot();
        let limit = ScalarValue::TimestampMicrosecond(Some(before.timestamp_micros()), Some("UTC".into()));
        let old = snapshot.files.iter().filter(|file| {
            let statistics = file.statistics(&snapshot.schema);
            let newest = statistics.columns.get(column).and_then(|bounds| bounds.max.as_ref());
            newest.is_some_and(|newest| *newest < limit) && !stays(&statistics)
        });
        let removes: Vec<_> = old.cloned().collect();
        if removes.is_empty() {
            return Ok(());
        }
        let commit = Commit { operation: "DELETE", removes, ..Commit::append(Vec::new(), Vec::new()) };
        match self.commit(commit).await {
            Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn tidy_blocking(&self, floor: i64, settings: &UpkeepSettings) -> Result<(), Error> {
        self.recent.lock().let_go(clock::instant());
        self.forget_gone(clock::now_ms());
        let snapshot = self.snapshot();
        let listing = log::list(self.store())?;
        let last = listing.checkpoints.last().copied().unwrap_or(0);
        if snapshot.version - last >= settings.checkpoint_commits {
            let tombstones = self.tombstones.lock().clone();
            let buried = tombstones.into_iter().map(|(path, t)| (path, t.removed_ms)).collect();
            log::write_checkpoint(self.store(), &snapshot, &buried)?;
            failpoint::pass(Point::CheckpointHinted, || self.name().to_string());
        }
        for path in expired_log(&listing, floor) {
            self.store().delete(&path)?;
            failpoint::pass(Point::LogDeleted, || self.name().to_string());
        }
        self.vacuum(&snapshot, floor, settings.keep)
    }

    /// Lets go of what is kept in memory of files that left the table a while ago.
    pub(super) fn forget_gone(&self, now_ms: i64) {
        let until_ms = now_ms.saturating_sub(REMEMBERED_MS);
        let since_ms = self.forgotten_ms.swap(until_ms, Ordering::Relaxed);
        let gone: HashSet<PathBuf> = {
            let tombstones = self.tombstones.lock();
            let gone = tombstones.iter().filter(|(_, t)| (since_ms..until_ms).contains(&t.removed_ms));
            gone.map(|(path, _)| self.store().path(path)).collect()
        };
        if !gone.is_empty() {
            self.indexes().forget(&gone);
        }
    }

    fn vacuum(&self, snapshot: &Snapshot, floor: i64, keep: Duration) -> Result<(), Error> {
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let before_ms = clock::now_ms().saturating_sub(keep_ms);
        let expired: Vec<String> = {
            let tombstones = self.tombstones.lock();
            let old = tombstones.iter().filter(|(_, t)| t.removed_ms < before_ms && t.version <= floor);
            old.map(|(path, _)| path.clone()).collect()
        };
        if expired.is_empty() {
            return Ok(());
        }
        let vectors = snapshot.files.iter().filter_map(|f| vector::file_of(f.descriptor.as_ref()?));
        let live: HashSet<String> = snapshot.files.iter().map(|f| f.path.clone()).chain(vectors).collect();
        for path in expired {
            if !live.contains(&path) {
                self.store().delete(&path)?;
                failpoint::pass(Point::FileDeleted, || self.name().to_string());
            }
            self.tombstones.lock().remove(&path);
        }
        Ok(())
    }

    /// Deletes files that no version names: what a killed writer left. Only those older than `keep`.
    pub async fn sweep_orphans(self: &Arc<Self>, keep: Duration) -> Result<(), Error> {
        self.blocking(move |table| table.sweep_blocking(keep).map(drop)).await
    }

    /// As [`Table::sweep_orphans`]; how many went.
    pub(super) fn sweep_blocking(&self, keep: Duration) -> Result<u64, Error> {
        let snapshot = self.snapshot();
        let buried = self.tombstones.lock().clone();
        let vectors = snapshot.files.iter().filter_map(|f| vector::file_of(f.descriptor.as_ref()?));
        let live: HashSet<String> = snapshot.files.iter().map(|f| f.path.clone()).chain(vectors).collect();
        let mut went = 0;
        for name in self.store().list_parted("")? {
            let is_ours = name.ends_with(".parquet") || name.ends_with(".bin");
            if !is_ours || live.contains(&name) || buried.contains_key(&name) {
                continue;
            }
            if self.store().age(&name)?.is_some_and(|age| age >= keep) {
                self.store().delete(&name)?;
                went += 1;
            }
        }
        Ok(went)
    }
}

/// Log files that may go: all below the newest checkpoint that is not above `floor`.
fn expired_log(listing: &log::Listing, floor: i64) -> Vec<String> {
    let Some(base) = listing.checkpoints.iter().copied().rfind(|v| *v <= floor) else { return Vec::new() };
    let commits = listing.commits.iter().filter(|v| **v < base).map(|v| log::commit_path(*v));
    let checkpoints = listing.checkpoints.iter().filter(|v| **v < base).map(|v| log::checkpoint_path(*v));
    commits.chain(checkpoints).collect()
}
