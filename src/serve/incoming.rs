//! Rows that clients put into sources: the one way in of `COPY`, `INSERT` and Flight SQL, which every push takes.

use super::{Error, Readers};
use crate::catalog::access::Action;
use crate::ingest::{Body, Committed, Inbox, Push, PushOutcome};
use crate::lake::TableName;
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

/// Whether a role may put rows into a source.
pub(super) fn check_may(readers: &Readers, role: &str, source: &str) -> Result<(), Error> {
    let table = TableName::new(SCHEMA, source);
    if readers.access.load().allows(role, Action::Insert(&table)) {
        return Ok(());
    }
    let message = format!("permission denied for table {source}");
    Err(Error::new("42501", message).with_hint(format!(
        "A superuser may GRANT INSERT ON {table} TO {role}, or write it into a file of catalog/."
    )))
}

/// The sources that take pushes of a role.
pub(super) fn sources(readers: &Readers, role: &str) -> Vec<String> {
    let access = readers.access.load();
    let may = |source: &&String| access.allows(role, Action::Insert(&TableName::new(SCHEMA, *source)));
    readers.inboxes.read().keys().filter(may).cloned().collect()
}

/// The same, for messages.
pub(super) fn known(readers: &Readers, role: &str) -> String {
    let known = sources(readers, role);
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
