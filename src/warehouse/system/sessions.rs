//! `sluice.sessions`: who is connected. What is said in a session stands in `pg_stat_activity`, which hides it from others.

use super::columns::{LONG, TEXT, columns, timestamp};
use super::{optional_text, text, time};
use crate::catalog::live::Row;
use crate::serve::backends::{Backends, OpenSession};
use arrow::datatypes::SchemaRef;

/// Its columns.
pub(super) fn schema() -> SchemaRef {
    columns(&[
        ("session", LONG),
        ("login", TEXT),
        ("role", TEXT),
        ("protocol", TEXT),
        ("client", TEXT),
        ("application", TEXT),
        ("began_at", timestamp()),
        ("state", TEXT),
        ("state_since", timestamp()),
    ])
}

/// One row for each session that is open.
pub(super) fn rows(backends: &Backends) -> Vec<Row> {
    let row = |session: OpenSession| {
        vec![
            i64::from(session.process_id).into(),
            text(&session.user),
            text(&session.role),
            text(session.peer.protocol),
            optional_text(session.peer.address.map(|address| address.to_string()).as_deref()),
            text(&session.application),
            time(Some(session.began)),
            text(session.seen.doing.as_str()),
            time(Some(session.seen.since.unwrap_or(session.began))),
        ]
    };
    backends.open().into_iter().map(row).collect()
}
