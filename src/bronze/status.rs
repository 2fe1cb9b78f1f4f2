//! How a source is doing, as `sluice.sources` shows it.

use crate::ingest::Reporter;
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
    /// Partitions whose records are on their way.
    pub(super) awaited: Vec<String>,
    rate_since: Option<Instant>,
    rate_rows: i64,
}

/// A status that a source, its writer and system tables share.
#[derive(Clone, Debug, Default)]
pub struct StatusCell(Arc<Mutex<SourceStatus>>);

/// Over how long the rate is measured, seconds.
const RATE_WINDOW_SECONDS: f64 = 2.0;

impl StatusCell {
    /// A copy of the figures.
    pub fn get(&self) -> SourceStatus {
        self.0.lock().clone()
    }

    /// Changes the state.
    pub fn set(&self, state: SourceState, error: Option<String>) {
        let mut status = self.0.lock();
        status.state = state;
        status.error = error;
        status.failures = match state {
            SourceState::Troubled | SourceState::Failed => status.failures.saturating_add(1),
            _ => 0,
        };
    }

    /// Takes the partitions that records are awaited of.
    pub(super) fn take_awaited(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().awaited)
    }

    /// Notes a commit.
    pub fn committed(
        &self,
        rows: i64,
        quarantined: i64,
        newest_event: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
        now: Instant,
    ) {
        let mut status = self.0.lock();
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
        tracing::warn!(error = message, "source is troubled");
        self.set(SourceState::Troubled, Some(message.to_string()));
    }

    fn healthy(&self) {
        let mut status = self.0.lock();
        if matches!(status.state, SourceState::Starting | SourceState::Troubled) {
            status.state = SourceState::Running;
            status.error = None;
            status.failures = 0;
        }
    }

    fn lag_records(&self, records: i64) {
        self.0.lock().lag_records = Some(records);
    }

    fn awaited(&self, partitions: Vec<String>) {
        self.0.lock().awaited = partitions;
    }
}
