//! What an erasure means for those who follow a table: rows went that were taken long ago, and files moved.
//!
//! A streaming table has each input row once and is not told that one went: it goes on behind the erasure, and what it
//! counts as taken is less by the rows that went, so that it can still be made anew. Views see rows go as they always do;
//! they are carried over versions that differ in files alone, so that the log before these can go.

use super::Error;
use super::model::{CONSUMED, consumed};
use super::redo::TAKEN;
use crate::lake::{Commit, Table};
use std::sync::Arc;

/// Application versions of a table of which rows were erased last: from which version, and how many.
pub const ERASED_FROM: &str = "sluice.erased.from";
/// See [`ERASED_FROM`].
pub const ERASED_ROWS: &str = "sluice.erased.rows";

/// Lets a table that follows another go on from version `to`. True when it has come there, or was there; false when rows
/// came or went before `until` that it has not taken yet. Whatever happened from `until` to `to` is no news to it; `erased`
/// rows are not there any more that it may have counted.
pub async fn carry_over(
    follower: &Arc<Table>,
    followed: &Arc<Table>,
    (until, to): (i64, i64),
    erased: i64,
) -> Result<bool, Error> {
    let (stands, name) = (follower.snapshot(), followed.name());
    let Some(from) = consumed(&stands).get(name).copied() else { return Ok(true) };
    if from >= to {
        return Ok(true);
    }
    if from < until {
        match followed.changes(from, until).await? {
            Some(changes) if changes.is_empty() => {}
            _ => return Ok(false),
        }
    }
    let mut versions = vec![(format!("{CONSUMED}{name}"), to)];
    let taken = format!("{TAKEN}{name}");
    if let Some(counted) = stands.transaction(&taken).filter(|_| erased > 0) {
        versions.push((taken, (counted - erased).max(0)));
    }
    follower.commit(Commit { data_change: false, ..Commit::append(vec![], versions) }).await?;
    Ok(true)
}
