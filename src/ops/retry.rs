//! How long what has failed waits before it is tried, or told, again: pure arithmetic.

use std::time::Duration;

/// First and longest pause.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after `failures` failures in a row: doubling, bounded.
pub fn backoff(failures: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST)
}

/// A pause made shorter by chance, `chance` being of 0 to 1, by a quarter at most: what failed together is not tried
/// again together.
pub fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_a_minute() {
        assert_eq!(backoff(1), Duration::from_secs(1));
        assert_eq!(backoff(3), Duration::from_secs(4));
        assert_eq!(backoff(100), Duration::from_secs(60));
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|failures| backoff(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }

    #[test]
    fn pauses_are_spread_by_a_quarter_at_most() {
        assert_eq!(spread(Duration::from_secs(4), 0.0), Duration::from_secs(4));
        assert_eq!(spread(Duration::from_secs(4), 0.5), Duration::from_millis(3500));
        assert_eq!(spread(Duration::from_secs(4), 1.0), Duration::from_secs(3));
    }
}
