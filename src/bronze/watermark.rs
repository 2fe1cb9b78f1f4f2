//! The event-time watermark of a source: pure arithmetic.

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::compute::{cast, max};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};

/// How far an event may lie ahead of the clock and still move the watermark.
const AHEAD_US_MAX: i64 = 60_000_000;

/// The watermark after a batch: the newest event minus the declared delay. It never goes back, and an event dated
/// into the future does not run it away: it stays below ingest time plus a tolerance. Microseconds since 1970.
pub(super) fn advance(
    current: Option<i64>,
    newest_event_us: Option<i64>,
    delay_us: i64,
    now_us: i64,
) -> Option<i64> {
    let Some(newest) = newest_event_us else { return current };
    let candidate = newest.min(now_us.saturating_add(AHEAD_US_MAX)).saturating_sub(delay_us);
    Some(current.map_or(candidate, |current| current.max(candidate)))
}

/// The newest value of a timestamp (or date) column, microseconds since 1970.
pub(super) fn newest_event_us(rows: &RecordBatch, column: &str) -> Option<i64> {
    let column = rows.column_by_name(column)?;
    if column.null_count() == column.len() {
        return None;
    }
    let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
    let micros = cast(&micros, &DataType::Int64).ok()?;
    max(micros.as_primitive::<Int64Type>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_never_goes_back_nor_runs_away() {
        assert_eq!(advance(None, None, 10, 1_000), None);
        assert_eq!(advance(None, Some(100), 10, 1_000), Some(90));
        assert_eq!(advance(Some(500), Some(100), 10, 1_000), Some(500));
        assert_eq!(advance(Some(0), Some(i64::MAX), 0, 1_000), Some(1_000 + AHEAD_US_MAX));
    }
}
