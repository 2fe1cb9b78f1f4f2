//! What is told of troubles that pass: when to speak, when to take it back.

use crate::ingest::Reporter;
use crate::ops::clock;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a trouble that was not explained is kept back: a slow handshake, a topic that is just being created.
const GRACE: Duration = Duration::from_secs(3);

/// How long a trouble must not have come again before it is taken back.
const CALM_AFTER: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Health {
    reporter: Arc<dyn Reporter>,
    /// Since when something is amiss, reported or not.
    since: Option<Instant>,
    /// When a trouble was last reported, until it is taken back.
    reported: Option<Instant>,
}

impl Health {
    /// Nothing is amiss yet.
    pub(super) fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, since: None, reported: None }
    }

    /// Something explained is amiss: it is reported.
    pub(super) fn trouble(&mut self, text: &str) {
        let now = clock::instant();
        self.since.get_or_insert(now);
        self.reported = Some(now);
        self.reporter.trouble(text);
    }

    /// Something is amiss that may pass in a moment: whether it has lasted long enough to be reported.
    pub(super) fn outlasts_grace(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(clock::instant);
        clock::instant() - since >= GRACE
    }

    /// The topic was found: what comes now is another trouble. What was reported stands until [`Health::calm`].
    pub(super) fn found(&mut self) {
        self.since = None;
    }

    /// All is well now: a trouble that did not come again lately is taken back. True when nothing is left of it.
    pub(super) fn calm(&mut self) -> bool {
        match self.reported {
            Some(last) if clock::instant() - last < CALM_AFTER => return false,
            Some(_) => self.reporter.healthy(),
            None => {}
        }
        self.reported = None;
        self.since = None;
        true
    }
}
