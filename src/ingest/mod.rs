//! Sources produce records with positions; decoders make Arrow batches.
//!
//! Comes in: the outside world (files, HTTP pushes, a Kafka topic, a seeded generator). Goes out: [`Batch`]es of
//! decoded rows, of rejected records and of the positions that become durable with them. Knows nothing of Delta: what
//! was durable before a start comes in as [`Resume`].
//!
//! Guarantee: a batch's positions cover exactly the records in its rows and rejections, and batches of one partition
//! are sent in order. Failure: a source that cannot go on ends with a named [`SourceError`]; what is transient it
//! reports through [`Reporter`] and retries itself, with backoff, without ending.

pub mod datagen;
pub mod decode;
pub mod files;
pub mod http;
pub mod kafka;
pub mod open;

pub use crate::sql::row_schema;

use arrow::array::Array as _;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How far one partition of a source is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Kafka partition (`0`), HTTP channel, `0` for datagen. Files do not use it: see [`FileProgress`].
    pub partition: String,
    /// The first offset that is not yet taken (for HTTP: the last token that is).
    pub next: i64,
}

/// How far one arrival of a file is taken. Identity is path and content: rewritten, it is a new arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProgress {
    /// Path relative to the source's folder, `/` separated.
    pub path: String,
    /// Lower-case hex SHA-256 of the content.
    pub content: String,
    /// Size in bytes.
    pub size: i64,
    /// Modification time, microseconds since 1970: with path and size the cheap test for "seen".
    pub modified_us: i64,
    /// Records taken from its start, rejected ones included.
    pub taken: i64,
    /// True when the file is taken whole.
    pub done: bool,
}

/// A record that could not become a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Its partition, as `_partition` has it.
    pub partition: String,
    /// Its offset, as `_offset` has it.
    pub offset: i64,
    /// Its bytes as they came.
    pub raw: Vec<u8>,
    /// The rule that it broke: `syntax`, `type`, `not_null`, `encoding`, `empty` ...
    pub rule: &'static str,
    /// Why, with the field's name: `field "amount": cannot read "abc" as DECIMAL(18,2)`.
    pub reason: String,
    /// Its `_source`.
    pub source: String,
    /// What came beside the bytes, to decode them again with; `None` when these are not the whole record.
    pub beside: Option<decode::Beside>,
}

/// A piece of a stream, decoded: small enough for memory, large enough for columns. Committed whole or not at all;
/// several batches may share one commit.
#[derive(Debug)]
pub struct Batch {
    /// Rows in the shape of [`row_schema`].
    pub rows: RecordBatch,
    /// Records that could not become rows.
    pub rejected: Vec<Rejected>,
    /// Positions that become durable with this batch.
    pub positions: Vec<Position>,
    /// Files' progress that becomes durable with this batch.
    pub files: Vec<FileProgress>,
    /// Payload bytes taken, for rates.
    pub bytes: u64,
    /// Told once the batch is durable (HTTP replies wait for it).
    pub acknowledge: Option<oneshot::Sender<Committed>>,
}

/// Where a batch became durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The source's commit counter.
    pub batch: i64,
    /// The bronze table's Delta version that holds it.
    pub version: i64,
}

/// What was durable when the source starts.
#[derive(Clone, Default)]
pub struct Resume {
    /// By partition: the first offset not yet taken (HTTP: the last token taken).
    pub positions: BTreeMap<String, i64>,
    /// Every arrival known so far; the newest entry of a path comes last.
    pub files: Vec<FileProgress>,
    /// Looks up rows that are durable already.
    pub past: Option<Arc<dyn Past>>,
}

/// Reads back what bronze holds, so that a source can check that the outside world is still the one it knew.
#[async_trait]
pub trait Past: Send + Sync {
    /// The `_raw` bytes of the record at a position, if bronze (or its quarantine) holds it.
    async fn raw_at(&self, partition: &str, offset: i64) -> Result<Option<Vec<u8>>, String>;
}

/// Why a source stopped for good (until someone acts).
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A setting is wrong; the message names it and the way out.
    #[error("{0}")]
    Setting(String),
    /// Retention removed records that were not taken yet.
    #[error("offsets lost: {0}")]
    OffsetsLost(String),
    /// The topic was deleted and made anew.
    #[error("topic recreated: {0}")]
    TopicRecreated(String),
    /// A file that was taken has changed and `on_change = 'error'`.
    #[error("file changed: {0}")]
    FileChanged(String),
    /// Anything else that does not pass by itself.
    #[error("{0}")]
    Fatal(String),
}

/// What a running source tells about itself.
pub trait Reporter: Send + Sync {
    /// A transient trouble, shown in `sluice.sources.error` until [`Reporter::healthy`].
    fn trouble(&self, message: &str);
    /// The trouble is over.
    fn healthy(&self);
    /// How many records stand in the outside world that are not taken yet, if known.
    fn lag_records(&self, records: i64);
    /// Partitions of which records wait outside: until they come nothing is known of them.
    fn awaited(&self, _partitions: Vec<String>) {}
    /// Something was not taken, and the source is as well as before: a push that is refused.
    fn load_failed(&self, _error: &str) {}
    /// A push was asked to come again later.
    fn limited(&self) {}
}

/// Everything a running source is given.
#[derive(Clone)]
pub struct Outlet {
    /// Where batches go. Bounded: a full channel is the back-pressure.
    pub batches: mpsc::Sender<Batch>,
    /// Where trouble and lag go.
    pub reporter: Arc<dyn Reporter>,
    /// Fires when the source must stop; what was sent before is still committed.
    pub stop: CancellationToken,
}

/// A stream from the outside world.
#[async_trait]
pub trait Source: Send {
    /// Runs until stopped (or until nothing can come any more, for bounded sources) and sends batches on the way.
    async fn run(self: Box<Self>, resume: Resume, outlet: Outlet) -> Result<(), SourceError>;
}

/// One push.
#[derive(Debug)]
pub struct Push {
    /// The sender's channel and its growing token; without them the push is at least once.
    pub channel: Option<(String, i64)>,
    /// Its records.
    pub body: Body,
}

/// The records of a push, as they come.
#[derive(Debug)]
pub enum Body {
    /// One record, NDJSON or CSV, as the source's FORMAT says.
    Text(bytes::Bytes),
    /// Columns that are rows already, by name.
    Rows(RecordBatch),
}

impl Body {
    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Body::Text(text) => text.len(),
            Body::Rows(rows) => row_bytes(rows),
        }
    }
}

/// The bytes that rows hold, of buffers that may be shared with others: with the rest of the message that they came in.
pub fn row_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    bytes.sum()
}

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// Durable; `duplicate` when the channel had already taken this token (nothing was written again).
    Taken {
        /// Rows taken.
        rows: u64,
        /// Records in quarantine.
        rejected: u64,
        /// Where it is durable; `None` for a duplicate.
        committed: Option<Committed>,
    },
    /// The queue is full: try again later (HTTP 429).
    Busy,
    /// The source is stopped or stopping (HTTP 503).
    Stopped(String),
    /// It can never be taken, and why: not to be tried again as it is (HTTP 400).
    Refused(String),
}

/// Why a push was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway<'a> {
    /// A limit was reached: it may come again later.
    Limit,
    /// It can never be taken.
    Refused(&'a str),
}

/// The door through which pushes reach an HTTP source.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Takes a push and answers when it is durable.
    async fn push(&self, push: Push) -> PushOutcome;

    /// A push to it was turned away before it came here.
    fn turned_away(&self, _why: TurnedAway<'_>) {}

    /// The columns that its rows have.
    fn columns(&self) -> &[crate::sql::ColumnDefinition];

    /// Resolves when the source takes pushes, or never will.
    async fn settled(&self) {}
}

/// Inboxes by source name (`orders` for `bronze.orders`); changes when the project does.
pub type Inboxes = Arc<parking_lot::RwLock<BTreeMap<String, Arc<dyn Inbox>>>>;
