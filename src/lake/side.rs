//! Two tables in one step: rows, and what stands beside them (a quarantine, a manifest of files).
//!
//! Delta has no joint commit, so the step has an order. The side table goes first, its files marked with the step's
//! number; the main commit, whose application version carries that number, makes them count. What is marked with a
//! later number than the main table has reached belongs to a step that a crash or a failed commit cut short: it is
//! removed, and where the step had put it in the place of all that stood, that is brought back from its version.

use super::Error;
use super::snapshot::{DataFile, Snapshot};
use super::table::{Commit, Table};
use std::sync::Arc;

/// Files that count once the main table has come to the step.
fn marked(mut files: Vec<DataFile>, step: &str, number: i64) -> Vec<DataFile> {
    for file in &mut files {
        file.tags.insert(step.to_string(), number.to_string());
    }
    files
}

impl Table {
    /// Commits the side files of step `number`. `step` names the step's application version, here and in the main
    /// table. Files of an earlier try of the same step are replaced, not doubled.
    pub async fn commit_beside(
        self: &Arc<Self>,
        step: &str,
        number: i64,
        adds: Vec<DataFile>,
    ) -> Result<Arc<Snapshot>, Error> {
        let adds = marked(adds, step, number);
        let removes = beyond(&self.snapshot(), step, number - 1);
        self.commit(Commit { removes, ..Commit::append(adds, vec![(step.to_string(), number)]) }).await
    }

    /// As [`Table::commit_beside`], in place of all files that there are.
    pub async fn commit_beside_anew(
        self: &Arc<Self>,
        step: &str,
        number: i64,
        adds: Vec<DataFile>,
    ) -> Result<Arc<Snapshot>, Error> {
        self.overwrite(marked(adds, step, number), vec![(step.to_string(), number), (anew(step), number)])
            .await
    }

    /// As [`Table::commit_beside`], in place of some files: a step that does not come to its end brings them back.
    /// [`Error::Conflict`] when one of them has changed since it was read.
    pub async fn commit_beside_instead(
        self: &Arc<Self>,
        step: &str,
        number: i64,
        removes: Vec<Arc<DataFile>>,
        adds: Vec<DataFile>,
    ) -> Result<Arc<Snapshot>, Error> {
        let (adds, marks) =
            (marked(adds, step, number), vec![(step.to_string(), number), (anew(step), number)]);
        self.commit(Commit { operation: "WRITE", removes, ..Commit::append(adds, marks) }).await
    }

    /// Commits these files in place of all that there are, whatever upkeep makes of those meanwhile. The first
    /// application version is this commit's alone.
    pub async fn overwrite(
        self: &Arc<Self>,
        adds: Vec<DataFile>,
        transactions: Vec<(String, i64)>,
    ) -> Result<Arc<Snapshot>, Error> {
        let number =
            |table: &Self| transactions.first().and_then(|(name, _)| table.snapshot().transaction(name));
        let before = number(self);
        let mut attempt = 1;
        loop {
            let removes = self.snapshot().files.clone();
            let commit =
                Commit { operation: "WRITE", removes, ..Commit::append(adds.clone(), transactions.clone()) };
            match self.commit(commit).await {
                Err(Error::Conflict { .. }) if attempt < ATTEMPTS_MAX && number(self) == before => {
                    attempt += 1
                }
                outcome => return outcome,
            }
        }
    }

    /// Takes back the side rows of steps that the main table, which has reached `done`, never came to: what they stand
    /// for will be read again.
    pub async fn take_back(self: &Arc<Self>, step: &str, done: i64) -> Result<(), Error> {
        if self.snapshot().transaction(&anew(step)).is_some_and(|number| number > done) {
            return self.bring_back(step, done).await;
        }
        let removes = beyond(&self.snapshot(), step, done);
        if removes.is_empty() {
            return Ok(());
        }
        tracing::info!(table = %self.name(), files = removes.len(), "taking back rows of an unfinished commit");
        let commit = Commit { operation: "DELETE", removes, ..Commit::append(Vec::new(), Vec::new()) };
        self.commit(commit).await.map(|_| ())
    }

    /// Brings back the files of the newest version that knows no step after `done`.
    async fn bring_back(self: &Arc<Self>, step: &str, done: i64) -> Result<(), Error> {
        tracing::info!(table = %self.name(), "bringing back the rows that an unfinished commit had replaced");
        let newest = self.snapshot();
        let is_before = |old: &Snapshot| old.transaction(step).unwrap_or(0) <= done;
        let mut version = newest.version;
        let old = loop {
            version -= 1;
            let old = self.snapshot_at(version).await?;
            if is_before(&old) {
                break old;
            }
        };
        let stands = |file: &DataFile, files: &[Arc<DataFile>]| {
            files.iter().any(|other| other.path == file.path && other.descriptor == file.descriptor)
        };
        let adds = old.files.iter().filter(|file| !stands(file, &newest.files));
        let removes = newest.files.iter().filter(|file| !stands(file, &old.files));
        let commit = Commit {
            operation: "RESTORE",
            removes: removes.cloned().collect(),
            ..Commit::append(
                adds.map(|file| DataFile::clone(file)).collect(),
                vec![(step.to_string(), done), (anew(step), done)],
            )
        };
        self.commit(commit).await.map(|_| ())
    }
}

/// How often an overwrite is tried when upkeep has folded a file.
const ATTEMPTS_MAX: usize = 5;

/// Application version: the last step that put its side files in place of others.
fn anew(step: &str) -> String {
    format!("{step}.anew")
}

/// Files of steps after `done`.
fn beyond(side: &Snapshot, step: &str, done: i64) -> Vec<Arc<DataFile>> {
    let number = |file: &DataFile| file.tags.get(step).and_then(|mark| mark.parse::<i64>().ok());
    side.files.iter().filter(|file| number(file).is_some_and(|n| n > done)).cloned().collect()
}
