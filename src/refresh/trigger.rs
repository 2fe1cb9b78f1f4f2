//! When a model is due: pure arithmetic over its trigger and the past.

use crate::sql::Trigger;
use chrono::{DateTime, Utc};
use std::str::FromStr as _;

/// The earliest time of the next refresh, given that something changed. `None`: at once.
pub fn next_due(trigger: &Trigger, last: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let last = last?;
    match trigger {
        Trigger::OnUpdate { at_most_every } => {
            last.checked_add_signed(chrono::Duration::from_std(*at_most_every).ok()?)
        }
        Trigger::Every(period) => last.checked_add_signed(chrono::Duration::from_std(*period).ok()?),
        Trigger::Cron { expression, zone } => next_cron(expression, zone, last),
    }
}

/// As [`next_due`], of a model that has failed and is not to be tried before `retry`.
pub(super) fn next_try(
    trigger: &Trigger,
    last: Option<DateTime<Utc>>,
    retry: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    next_due(trigger, last).max(retry)
}

fn next_cron(expression: &str, zone: &str, last: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let cron = croner::Cron::from_str(expression).ok()?;
    let zone: chrono_tz::Tz = zone.parse().ok()?;
    let next = cron.find_next_occurrence(&last.with_timezone(&zone), false).ok()?;
    Some(next.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn triggers_are_due_in_their_zone() {
        let last = at("2026-03-28T12:00:00Z");
        let cron = Trigger::Cron { expression: "0 2 * * *".to_string(), zone: "UTC".to_string() };
        assert_eq!(next_due(&cron, Some(last)), Some(at("2026-03-29T02:00:00Z")));
        let paris = Trigger::Cron { expression: "0 4 * * *".to_string(), zone: "Europe/Paris".to_string() };
        assert_eq!(next_due(&paris, Some(last)), Some(at("2026-03-29T02:00:00Z")));
        let every = Trigger::Every(Duration::from_secs(3600));
        assert_eq!(next_due(&every, Some(last)), Some(at("2026-03-28T13:00:00Z")));
        assert_eq!(next_due(&every, None), None);
    }

    #[test]
    fn what_has_failed_is_not_tried_before_its_time_though_its_trigger_is_due() {
        let (last, retry) = (at("2026-03-28T12:00:00Z"), at("2026-03-28T12:00:30Z"));
        let at_once = Trigger::default();
        assert_eq!(next_try(&at_once, Some(last), Some(retry)), Some(retry));
        assert_eq!(next_try(&at_once, None, Some(retry)), Some(retry));
        assert_eq!(next_try(&at_once, Some(last), None), Some(last));
        let hourly = Trigger::Every(Duration::from_secs(3600));
        assert_eq!(next_try(&hourly, Some(last), Some(retry)), Some(at("2026-03-28T13:00:00Z")));
    }
}
