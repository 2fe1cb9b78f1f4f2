//! When a streaming table's rows are made anew from all input rows, and when that would lose some.
//!
//! Each input row is taken once, so what is redone must find every row again that was ever taken. An input only ever
//! gets rows: one that has fewer than were taken of it, or is at an older version, does not reach back to its start any
//! more. Where an input was redone itself, its rows are others, and who took the old ones follows.

use super::Error;
use super::control::Extent;
use super::model::Model;
use crate::lake::{Snapshot, TableName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Application version of a streaming table: the refresh by which its rows were last made anew.
const REDONE: &str = "sluice.redone";
/// Application versions, one a stream: which redoing of the stream the rows were taken from.
const SEEN: &str = "sluice.redone.";
/// Application versions, one a stream: how many of its rows were taken.
pub(super) const TAKEN: &str = "sluice.taken.";

/// Why a streaming table is to be made anew; `None` when it goes on from what it has.
/// [`Error::HistoryLost`] when rows would be lost that are not allowed to.
pub(super) fn why(
    model: &Model,
    streams: &BTreeMap<TableName, Arc<Snapshot>>,
    extent: Extent,
) -> Result<Option<String>, Error> {
    let stored = model.table.snapshot();
    let consumed = |stream: &TableName| Some((model.consumed_version(stream)?, streams.get(stream)?));
    let known = model.streams.iter().filter_map(|stream| Some((stream, consumed(stream)?)));
    let (redone, others): (Vec<_>, Vec<_>) = known.partition(|(name, (_, stream))| {
        redone(stream) != stored.transaction(&format!("{SEEN}{name}")).unwrap_or(0)
    });
    let reason = match (extent, redone.first()) {
        (Extent::Changes, None) => return Ok(None),
        (Extent::Changes, Some((stream, _))) => format!("the rows of {stream} were made anew"),
        (Extent::Full | Extent::WhatIsLeft, _) => "REFRESH ... FULL".to_string(),
    };
    for (name, (version, stream)) in others {
        let taken = stored.transaction(&format!("{TAKEN}{name}"));
        if extent != Extent::WhatIsLeft && is_lost(version, taken, stream.version, stream.rows()) {
            return Err(Error::HistoryLost { model: model.name.clone(), input: name.clone() });
        }
    }
    Ok(Some(reason))
}

/// [`Error::HistoryLost`] when an input does not hold all rows any more that were taken of it.
pub(super) fn refuse_loss(model: &Model, streams: &BTreeMap<TableName, Arc<Snapshot>>) -> Result<(), Error> {
    let stored = model.table.snapshot();
    for name in &model.streams {
        let Some((version, stream)) = model.consumed_version(name).zip(streams.get(name)) else { continue };
        let taken = stored.transaction(&format!("{TAKEN}{name}"));
        if is_lost(version, taken, stream.version, stream.rows()) {
            return Err(Error::HistoryLost { model: model.name.clone(), input: name.clone() });
        }
    }
    Ok(())
}

/// True when an input does not hold any more what was taken of it. How many rows that were, or are, may not be known.
fn is_lost(consumed: i64, taken: Option<i64>, version: i64, rows: Option<u64>) -> bool {
    let rows = rows.and_then(|rows| i64::try_from(rows).ok());
    version < consumed || taken.zip(rows).is_some_and(|(taken, rows)| rows < taken)
}

fn redone(table: &Snapshot) -> i64 {
    table.transaction(REDONE).unwrap_or(0)
}

/// What is to become durable with rows that were taken of a stream.
pub(super) fn taken(
    model: &Model,
    name: &TableName,
    stream: &Snapshot,
    rows: u64,
    is_anew: bool,
) -> Vec<(String, i64)> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let counted = format!("{TAKEN}{name}");
    let before = match model.consumed_version(name).filter(|_| !is_anew) {
        None => Some(0),
        Some(_) => model.table.snapshot().transaction(&counted),
    };
    let mut versions = vec![(format!("{SEEN}{name}"), redone(stream))];
    versions.extend(before.map(|before| (counted, before.saturating_add(rows))));
    versions
}

/// What says that a table's rows were made anew by a refresh.
pub(super) fn mark(refresh: i64) -> (String, i64) {
    (REDONE.to_string(), refresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_with_fewer_rows_than_were_taken_has_lost_some() {
        assert!(!is_lost(7, Some(10), 7, Some(10)));
        assert!(!is_lost(7, Some(10), 9, Some(12)));
        assert!(is_lost(7, Some(10), 9, Some(9)), "rows are gone");
        assert!(is_lost(7, Some(10), 3, Some(30)), "another table under its name");
        assert!(!is_lost(7, None, 9, Some(9)), "not counted: from before rows were");
        assert!(!is_lost(7, Some(10), 9, None), "a file that does not say");
    }
}
