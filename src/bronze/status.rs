//! How a source is doing, as `sluice.sources` shows it.

use super::failed_loads::{FailedLoad, FailedLoads};
use crate::ingest::Reporter;
use crate::ops::clock;
use crate::ops::retry::backoff;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// What a source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourceState {
    /// Not yet running.
    #[default]
    Starting,
    /// Running.
    Running,
    /// Running, but something outside is in trouble; it keeps trying.
    Troubled,
    /// What it tried again and again has failed; it keeps trying, slowly, and goes on by itself once that works.
    Paused,
    /// Everything there is was taken.
    Finished,
    /// Stopped by the server's own shutdown or a reload.
    Stopped,
    /// Stopped for good until someone acts.
    Failed,
}

impl SourceState {
    /// The word in system tables.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Starting => "starting",
            SourceState::Running => "running",
            SourceState::Troubled => "troubled",
            SourceState::Paused => "paused",
            SourceState::Finished => "finished",
            SourceState::Stopped => "stopped",
            SourceState::Failed => "failed",
        }
    }
}

/// A source's figures since the process started.
#[derive(Clone, Debug, Default)]
pub struct SourceStatus {
    /// What it is doing.
    pub state: SourceState,
    /// Why it is troubled or failed.
    pub error: Option<String>,
    /// How often it was in trouble since it was well.
    pub failures: u32,
    /// Rows committed.
    pub rows_in: i64,
    /// Records put in quarantine.
    pub rows_quarantined: i64,
    /// Rows a second, over the last seconds.
    pub rate: f64,
    /// Records waiting outside, if known.
    pub lag_records: Option<i64>,
    /// The newest event's time.
    pub last_event_at: Option<DateTime<Utc>>,
    /// The last commit's time.
    pub last_commit_at: Option<DateTime<Utc>>,
    /// Pushes that were asked to come again later.
    pub pushes_limited: i64,
    /// When the last of them was.
    pub last_limited_at: Option<DateTime<Utc>>,
    /// Partitions whose records are on their way.
    pub(super) awaited: Vec<String>,
    rate_since: Option<Instant>,
    rate_rows: i64,
}

/// A status that a source, its writer and system tables share.
#[derive(Clone, Debug)]
pub struct StatusCell {
    shared: Arc<Mutex<Shared>>,
    retries_max: u32,
}

#[derive(Debug, Default)]
struct Shared {
    /// As it is but for troubles.
    status: SourceStatus,
    of_source: Option<Trouble>,
    of_writer: Option<Trouble>,
    failed: FailedLoads,
}

/// Something outside that fails.
#[derive(Debug)]
struct Trouble {
    error: String,
    failures: u32,
    /// From when on another failure counts: what is tried ten times a second has not failed so often.
    counts_from: Instant,
}

/// Over how long the rate is measured, seconds.
const RATE_WINDOW_SECONDS: f64 = 2.0;

impl StatusCell {
    /// Of a source that starts; after more failed tries than these it is shown as paused.
    pub fn new(retries_max: u32) -> Self {
        Self { shared: Arc::default(), retries_max }
    }

    /// A copy of the figures.
    pub fn get(&self) -> SourceStatus {
        let shared = self.shared.lock();
        let mut status = shared.status.clone();
        let troubles = shared.of_source.iter().chain(&shared.of_writer);
        let is_over = matches!(status.state, SourceState::Stopped | SourceState::Failed);
        if let Some(worst) = troubles.max_by_key(|trouble| trouble.failures).filter(|_| !is_over) {
            let is_paused = worst.failures > self.retries_max;
            status.state = if is_paused { SourceState::Paused } else { SourceState::Troubled };
            status.error = Some(worst.error.clone());
            status.failures = worst.failures;
        }
        status
    }

    /// Notes that the source has come to its end, well or not.
    pub fn end(&self, state: SourceState) {
        self.shared.lock().status.state = state;
    }

    /// Notes that the source does not go on until someone acts.
    pub fn fail(&self, error: String) {
        let mut shared = self.shared.lock();
        shared.failed.note(&error, clock::now());
        shared.status.state = SourceState::Failed;
        shared.status.failures = 1;
        shared.status.error = Some(error);
    }

    /// Notes a commit that failed, which is tried again.
    pub(super) fn commit_failed(&self, error: String, failures: u32) {
        let counts_from = clock::instant();
        self.shared.lock().of_writer = Some(Trouble { error, failures, counts_from });
    }

    /// What failed before there was anything to commit, and is due to be told of; all of it when nothing more is told.
    pub fn take_failed_loads(&self, is_last: bool) -> Vec<FailedLoad> {
        let failed = &mut self.shared.lock().failed;
        if is_last { failed.take_all() } else { failed.take_due(clock::instant()) }
    }

    /// Takes the partitions that records are awaited of.
    pub(super) fn take_awaited(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().status.awaited)
    }

    /// Notes that what was to be committed is durable.
    pub(super) fn commit_succeeded(&self) {
        self.shared.lock().of_writer = None;
    }

    /// Notes what a commit has brought.
    pub fn committed(
        &self,
        rows: i64,
        quarantined: i64,
        newest_event: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
        now: Instant,
    ) {
        let status = &mut self.shared.lock().status;
        status.rows_in += rows;
        status.rows_quarantined += quarantined;
        status.last_event_at = status.last_event_at.max(newest_event);
        status.last_commit_at = Some(at);
        status.rate_rows += rows;
        let since = *status.rate_since.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds >= RATE_WINDOW_SECONDS {
            status.rate = f64::from(i32::try_from(status.rate_rows).unwrap_or(i32::MAX)) / seconds;
            status.rate_rows = 0;
            status.rate_since = Some(now);
        }
    }
}

impl Reporter for StatusCell {
    fn trouble(&self, message: &str) {
        let mut shared = self.shared.lock();
        shared.failed.note(message, clock::now());
        let now = clock::instant();
        if shared.of_source.as_ref().is_none_or(|trouble| trouble.error != message) {
            tracing::warn!(error = message, "source is troubled");
        }
        let trouble = shared.of_source.get_or_insert_with(|| Trouble {
            error: String::new(),
            failures: 0,
            counts_from: now,
        });
        trouble.error = message.to_string();
        if trouble.counts_from <= now {
            trouble.failures = trouble.failures.saturating_add(1);
            trouble.counts_from = now + backoff(trouble.failures);
        }
    }

    fn healthy(&self) {
        let mut shared = self.shared.lock();
        shared.of_source = None;
        if shared.status.state == SourceState::Starting {
            shared.status.state = SourceState::Running;
        }
    }

    fn lag_records(&self, records: i64) {
        self.shared.lock().status.lag_records = Some(records);
    }

    fn awaited(&self, partitions: Vec<String>) {
        self.shared.lock().status.awaited = partitions;
    }

    fn load_failed(&self, error: &str) {
        self.shared.lock().failed.note(error, clock::now());
    }

    fn limited(&self) {
        let status = &mut self.shared.lock().status;
        status.pushes_limited += 1;
        status.last_limited_at = Some(clock::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: &StatusCell) -> (&'static str, Option<String>) {
        let status = status.get();
        (status.state.as_str(), status.error)
    }

    #[test]
    fn troubles_of_source_and_writer_end_each_for_itself() {
        let status = StatusCell::new(3);
        status.healthy();
        status.trouble("broker away");
        status.commit_failed("disk full".to_string(), 2);
        assert_eq!(state(&status), ("troubled", Some("disk full".to_string())));
        status.commit_succeeded();
        assert_eq!(state(&status), ("troubled", Some("broker away".to_string())));
        status.healthy();
        assert_eq!(state(&status), ("running", None));
    }

    #[test]
    fn what_was_retried_is_paused_until_it_works() {
        let status = StatusCell::new(3);
        (1..=3).for_each(|failures| status.commit_failed("disk full".to_string(), failures));
        assert_eq!(state(&status).0, "troubled");
        status.commit_failed("disk full".to_string(), 4);
        assert_eq!(state(&status).0, "paused");
        status.fail("topic gone".to_string());
        assert_eq!(state(&status), ("failed", Some("topic gone".to_string())));
    }

    #[test]
    fn tries_that_follow_each_other_at_once_count_as_one() {
        let status = StatusCell::new(3);
        (0..100).for_each(|_| status.trouble("broker away"));
        assert_eq!((state(&status).0, status.get().failures), ("troubled", 1));
        assert_eq!(status.take_failed_loads(false)[0].attempts, 100);
    }
}
