//! Is a partition's log still the one that was read? Pure.
//!
//! Offsets alone do not tell: a topic that was deleted and made anew counts from 0 again and soon reaches the old
//! numbers. So a partition is continued only when its watermarks allow it and, where the last taken record is still
//! there, its bytes are those that bronze holds.
//!
//! ```text
//!        low                    next-1  next        high
//!  ───────┼───────────────────────●──────┼───────────┼──►
//!  removed│        taken          │ same bytes?      │not written yet
//!
//!  low > next    retention was faster than we were: offsets lost
//!  high < next   the log is shorter than what was taken: made anew
//! ```

/// What the broker says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watermarks {
    /// The oldest offset that is still there.
    pub(super) low: i64,
    /// The offset that the next record will get.
    pub(super) high: i64,
}

/// Whether and how a partition is continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// From the first offset not taken; there is nothing to compare.
    Continue,
    /// From the record before it, which must be the one that was taken.
    Compare,
    /// Records between the two offsets are gone.
    Lost {
        /// The first offset not taken.
        wanted: i64,
        /// The oldest one that is still there.
        earliest: i64,
    },
    /// The log ends before the first offset not taken.
    Shorter {
        /// The first offset not taken.
        wanted: i64,
        /// Where the log ends.
        end: i64,
    },
}

/// Judges a partition of which everything before `next` was taken; `known` tells whether the bytes of record
/// `next - 1` are at hand.
pub(super) fn judge(marks: Watermarks, next: i64, known: bool) -> Verdict {
    if marks.high < next {
        Verdict::Shorter { wanted: next, end: marks.high }
    } else if marks.low > next {
        Verdict::Lost { wanted: next, earliest: marks.low }
    } else if known && marks.low < next {
        Verdict::Compare
    } else {
        Verdict::Continue
    }
}

/// One partition as the reader knows it.
#[derive(Debug)]
pub(super) struct Partition {
    /// Its number.
    pub(super) id: i32,
    /// Its number as text, as positions and rows have it.
    pub(super) name: String,
    /// The first offset not taken; unknown until a partition that starts at its oldest record gave one.
    pub(super) next: Option<i64>,
    /// Where its log began and ended when last heard.
    pub(super) marks: Watermarks,
    /// True after its end was reached and nothing came since: what is left below the end holds no records
    /// (transaction markers, for instance).
    pub(super) at_end: bool,
    /// True when the open batch holds records of it.
    pub(super) touched: bool,
    /// The bytes of record `next - 1`, where they are known.
    last: Option<Vec<u8>>,
    /// True while record `next - 1` is awaited for comparison.
    comparing: bool,
}

/// What is done with a record that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is new.
    Take,
    /// It was taken before.
    Skip,
    /// It stands where another record was taken: the topic is not the same.
    Alien,
}

impl Partition {
    /// A partition of which everything before `next` was taken.
    pub(super) fn new(id: i32, next: Option<i64>) -> Self {
        Self {
            id,
            name: id.to_string(),
            next,
            marks: Watermarks { low: 0, high: 0 },
            at_end: false,
            touched: false,
            last: None,
            comparing: false,
        }
    }

    /// Whether the bytes of record `next - 1` are known.
    pub(super) fn knows_last(&self) -> bool {
        self.last.is_some()
    }

    /// Tells the bytes of record `next - 1`.
    pub(super) fn set_last(&mut self, raw: Vec<u8>) {
        self.last = Some(raw);
    }

    /// Starts a new pass over the partition; `compare` when record `next - 1` comes first.
    pub(super) fn restart(&mut self, marks: Watermarks, compare: bool) {
        self.marks = marks;
        self.at_end = false;
        self.comparing = compare;
    }

    /// Moves on to `next` without having the records before it.
    pub(super) fn skip_to(&mut self, next: i64) {
        self.next = Some(next);
        self.last = None;
    }

    /// Judges a record that arrived and, when it is new, moves on behind it.
    pub(super) fn admit(&mut self, offset: i64, raw: &[u8]) -> Admission {
        if let Some(next) = self.next
            && offset < next
        {
            let awaited = std::mem::take(&mut self.comparing) && offset == next - 1;
            return match &self.last {
                Some(last) if awaited && last != raw => Admission::Alien,
                _ => Admission::Skip,
            };
        }
        self.comparing = false;
        self.at_end = false;
        self.touched = true;
        self.next = Some(offset + 1);
        self.marks.high = self.marks.high.max(offset + 1);
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(raw);
        Admission::Take
    }

    /// Records that stand in the log and were not taken.
    pub(super) fn lag(&self) -> i64 {
        if self.at_end {
            return 0;
        }
        (self.marks.high - self.next.unwrap_or(self.marks.low)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(low: i64, high: i64) -> Watermarks {
        Watermarks { low, high }
    }

    #[test]
    fn judges_by_watermarks() {
        assert_eq!(judge(marks(0, 10), 10, true), Verdict::Compare);
        assert_eq!(judge(marks(0, 10), 10, false), Verdict::Continue);
        assert_eq!(judge(marks(10, 10), 10, true), Verdict::Continue, "the last taken record is gone");
        assert_eq!(judge(marks(9, 20), 10, true), Verdict::Compare);
        assert_eq!(judge(marks(0, 0), 0, true), Verdict::Continue);
        assert_eq!(judge(marks(11, 20), 10, true), Verdict::Lost { wanted: 10, earliest: 11 });
        assert_eq!(judge(marks(0, 9), 10, true), Verdict::Shorter { wanted: 10, end: 9 });
        assert_eq!(judge(marks(0, 0), 1, false), Verdict::Shorter { wanted: 1, end: 0 });
    }

    #[test]
    fn compares_the_record_before_the_first_new_one() {
        let mut partition = Partition::new(0, Some(5));
        partition.set_last(b"five".to_vec());
        partition.restart(marks(0, 7), true);
        assert_eq!(partition.admit(4, b"five"), Admission::Skip);
        assert_eq!(partition.admit(5, b"six"), Admission::Take);
        assert_eq!(partition.admit(5, b"six"), Admission::Skip, "delivered twice");
        assert_eq!(partition.next, Some(6));

        let mut partition = Partition::new(0, Some(5));
        partition.set_last(b"five".to_vec());
        partition.restart(marks(0, 7), true);
        assert_eq!(partition.admit(4, b"other"), Admission::Alien);
    }

    #[test]
    fn gaps_are_allowed_and_end_the_comparison() {
        let mut partition = Partition::new(0, Some(5));
        partition.set_last(b"five".to_vec());
        partition.restart(marks(0, 20), true);
        assert_eq!(partition.admit(9, b"ten"), Admission::Take);
        assert_eq!(partition.next, Some(10));
        assert_eq!(partition.lag(), 10);
        partition.at_end = true;
        assert_eq!(partition.lag(), 0);
    }

    #[test]
    fn a_fresh_partition_takes_whatever_comes_first() {
        let mut partition = Partition::new(3, None);
        partition.restart(marks(30, 100), false);
        assert_eq!(partition.lag(), 70);
        assert_eq!(partition.admit(40, b"x"), Admission::Take);
        assert_eq!((partition.next, partition.lag()), (Some(41), 59));
    }
}
