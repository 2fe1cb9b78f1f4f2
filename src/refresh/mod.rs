//! Models are kept up to date: waves, lanes, epochs.
//!
//! Comes in: new versions of bronze and of tables that others write, and time. Goes out: one
//! [`crate::catalog::cut::Cut`] after another, each durable as an epoch.
//!
//! ```text
//! bronze commits ─► WAVE: newest version of every source, one time
//!                     streaming tables, inputs first: only the files that are new to them
//!                     results of lanes that are done join
//!                   EPOCH: one commit to sluice.epochs ─► the cut that readers see
//!                                                      └► LANES: each materialized view and change feed, beside the waves
//!                                                         when the cut moved under it, from its inputs' changes
//!                                                         or, where that has no rule, recomputed and compared
//! ```
//!
//! A result is judged before its commit: by its rules and its blocking audits, over the table as it would stand. What they
//! reject stays unseen, and what reads the model waits; other audits look at what readers see.
//!
//! What was set apart is taken again on demand, in a wave, before what is new is taken. A range of time of a streaming table is
//! taken again beside the waves, slice by slice; they leave the table alone while a slice of it is computed.
//!
//! Rows that are erased everywhere went out of a streaming table's input after it took them: it goes on behind that, see
//! [`carry_over`].
//!
//! Readers ask through the [`Control`]: refresh now, verify, replay, backfill. What would become of a definition is asked of [`explain`].
//!
//! Guarantee: at every epoch a model equals its query over the inputs that the epoch records for it; a restart goes on
//! from what the tables say they consumed. Failure: a model that fails keeps its last good version, is marked, and is
//! tried again with backoff; the others go on.

mod apart;
mod apply;
mod auditor;
mod backfill;
#[cfg(test)]
mod benchmark_tests;
#[cfg(test)]
mod cdc_tests;
mod compare;
mod continued;
mod control;
mod cost;
mod derive;
mod epochs;
mod erased;
mod evaluate;
mod explain;
mod first_rows;
mod ground;
mod incremental;
mod intake;
mod judge;
mod lane;
#[cfg(test)]
mod law_tests;
mod model;
mod near;
mod only;
mod output;
mod pace;
mod partitions;
mod recompute;
mod redo;
mod replay;
mod standing;
mod stood;
mod streaming;
mod traced;
mod trigger;
mod unit_test;
mod verify;
mod waits;
mod watermark;
mod wave;
mod ways;
mod widened;

pub use auditor::AuditRecord;
pub use backfill::{BackfillRecord, Range};
pub use control::{Control, Extent, Refusal};
pub use epochs::{EpochRow, EpochTable, epochs_schema};
pub use erased::{ERASED_FROM, ERASED_ROWS, carry_over};
pub use explain::{explain, why_not};
pub use lane::CLOCK_PERIOD;
pub use model::{
    Model, ModelStatus, Reads, RefreshRecord, StatusBoard, consumed, definition_id, hidden_tables, open_model,
};
pub use trigger::next_due;
pub use unit_test::{Subject, Tested, unit_test_failure};
pub use verify::{EXAMPLES_MAX, Verified};
pub use wave::{ForeignTable, Shape, WaveSettings, Waves, run_waves};
pub use widened::take_columns;

use crate::bronze;
use crate::lake;
use crate::ops::panics::caught;
use crate::quality::Verdict;
use datafusion::error::DataFusionError;

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query failed.
    #[error("query")]
    Query(#[from] DataFusionError),
    /// An operator of the query panicked.
    #[error("an operator of the query panicked: {0}")]
    Panicked(String),
    /// The tables could not be read or written.
    #[error(transparent)]
    Lake(#[from] lake::Error),
    /// Arrow refused.
    #[error("arrow")]
    Arrow(#[from] arrow::error::ArrowError),
    /// An input's changes cannot be had any more.
    #[error(
        "{input}: what changed between version {from} and {to} cannot be taken row by row: rows were changed or removed, or \
         files are gone; the table must be built anew"
    )]
    ChangesGone {
        /// The input.
        input: lake::TableName,
        /// The version consumed last.
        from: i64,
        /// The version wanted.
        to: i64,
    },
    /// A table that cannot be backfilled.
    #[error("{model} cannot be backfilled: {why}")]
    Backfill {
        /// The table.
        model: lake::TableName,
        /// Why.
        why: String,
    },
    /// Records of a source could not be decoded again.
    #[error(transparent)]
    Replay(#[from] bronze::ReplayError),
    /// A streaming table would lose rows if it were made anew.
    #[error("{input} does not hold all rows any more that {model} took of it")]
    HistoryLost {
        /// The streaming table.
        model: lake::TableName,
        /// Its input.
        input: lake::TableName,
    },
    /// A model reads one that was never computed, or not by its new definition.
    #[error("{model} reads {input}, which was not computed by its definition yet")]
    NotComputed {
        /// The model.
        model: lake::TableName,
        /// What it reads.
        input: lake::TableName,
    },
    /// The query's output does not fit the model's table.
    #[error("{0}")]
    Output(String),
    /// The result breaks a rule that must hold before readers see it.
    #[error("{message}")]
    Rejected {
        /// Which, where, and by what rows.
        message: String,
        /// How all rules and audits fared.
        verdict: Box<Verdict>,
    },
    /// A model waits for one that it reads, or that is read on the way, to be good again.
    #[error("{model} waits for {input}, whose newest rows were rejected")]
    Waits {
        /// The model.
        model: lake::TableName,
        /// What was rejected.
        input: lake::TableName,
    },
}

/// A panic of an operator is a failure like any other: who runs refreshes goes on.
async fn settled<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    caught(work).await.unwrap_or_else(|panic| Err(Error::Panicked(panic)))
}
