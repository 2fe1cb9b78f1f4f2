//! Loads that failed before there was anything to commit: when they are told. Pure.
//!
//! The first failure for a reason is told at once, those that repeat it counted, with pauses that double to a minute: what
//! fails ten times a second fills no log.

use crate::ops::retry::backoff;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A reason that has not come again for so long begins anew.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Reasons that are told apart; what fails for more of them at a time counts as one.
const REASONS_MAX: usize = 64;
const OTHER_REASONS: &str = "";

/// Loads that failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLoad {
    /// When the first of them failed.
    pub since: DateTime<Utc>,
    /// How many they are.
    pub attempts: u32,
    /// The reason.
    pub error: String,
}

/// What failed and was not told yet, by reason.
#[derive(Debug, Default)]
pub(super) struct FailedLoads {
    reasons: BTreeMap<String, Reason>,
}

#[derive(Debug, Default)]
struct Reason {
    untold: Option<FailedLoad>,
    told: u32,
    /// When the next may be told.
    due: Option<Instant>,
}

impl FailedLoads {
    /// A load has failed.
    pub(super) fn note(&mut self, error: &str, now: DateTime<Utc>) {
        let is_told_apart = self.reasons.contains_key(error) || self.reasons.len() < REASONS_MAX;
        let key = if is_told_apart { error } else { OTHER_REASONS };
        let reason = self.reasons.entry(key.to_string()).or_default();
        let load =
            reason.untold.get_or_insert_with(|| FailedLoad { since: now, attempts: 0, error: String::new() });
        load.attempts = load.attempts.saturating_add(1);
        load.error = error.to_string();
    }

    /// What is due to be told.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<FailedLoad> {
        self.reasons.retain(|_, reason| {
            reason.untold.is_some() || reason.due.is_some_and(|due| now < due + FORGOTTEN)
        });
        let due = self.reasons.values_mut().filter(|reason| reason.due.is_none_or(|due| due <= now));
        due.filter_map(|reason| {
            let load = reason.untold.take()?;
            reason.told = reason.told.saturating_add(1);
            reason.due = Some(now + backoff(reason.told));
            Some(load)
        })
        .collect()
    }

    /// All that is not told yet.
    pub(super) fn take_all(&mut self) -> Vec<FailedLoad> {
        std::mem::take(&mut self.reasons).into_values().filter_map(|reason| reason.untold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(loads: Vec<FailedLoad>) -> Vec<(u32, String)> {
        loads.into_iter().map(|load| (load.attempts, load.error)).collect()
    }

    #[test]
    fn what_repeats_is_counted_and_told_with_longer_pauses() {
        let (start, at) = (Instant::now(), DateTime::UNIX_EPOCH);
        let mut loads = FailedLoads::default();
        let mut rows = Vec::new();
        for tenth in 0..600 {
            loads.note("away", at);
            rows.extend(told(loads.take_due(start + Duration::from_millis(tenth * 100))));
        }
        let counted = rows.iter().map(|(attempts, _)| *attempts).collect::<Vec<_>>();
        assert_eq!(counted, [1, 10, 20, 40, 80, 160], "a minute of ten failures a second");
        assert_eq!(told(loads.take_all()), [(289, "away".to_string())]);
    }

    #[test]
    fn another_reason_is_told_at_once_and_one_that_was_over_too() {
        let (start, at) = (Instant::now(), DateTime::UNIX_EPOCH);
        let mut loads = FailedLoads::default();
        loads.note("away", at);
        assert_eq!(loads.take_due(start).len(), 1);
        loads.note("away", at);
        loads.note("refused", at);
        assert_eq!(told(loads.take_due(start)), [(1, "refused".to_string())]);
        assert_eq!(told(loads.take_due(start + backoff(1))), [(1, "away".to_string())]);
        let later = start + FORGOTTEN * 3;
        assert_eq!(loads.take_due(later), []);
        loads.note("away", at);
        assert_eq!(loads.take_due(later).len(), 1);
        loads.note("away", at);
        assert_eq!(loads.take_due(later + backoff(1)).len(), 1, "its pauses began anew");
    }

    #[test]
    fn reasons_without_number_are_few_rows() {
        let (start, at) = (Instant::now(), DateTime::UNIX_EPOCH);
        let mut loads = FailedLoads::default();
        (0..10_000).for_each(|number| loads.note(&format!("record {number}"), at));
        let rows = told(loads.take_due(start));
        assert_eq!(rows.len(), REASONS_MAX + 1);
        assert_eq!(rows[0], (10_000 - 64, "record 9999".to_string()));
    }
}
