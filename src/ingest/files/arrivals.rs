//! What is known of a source's files: a pure function of what was durable, what was taken since, and what is seen.

use super::folder::{Found, Stamp};
use crate::ingest::FileProgress;
use std::collections::HashMap;
use std::time::Duration;

/// What is known of the files, by path.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Every arrival of a path, the newest last.
    known: HashMap<String, Vec<FileProgress>>,
    /// Files that need no further look while they keep this stamp.
    settled: HashMap<String, Stamp>,
    /// What the last look saw of the files that may still be growing.
    growing: HashMap<String, Stamp>,
    poll_us: i64,
}

/// What a content at a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Taken whole before.
    Taken,
    /// Taken up to this record.
    Begun(i64),
    /// Never seen at this path, which had no other content before.
    New,
    /// Never seen at this path, which had this content before.
    Changed(String),
}

impl Arrivals {
    /// What was durable at the start.
    pub(super) fn new(durable: Vec<FileProgress>, poll: Duration) -> Self {
        let mut arrivals = Self {
            known: HashMap::new(),
            settled: HashMap::new(),
            growing: HashMap::new(),
            poll_us: i64::try_from(poll.as_micros()).unwrap_or(i64::MAX),
        };
        durable.into_iter().for_each(|progress| arrivals.advance(progress));
        arrivals
    }

    /// Which of the files seen are due: not settled, and not growing any more. A file has stopped growing when two
    /// looks see it alike, or when it was last written more than a poll ago (so was one renamed in).
    pub(super) fn look(&mut self, seen: &[Found], now_us: i64) -> Vec<usize> {
        let mut growing = HashMap::new();
        let mut due = Vec::new();
        for (index, file) in seen.iter().enumerate() {
            // An empty file is one that is not written yet.
            if self.settled.get(&file.path) == Some(&file.stamp) || file.stamp.size == 0 {
                continue;
            }
            let age_us = now_us.saturating_sub(file.stamp.modified_us);
            if age_us >= self.poll_us || self.growing.get(&file.path) == Some(&file.stamp) {
                due.push(index);
            } else {
                growing.insert(file.path.clone(), file.stamp);
            }
        }
        self.growing = growing;
        due
    }

    /// What a content at a path is.
    pub(super) fn arrival(&self, path: &str, content: &str) -> Arrival {
        let Some(newest) = self.known.get(path).and_then(|known| known.last()) else { return Arrival::New };
        match self.find(path, content) {
            Some(progress) if progress.done => Arrival::Taken,
            Some(progress) => Arrival::Begun(progress.taken),
            None => Arrival::Changed(newest.content.clone()),
        }
    }

    /// A file has been taken further.
    pub(super) fn advance(&mut self, progress: FileProgress) {
        if progress.done {
            let stamp = Stamp { size: progress.size, modified_us: progress.modified_us };
            self.settle(&progress.path, stamp);
        }
        let known = self.known.entry(progress.path.clone()).or_default();
        match known.iter_mut().find(|known| known.content == progress.content) {
            Some(known) => *known = progress,
            None => known.push(progress),
        }
    }

    /// A file needs no further look while it keeps this stamp.
    pub(super) fn settle(&mut self, path: &str, stamp: Stamp) {
        self.settled.insert(path.to_string(), stamp);
    }

    fn find(&self, path: &str, content: &str) -> Option<&FileProgress> {
        self.known.get(path)?.iter().find(|known| known.content == content)
    }
}
