//! Files that could not be taken, and until when each is left alone. Pure.
//!
//! What may pass is tried again with growing pauses, spread by chance; what is the content's fault once the file has changed.

use super::folder::Stamp;
use crate::ops::retry::{backoff, spread};
use std::collections::HashMap;
use std::time::Instant;

/// The files, by path.
#[derive(Debug, Default)]
pub(super) struct Resting(HashMap<String, Rest>);

#[derive(Debug)]
struct Rest {
    stamp: Stamp,
    why: String,
    /// How often in a row it could not be taken.
    failures: u32,
    /// When it is tried again; `None` for once it has changed.
    until: Option<Instant>,
}

impl Resting {
    /// Why a file is to be left alone now, if it is.
    pub(super) fn why(&self, path: &str, stamp: Stamp, now: Instant) -> Option<String> {
        let rest = self.0.get(path).filter(|rest| rest.stamp == stamp)?;
        rest.until.is_none_or(|until| now < until).then(|| rest.why.clone())
    }

    /// A file could not be taken, which may pass; `chance` is of 0 to 1.
    pub(super) fn until_later(&mut self, path: &str, stamp: Stamp, why: String, now: Instant, chance: f64) {
        let before = self.0.get(path).filter(|rest| rest.stamp == stamp).map_or(0, |rest| rest.failures);
        let failures = before.saturating_add(1);
        let until = Some(now + spread(backoff(failures), chance));
        self.0.insert(path.to_string(), Rest { stamp, why, failures, until });
    }

    /// A file cannot be taken as it is.
    pub(super) fn until_changed(&mut self, path: &str, stamp: Stamp, why: String) {
        self.0.insert(path.to_string(), Rest { stamp, why, failures: 1, until: None });
    }

    /// A file was taken.
    pub(super) fn over(&mut self, path: &str) {
        self.0.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_may_pass_is_tried_again_ever_more_seldom() {
        let (mut now, stamp) = (Instant::now(), Stamp { size: 1, modified_us: 2 });
        let mut resting = Resting::default();
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(resting.why("a", stamp, now), None);
            resting.until_later("a", stamp, "away".to_string(), now, 0.0);
            let almost = now + Duration::from_secs(pause) - Duration::from_millis(1);
            assert_eq!(resting.why("a", stamp, almost).as_deref(), Some("away"));
            now += Duration::from_secs(pause);
        }
        resting.over("a");
        resting.until_later("a", stamp, "away".to_string(), now, 1.0);
        assert_eq!(resting.why("a", stamp, now + Duration::from_millis(750)), None, "its pauses began anew");
    }

    #[test]
    fn a_file_that_has_changed_is_tried_at_once() {
        let (now, stamp) = (Instant::now(), Stamp { size: 1, modified_us: 2 });
        let changed = Stamp { size: 2, ..stamp };
        let mut resting = Resting::default();
        resting.until_changed("a", stamp, "no parquet".to_string());
        let later = now + Duration::from_secs(1_000_000);
        assert_eq!(resting.why("a", stamp, later).as_deref(), Some("no parquet"));
        assert_eq!(resting.why("a", changed, now), None);
        resting.until_later("a", changed, "away".to_string(), now, 0.0);
        assert_eq!(resting.why("a", stamp, now), None);
    }
}
