//! Two tables in one step: rows, and what stands beside them (a quarantine, a manifest of files).
//!
//! Delta has no joint commit, so the step has an order. The side table goes first, its files marked with the step's
//! number; the main commit, whose application version carries that number, makes them count. What is marked with a
//! later number than the main table has reached belongs to a step that a crash or a failed commit cut short.

use super::Error;
use super::snapshot::{DataFile, Snapshot};
use super::table::{Commit, Table};
use std::sync::Arc;

impl Table {
    /// Commits the side files of step `number`. `step` names the step's application version, here and in the main
    /// table. Files of an earlier try of the same step are replaced, not doubled.
    pub async fn commit_beside(
        self: &Arc<Self>,
        step: &str,
        number: i64,
        mut adds: Vec<DataFile>,
    ) -> Result<Arc<Snapshot>, Error> {
        for file in &mut adds {
            file.tags.insert(step.to_string(), number.to_string());
        }
        let removes = beyond(&self.snapshot(), step, number - 1);
        self.commit(Commit { removes, ..Commit::append(adds, vec![(step.to_string(), number)]) }).await
    }

    /// Takes back the side rows of steps that the main table, which has reached `done`, never came to: what they stand
    /// for will be read again.
    pub async fn take_back(self: &Arc<Self>, step: &str, done: i64) -> Result<(), Error> {
        let removes = beyond(&self.snapshot(), step, done);
        if removes.is_empty() {
            return Ok(());
        }
        tracing::info!(table = %self.name(), files = removes.len(), "taking back rows of an unfinished commit");
        let commit = Commit { operation: "DELETE", removes, ..Commit::append(Vec::new(), Vec::new()) };
        self.commit(commit).await.map(|_| ())
    }
}

/// Files of steps after `done`.
fn beyond(side: &Snapshot, step: &str, done: i64) -> Vec<Arc<DataFile>> {
    let number = |file: &DataFile| file.tags.get(step).and_then(|mark| mark.parse::<i64>().ok());
    side.files.iter().filter(|file| number(file).is_some_and(|n| n > done)).cloned().collect()
}
