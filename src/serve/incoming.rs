//! Rows that clients put into sources: the one way in of `COPY`, `INSERT` and Flight SQL, which every push takes.

use super::{Error, Readers};
use crate::ingest::{Body, Committed, Inbox, Push, PushOutcome};
use arrow::array::RecordBatch;
use std::sync::Arc;

/// The schema of all sources.
pub(super) const SCHEMA: &str = "bronze";

/// What became of rows.
pub(super) struct Taken {
    /// How many are durable.
    pub(super) rows: u64,
    /// How many are in quarantine.
    pub(super) rejected: u64,
    /// Where they are durable; `None` for a push that was taken before.
    pub(super) committed: Option<Committed>,
}

/// The door of a source that takes pushes.
pub(super) fn inbox(readers: &Readers, source: &str) -> Option<Arc<dyn Inbox>> {
    readers.inboxes.read().get(source).map(Arc::clone)
}

/// The sources that take pushes, for messages.
pub(super) fn known(readers: &Readers) -> String {
    let inboxes = readers.inboxes.read();
    let known: Vec<_> = inboxes.keys().map(String::as_str).collect();
    format!("Those that do: {}.", if known.is_empty() { "none".into() } else { known.join(", ") })
}

/// Pushes rows; returns when they are durable.
pub(super) async fn push(
    inbox: &dyn Inbox,
    source: &str,
    channel: Option<(String, i64)>,
    rows: RecordBatch,
) -> Result<Taken, Error> {
    match inbox.push(Push { channel, body: Body::Rows(rows) }).await {
        PushOutcome::Taken { rows, rejected, committed } => Ok(Taken { rows, rejected, committed }),
        PushOutcome::Busy => {
            Err(Error::new("53400", format!("source \"{source}\" has no room for more; try again later")))
        }
        PushOutcome::Stopped(why) => {
            Err(Error::new("57P03", format!("source \"{source}\" is stopped: {why}")))
        }
        PushOutcome::Refused(why) => Err(Error::new("22023", why)),
    }
}
