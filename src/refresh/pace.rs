//! The pace of the waves: so many a second over time, and after a rest a second's worth as fast as they come, so that what
//! arrives in a quiet warehouse passes through all its layers at once.
//!
//! The generic cell rate algorithm of ITU-T Recommendation I.371: each wave moves the time on at which all would be paid for
//! at the bounded rate, and that may lie a second ahead.

use std::time::{Duration, Instant};

/// How far ahead of their rate waves may be.
const AHEAD_MAX: Duration = Duration::from_secs(1);

/// When the next wave may start.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    /// When the waves so far are paid for.
    paid_at: Instant,
}

impl Pace {
    /// One wave in each period over time.
    pub(super) fn new(period: Duration, now: Instant) -> Self {
        Self { period, paid_at: now }
    }

    /// How long to rest at `now` after a wave that was started at `started`.
    pub(super) fn rest(&mut self, started: Instant, now: Instant) -> Duration {
        self.paid_at = self.paid_at.max(started) + self.period;
        self.paid_at.saturating_duration_since(now).saturating_sub(AHEAD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    /// When each of so many waves starts, in milliseconds, that take no time and follow each other as soon as they may.
    fn starts(pace: &mut Pace, from: Instant, waves: usize) -> Vec<u128> {
        let mut now = from;
        let mut starts = Vec::new();
        for _ in 0..waves {
            starts.push(now.duration_since(from).as_millis());
            now += pace.rest(now, now);
        }
        starts
    }

    #[test]
    fn waves_follow_at_once_for_a_second_s_worth_then_at_their_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(PERIOD, now);
        let starts = starts(&mut pace, now, 14);
        assert!(starts[..11].iter().all(|start| *start == 0), "{starts:?}");
        assert_eq!(starts[11..], [100, 200, 300]);
    }

    #[test]
    fn a_rest_earns_no_more_than_a_second_s_worth() {
        let now = Instant::now();
        let mut pace = Pace::new(PERIOD, now);
        starts(&mut pace, now, 14);
        let later = now + Duration::from_secs(3_600);
        assert_eq!(starts(&mut pace, later, 13)[10..], [0, 100, 200]);
    }

    #[test]
    fn a_wave_that_takes_long_is_rest_enough() {
        let now = Instant::now();
        let mut pace = Pace::new(PERIOD, now);
        for round in 0..100 {
            let started = now + 2 * round * PERIOD;
            assert_eq!(pace.rest(started, started + 2 * PERIOD), Duration::ZERO);
        }
    }
}
