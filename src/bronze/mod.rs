//! Rows and positions become one Delta commit.
//!
//! Comes in: [`crate::ingest::Batch`]es. Goes out: a [`BronzeCut`] for each commit, and an acknowledgement to whoever
//! waits for it.
//!
//! Guarantee: a position is durable in the very commit that holds its rows (and its rejected records, which go first
//! into the quarantine table beside it), so that a restart resumes from Delta alone. Failure: a full disk or a failed
//! write keeps the batch and tries again; nothing is acknowledged before it is durable.

mod failed_loads;
mod replay;
mod resume;
mod schema;
mod status;
mod stream;
mod watermark;
mod writer;

pub use failed_loads::FailedLoad;
pub use replay::{ReplayError, replay};
pub use resume::{mark, watermark_at};
pub use schema::quarantine_batch;
pub use status::{SourceState, SourceStatus, StatusCell};
pub use stream::{BronzeCut, Stream};
pub use writer::{FlushLimits, LoadRecord, run_writer};
