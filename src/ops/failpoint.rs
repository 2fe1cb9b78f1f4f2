//! Failpoints: named steps at which a test ends the process, as a power cut would.
//!
//! `SLUICE_FAILPOINTS='refresh.hidden.committed[gold.sales]=kill@2'` aborts the server when the second hidden table of
//! `gold.sales` is committed; several are parted by `;`, and without brackets any table counts. They are compiled in
//! always, so that what is tested is what is shipped; without the variable a step costs one load and a branch. Crate
//! `fail` would do, were it not that its points must be compiled in by a feature, and that none of its actions ends a
//! process without unwinding it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A step after which a process may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A commit's data files are written and synced.
    DataWritten,
    /// So is its deletion vector file.
    VectorsWritten,
    /// The commit itself is, under a name that nobody reads.
    CommitSynced,
    /// It has its name, which the folder does not hold for good yet.
    CommitLinked,
    /// It is durable; this process does not go by it yet.
    CommitDurable,
    /// A table whose types have become wider: one of its files is rewritten.
    RewrittenFile,
    /// A table is dropped, its files are still to be deleted.
    TableDropped,
    /// Bronze: a side table is committed, its rows' main table is not.
    BronzeSideCommitted,
    /// Bronze: rows and positions are committed and not acknowledged.
    BronzeCommitted,
    /// A streaming table: its quarantine is committed, its rows are not.
    StreamSideCommitted,
    /// A streaming table: its rows are committed, in no epoch.
    StreamCommitted,
    /// A view: one of its hidden tables is committed.
    HiddenCommitted,
    /// A view: all its hidden tables are, its own change is computed.
    ViewComputed,
    /// A view: it is committed, in no epoch.
    ViewCommitted,
    /// A view that is recomputed: its rows are computed.
    RecomputeComputed,
    /// A view that is recomputed: it is committed, in no epoch.
    RecomputeCommitted,
    /// An epoch: all its tables are committed.
    EpochDue,
    /// An epoch: it is durable, and shown to nobody.
    EpochCommitted,
    /// Upkeep: the file that takes the place of others is written.
    FoldWritten,
    /// Upkeep: it has taken their place.
    FoldCommitted,
    /// Upkeep: a checkpoint is written; the hint names the one before.
    CheckpointWritten,
    /// Upkeep: the hint names it, the log that it covers is still there.
    CheckpointHinted,
    /// Upkeep: a file of the log is deleted, others are still to be.
    LogDeleted,
    /// Upkeep: a removed file is deleted, others are still to be.
    FileDeleted,
    /// An erasure: rows of a table are gone, who follows it is not told yet.
    RowsErased,
    /// An erasure: its next phase is written down, and has not begun.
    ErasurePhase,
    /// An erasure: a table's files are gone, those of others are still to go.
    TablePurged,
}

/// Every point by its name.
const POINTS: &[(&str, Point)] = &[
    ("lake.data.written", Point::DataWritten),
    ("lake.vectors.written", Point::VectorsWritten),
    ("lake.commit.synced", Point::CommitSynced),
    ("lake.commit.linked", Point::CommitLinked),
    ("lake.commit.durable", Point::CommitDurable),
    ("lake.rewrite.file", Point::RewrittenFile),
    ("lake.table.dropped", Point::TableDropped),
    ("bronze.side.committed", Point::BronzeSideCommitted),
    ("bronze.committed", Point::BronzeCommitted),
    ("refresh.stream.side.committed", Point::StreamSideCommitted),
    ("refresh.stream.committed", Point::StreamCommitted),
    ("refresh.hidden.committed", Point::HiddenCommitted),
    ("refresh.view.computed", Point::ViewComputed),
    ("refresh.view.committed", Point::ViewCommitted),
    ("refresh.recompute.computed", Point::RecomputeComputed),
    ("refresh.recompute.committed", Point::RecomputeCommitted),
    ("refresh.epoch.due", Point::EpochDue),
    ("refresh.epoch.committed", Point::EpochCommitted),
    ("upkeep.fold.written", Point::FoldWritten),
    ("upkeep.fold.committed", Point::FoldCommitted),
    ("upkeep.checkpoint.written", Point::CheckpointWritten),
    ("upkeep.checkpoint.hinted", Point::CheckpointHinted),
    ("upkeep.log.deleted", Point::LogDeleted),
    ("upkeep.file.deleted", Point::FileDeleted),
    ("erase.rows.erased", Point::RowsErased),
    ("erase.phase.kept", Point::ErasurePhase),
    ("erase.table.purged", Point::TablePurged),
];

/// A point at which this process ends.
#[derive(Debug)]
struct Armed {
    name: &'static str,
    point: Point,
    /// The table that must be at it; `None` for any.
    table: Option<String>,
    /// How often it is still to be passed, this time included.
    left: AtomicU64,
}

static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

/// Why a text arms nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It has another form.
    #[error("failpoint {0:?} is not of the form name[schema.table]=kill@count")]
    Form(String),
    /// No point has the name.
    #[error("there is no failpoint {name:?}; there are {known}")]
    Name {
        /// What was written.
        name: String,
        /// Every name.
        known: String,
    },
}

/// Arms points for the rest of the process. Those that were armed before stay.
pub fn arm(text: &str) -> Result<(), Mistake> {
    let armed = parse(text)?;
    if !armed.is_empty() {
        tracing::warn!(
            failpoints = text,
            "failpoints are armed: this process will end itself without notice"
        );
        let _ = ARMED.set(armed);
    }
    Ok(())
}

/// Ends the process, with no unwinding and no destructors, if it is armed to end here.
pub fn pass(point: Point, table: impl FnOnce() -> String) {
    if let Some(armed) = ARMED.get() {
        end_if_due(armed, point, &table());
    }
}

fn end_if_due(armed: &[Armed], point: Point, table: &str) {
    if let Some(armed) = armed.iter().find(|armed| is_due(armed, point, table)) {
        eprintln!("failpoint {} reached at {table}: the process ends", armed.name);
        std::process::abort();
    }
}

/// Counts a pass; true for the one that was meant.
fn is_due(armed: &Armed, point: Point, table: &str) -> bool {
    let is_meant = armed.point == point && armed.table.as_deref().is_none_or(|meant| meant == table);
    is_meant && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
}

fn parse(text: &str) -> Result<Vec<Armed>, Mistake> {
    text.split(';').map(str::trim).filter(|item| !item.is_empty()).map(parse_one).collect()
}

fn parse_one(item: &str) -> Result<Armed, Mistake> {
    let form = || Mistake::Form(item.to_string());
    let (place, action) = item.split_once('=').ok_or_else(form)?;
    let (name, table) = match place.split_once('[') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(']').ok_or_else(form)?.to_string())),
        None => (place, None),
    };
    let count = match action.split_once('@') {
        Some(("kill", count)) => count.parse().ok().filter(|count| *count > 0).ok_or_else(form)?,
        None if action == "kill" => 1,
        _ => return Err(form()),
    };
    let known = || POINTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = POINTS.iter().find(|(known, _)| *known == name);
    let &(name, point) = found.ok_or_else(|| Mistake::Name { name: name.to_string(), known: known() })?;
    Ok(Armed { name, point, table, left: AtomicU64::new(count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_table_and_pass_are_meant() {
        let armed = parse(" lake.commit.linked[silver.events]=kill@2; upkeep.fold.written=kill;").unwrap();
        let due = |point, table| armed.iter().any(|armed| is_due(armed, point, table));
        assert!(!due(Point::CommitLinked, "silver.events"));
        assert!(!due(Point::CommitLinked, "silver.other"));
        assert!(!due(Point::CommitSynced, "silver.events"));
        assert!(due(Point::CommitLinked, "silver.events"));
        assert!(!due(Point::CommitLinked, "silver.events"), "once");
        assert!(due(Point::FoldWritten, "any.table"));
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["x", "lake.commit.linked=stop", "lake.commit.linked=kill@0", "lake.commit.linked[a=kill"]
        {
            assert_eq!(parse(text).unwrap_err(), Mistake::Form(text.to_string()));
        }
        let mistake = parse("lake.comit=kill").unwrap_err().to_string();
        assert!(mistake.contains("\"lake.comit\"") && mistake.contains("upkeep.file.deleted"), "{mistake}");
    }

    #[test]
    fn each_point_has_one_name() {
        for (number, (name, point)) in POINTS.iter().enumerate() {
            assert!(POINTS[..number].iter().all(|(n, p)| n != name && p != point), "{name}");
        }
    }
}
