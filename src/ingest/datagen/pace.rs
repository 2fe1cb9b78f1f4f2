//! How many records are due: a pure function of the time that has passed.

use std::time::Duration;

/// Shortest pause between two batches of a paced stream.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// A stream that was held up makes up for at most this much time, so that a stall is not followed by a flood.
const ARREARS_MAX: Duration = Duration::from_secs(1);

/// Spreads records over time.
#[derive(Debug)]
pub struct Pace {
    rows_per_second: u32,
    /// What was taken or given up since the start.
    settled: u64,
}

impl Pace {
    /// This many records a second; 0 is as fast as can be.
    pub fn new(rows_per_second: u32) -> Self {
        Self { rows_per_second, settled: 0 }
    }

    /// Takes what is due when `elapsed` has passed since the start, at most `rows_max`. The first record is due at once.
    pub fn take(&mut self, elapsed: Duration, rows_max: u64) -> u64 {
        if self.rows_per_second == 0 {
            return rows_max;
        }
        let due = self.due(elapsed);
        let arrears_max = self.due(ARREARS_MAX);
        self.settled = self.settled.max(due.saturating_sub(arrears_max));
        let taken = due.saturating_sub(self.settled).min(rows_max);
        self.settled += taken;
        taken
    }

    /// How long to wait until something is due again.
    pub fn pause(&self, elapsed: Duration) -> Duration {
        if self.rows_per_second == 0 || self.due(elapsed) > self.settled {
            return Duration::ZERO;
        }
        // Rounded up, so that the record is due when the pause is over.
        let due_us = self.settled.saturating_mul(1_000_000).div_ceil(u64::from(self.rows_per_second));
        Duration::from_micros(due_us).saturating_sub(elapsed).max(PAUSE_MIN)
    }

    fn due(&self, elapsed: Duration) -> u64 {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        micros.saturating_mul(u64::from(self.rows_per_second)) / 1_000_000 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_out_takes_all_and_never_waits() {
        let mut pace = Pace::new(0);
        assert_eq!(pace.take(Duration::ZERO, 100), 100);
        assert_eq!(pace.pause(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn keeps_its_rate_however_it_is_called() {
        let mut pace = Pace::new(50);
        let mut elapsed = Duration::ZERO;
        let mut taken = 0;
        while elapsed < Duration::from_secs(10) {
            taken += pace.take(elapsed, 7);
            elapsed += pace.pause(elapsed);
        }
        assert!((500..=502).contains(&taken), "{taken}");
    }

    #[test]
    fn a_stall_is_not_followed_by_a_flood() {
        let mut pace = Pace::new(10);
        assert_eq!(pace.take(Duration::ZERO, 1_000), 1);
        assert_eq!(pace.take(Duration::from_secs(3_600), 1_000), 11);
        assert_eq!(pace.take(Duration::from_secs(3_600), 1_000), 0);
        assert!(pace.pause(Duration::from_secs(3_600)) <= Duration::from_millis(100));
    }

    #[test]
    fn an_uneven_rate_waits_long_enough() {
        let mut pace = Pace::new(3);
        assert_eq!(pace.take(Duration::ZERO, 10), 1);
        let pause = pace.pause(Duration::ZERO);
        assert_eq!(pace.take(pause, 10), 1);
    }
}
