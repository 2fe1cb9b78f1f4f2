//! The event-time watermark of a source: what is known of each of its partitions, and what follows. Pure.
//!
//! ```text
//! watermark = least newest event of the partitions that are not idle, less the declared delay; it never goes back
//! ```
//!
//! A partition is idle when nothing has come of it for a set time: it holds the others up no longer. When all are, none
//! does, and the newest event of any counts. What a process has heard dies with it: after a start every partition is
//! given the whole time again, so that a stop is not taken for silence.

use crate::sql::Watermark;
use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::compute::{cast, max, partition};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What all records count as that keep no position of a partition of their own: those of files, and pushes without a
/// channel.
const UNPLACED: &str = "";

/// A source's partitions and its watermark. Microseconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Watermarks {
    delay_us: i64,
    tolerance_us: i64,
    idle_after: Duration,
    current: Option<i64>,
    partitions: BTreeMap<String, Partition>,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    /// Its newest event; `None` when no event has come of it yet.
    newest_us: Option<i64>,
    heard: Instant,
}

impl Watermarks {
    /// The watermark that stands, and the newest events of the partitions that are known.
    pub(super) fn new(
        declared: &Watermark,
        current: Option<i64>,
        newest: impl IntoIterator<Item = (String, i64)>,
        now: Instant,
    ) -> Self {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let known = |(name, newest)| (name, Partition { newest_us: Some(newest), heard: now });
        Self {
            delay_us: micros(declared.delay),
            tolerance_us: micros(declared.tolerance),
            idle_after: declared.idle_after,
            current,
            partitions: newest.into_iter().map(known).collect(),
        }
    }

    /// The watermark as it stands.
    pub(super) fn current(&self) -> Option<i64> {
        self.current
    }

    /// Notes partitions that are read, whether or not anything has come of them.
    pub(super) fn expect(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        for name in names {
            self.partitions.entry(name).or_insert(Partition { newest_us: None, heard: now });
        }
    }

    /// Notes rows of a partition and their newest event. One dated into the future counts as what is little ahead of the
    /// clock.
    pub(super) fn hear(&mut self, name: &str, newest_us: Option<i64>, now_us: i64, now: Instant) {
        let newest_us = newest_us.map(|newest| newest.min(now_us.saturating_add(self.tolerance_us)));
        let partition =
            self.partitions.entry(name.to_string()).or_insert(Partition { newest_us: None, heard: now });
        partition.newest_us = partition.newest_us.max(newest_us);
        partition.heard = now;
    }

    /// The newest event of a partition.
    pub(super) fn newest_of(&self, name: &str) -> Option<i64> {
        self.partitions.get(name)?.newest_us
    }

    /// The watermark at a time.
    pub(super) fn at(&self, now: Instant) -> Option<i64> {
        let awake = || self.partitions.values().filter(|partition| !self.is_idle(partition, now));
        let newest = match awake().next() {
            // Of one that has never spoken nothing is known.
            Some(_) => awake().map(|partition| partition.newest_us).min().flatten(),
            None => self.newest_of_all(),
        };
        self.current.max(newest.map(|newest| newest.saturating_sub(self.delay_us)))
    }

    /// Moves the watermark to where it is at a time.
    pub(super) fn advance(&mut self, now: Instant) {
        self.current = self.at(now);
    }

    /// When the watermark moves next though nothing comes: as partitions become idle.
    pub(super) fn next_move(&self) -> Option<Instant> {
        let idle_at = |p: &Partition| Some((p.heard.checked_add(self.idle_after)?, p.newest_us));
        let mut idle: Vec<_> = self.partitions.values().filter_map(idle_at).collect();
        idle.sort_unstable_by_key(|(at, _)| *at);
        let (mut least, mut next) = (None, None);
        // When one falls silent, those behind it are awake: the more, the lower the watermark.
        for (at, newest) in idle.into_iter().rev() {
            let newest_awake = least.unwrap_or_else(|| self.newest_of_all());
            if newest_awake.map(|newest| newest.saturating_sub(self.delay_us)) <= self.current {
                break;
            }
            next = Some(at);
            least = Some(least.map_or(newest, |least: Option<i64>| least.min(newest)));
        }
        next
    }

    fn newest_of_all(&self) -> Option<i64> {
        self.partitions.values().filter_map(|partition| partition.newest_us).max()
    }

    fn is_idle(&self, partition: &Partition, now: Instant) -> bool {
        now.saturating_duration_since(partition.heard) >= self.idle_after
    }
}

/// The newest event of each partition in rows, `None` where none has a time; `keeps_position` tells which partitions are
/// told apart.
pub(super) fn newest_events(
    rows: &RecordBatch,
    column: &str,
    keeps_position: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Option<i64>>, ArrowError> {
    let mut newest: BTreeMap<String, Option<i64>> = BTreeMap::new();
    let (Some(times), Some(partitions)) = (rows.column_by_name(column), rows.column_by_name("_partition"))
    else {
        return Ok(newest);
    };
    let micros = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let micros = cast(&micros, &DataType::Int64)?;
    let names = partitions.as_string::<i32>();
    // Records come in runs of one partition.
    for run in partition(std::slice::from_ref(partitions))?.ranges() {
        let name = if names.is_valid(run.start) { names.value(run.start) } else { UNPLACED };
        let name = if keeps_position(name) { name } else { UNPLACED };
        let of_run = max(micros.slice(run.start, run.len()).as_primitive::<Int64Type>());
        match newest.get_mut(name) {
            Some(newest) => *newest = of_run.max(*newest),
            None => drop(newest.insert(name.to_string(), of_run)),
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    const IDLE: Duration = Duration::from_secs(60);

    fn watermarks(current: Option<i64>, newest: &[(&str, i64)], now: Instant) -> Watermarks {
        let delay = Duration::from_micros(10);
        let (tolerance, idle_after) = (Duration::from_micros(100), IDLE);
        let declared = Watermark { column: "at".to_string(), delay, idle_after, tolerance };
        Watermarks::new(&declared, current, newest.iter().map(|(n, at)| (n.to_string(), *at)), now)
    }

    fn now() -> Instant {
        crate::ops::clock::instant()
    }

    #[test]
    fn a_watermark_never_goes_back_nor_runs_away() {
        let start = now();
        let mut marks = watermarks(None, &[], start);
        assert_eq!(marks.at(start), None);
        marks.hear("0", None, 1_000, start);
        assert_eq!(marks.at(start), None);
        marks.hear("0", Some(100), 1_000, start);
        marks.advance(start);
        assert_eq!(marks.current(), Some(90));
        marks.hear("0", Some(50), 1_000, start);
        assert_eq!(marks.at(start), Some(90));
        marks.hear("0", Some(i64::MAX), 1_000, start);
        assert_eq!(marks.at(start), Some(1_000 + 100 - 10));
        let mut marks = watermarks(Some(500), &[], start);
        marks.hear("0", Some(100), 1_000, start);
        assert_eq!(marks.at(start), Some(500));
    }

    #[test]
    fn the_slowest_partition_that_is_not_idle_counts() {
        let start = now();
        let mut marks = watermarks(None, &[("0", 200)], start);
        marks.expect(["1".to_string()], start);
        assert_eq!(marks.at(start), None, "nothing is known of partition 1");
        marks.hear("1", Some(50), 1_000, start + IDLE / 2);
        marks.advance(start + IDLE / 2);
        assert_eq!(marks.current(), Some(40));
        // Partition 0 falls silent: it does not hold 1 up, nor does it push it.
        assert_eq!(marks.at(start + IDLE), Some(40));
        // Then all are silent, and the newest event of any counts.
        assert_eq!(marks.at(start + IDLE + IDLE / 2), Some(190));
        assert_eq!(marks.next_move(), Some(start + IDLE + IDLE / 2));
        marks.advance(start + IDLE + IDLE / 2);
        assert_eq!(marks.next_move(), None);
        // Back again, it is late, and the watermark stays.
        marks.hear("1", Some(60), 1_000, start + IDLE * 2);
        assert_eq!(marks.at(start + IDLE * 2), Some(190));
    }

    #[test]
    fn a_start_takes_no_stop_for_silence() {
        let start = now();
        let mut marks = watermarks(Some(40), &[("0", 50), ("1", 200)], start);
        marks.hear("1", Some(300), 1_000, start + IDLE / 2);
        assert_eq!(marks.at(start + IDLE / 2), Some(40));
        assert_eq!(marks.next_move(), Some(start + IDLE));
        assert_eq!(marks.at(start + IDLE), Some(290));
    }

    #[test]
    fn events_are_told_apart_by_partition() {
        let times = [Some(5), None, Some(9), Some(7), None, Some(1)];
        let times = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
        let names = StringArray::from(vec!["a", "a", "b", "a", "c", "anonymous-1"]);
        let columns = [("at", Arc::new(times) as ArrayRef), ("_partition", Arc::new(names) as ArrayRef)];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let newest = newest_events(&rows, "at", |name| name.len() == 1).unwrap();
        let expected = [("", Some(1)), ("a", Some(7)), ("b", Some(9)), ("c", None)];
        assert_eq!(newest, expected.map(|(name, at)| (name.to_string(), at)).into());
    }
}
