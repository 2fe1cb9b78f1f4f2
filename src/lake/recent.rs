//! A table's newest commits in memory, for those who follow it closely; who has fallen back reads the log.
//!
//! Tables are many and most commits are small: what is kept is bounded by time as well, so that a warehouse in which little
//! happens all day holds little.

use super::changes::Change;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Commits remembered. Each may hold on to the files of a version that is gone, vectors and all.
const COMMITS_MAX: usize = 256;
/// Bytes of changed rows that a table keeps.
const ROWS_BYTES_MAX: usize = 16 << 20;
/// How long changed rows are kept.
const ROWS_AGE_MAX: Duration = Duration::from_secs(60);

/// The newest commits' changes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Oldest first.
    changes: VecDeque<Change>,
    /// Those of them whose rows are kept, oldest first.
    kept: VecDeque<Kept>,
    /// Of all rows that are kept.
    bytes: usize,
}

/// Rows that are kept of a commit.
#[derive(Debug)]
struct Kept {
    version: i64,
    since: Instant,
    bytes: usize,
}

impl Recent {
    /// Notes the newest commit's change.
    pub(super) fn push(&mut self, change: Change, now: Instant) {
        if let Some(rows) = &change.rows {
            let bytes = rows.bytes();
            self.kept.push_back(Kept { version: change.version, since: now, bytes });
            self.bytes += bytes;
        }
        self.changes.push_back(change);
        self.let_go(now);
        if self.changes.len() > COMMITS_MAX {
            self.forget_oldest();
        }
    }

    /// Lets go of rows that are too old or too many, the oldest first.
    pub(super) fn let_go(&mut self, now: Instant) {
        let is_over = |kept: &Kept, bytes: usize| {
            bytes > ROWS_BYTES_MAX || now.saturating_duration_since(kept.since) > ROWS_AGE_MAX
        };
        while let Some(oldest) = self.kept.pop_front_if(|oldest| is_over(oldest, self.bytes)) {
            self.bytes -= oldest.bytes;
            let change = self.changes.iter_mut().find(|change| change.version == oldest.version);
            if let Some(change) = change {
                change.rows = None;
            }
        }
    }

    fn forget_oldest(&mut self) {
        let Some(change) = self.changes.pop_front() else { return };
        if let Some(kept) = self.kept.pop_front_if(|kept| kept.version == change.version) {
            self.bytes -= kept.bytes;
        }
    }

    /// The changes after one version, up to and including another: fewer than that where they are not all remembered.
    pub(super) fn between(&self, from: i64, to: i64) -> Vec<Change> {
        self.changes.iter().filter(|change| change.version > from && change.version <= to).cloned().collect()
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::ChangedRows;
    use super::*;
    use arrow::array::{Int64Array, RecordBatch};
    use std::sync::Arc;

    fn change(version: i64, rows: i64) -> Change {
        let column = Arc::new(Int64Array::from_iter_values(0..rows)) as _;
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let rows = ChangedRows { came: vec![batch], went: vec![] };
        Change { version, added: vec![], removed: vec![], rows: Some(rows), data: vec![] }
    }

    /// Versions that are remembered, and those of them with their rows.
    fn held(recent: &Recent) -> (Vec<i64>, Vec<i64>) {
        let with_rows = recent.changes.iter().filter(|change| change.rows.is_some());
        (recent.changes.iter().map(|change| change.version).collect(), with_rows.map(|c| c.version).collect())
    }

    #[test]
    fn rows_are_let_go_with_time() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        recent.push(change(1, 10), start);
        recent.push(change(2, 10), start + ROWS_AGE_MAX / 2);
        recent.let_go(start + ROWS_AGE_MAX);
        assert_eq!(held(&recent), (vec![1, 2], vec![1, 2]));
        recent.let_go(start + ROWS_AGE_MAX * 5 / 4);
        assert_eq!(held(&recent), (vec![1, 2], vec![2]));
        recent.let_go(start + ROWS_AGE_MAX * 2);
        assert_eq!((held(&recent), recent.bytes), ((vec![1, 2], vec![]), 0));
    }

    #[test]
    fn the_oldest_of_too_many_go_first() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let half = i64::try_from(ROWS_BYTES_MAX).unwrap() / 16;
        (1..=3).for_each(|version| recent.push(change(version, half - 100), now));
        assert_eq!(held(&recent), (vec![1, 2, 3], vec![2, 3]));
        recent.push(change(4, 3 * half), now);
        assert_eq!(held(&recent), (vec![1, 2, 3, 4], vec![]), "one that is too large alone");
    }

    #[test]
    fn commits_are_forgotten_by_number() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let last = i64::try_from(COMMITS_MAX).unwrap() + 2;
        (1..=last).for_each(|version| recent.push(change(version, 1), now));
        assert_eq!(recent.between(0, last).len(), COMMITS_MAX);
        assert_eq!(recent.between(0, 3).iter().map(|c| c.version).collect::<Vec<_>>(), [3]);
        assert_eq!(recent.kept.len(), COMMITS_MAX);
        assert_eq!(recent.bytes, recent.kept.iter().map(|kept| kept.bytes).sum::<usize>());
        recent.clear();
        assert!(recent.between(0, last).is_empty());
    }
}
