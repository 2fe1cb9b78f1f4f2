//! Collects batches for at most a flush's age and commits them.
//!
//! ```text
//! batches ──► parquet, written as they come ──► age or size reached ──► quarantine ──► manifest ──► rows + positions
//!                                                                       (side tables first, each with the batch's
//!                                                                        number; the main commit makes them count)
//! ```

use super::failed_loads::FailedLoad;
use super::resume::{BATCH, NEWEST, POSITION, mark};
use super::schema::{manifest_schema, quarantine_batch};
use super::status::StatusCell;
use super::stream::{BronzeCut, Stream};
use super::watermark::{Watermarks, newest_events};
use crate::ingest::{Batch, Committed, FileProgress, Position, Rejected};
use crate::lake::{Commit, DataFile, Effort, Error, Snapshot, Table, TableName, chain};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::ops::retry::spread;
use crate::quality::ApartState;
use crate::sql::table_schema;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// When a commit is due.
#[derive(Clone, Copy, Debug)]
pub struct FlushLimits {
    /// Age of its first batch.
    pub age_max: Duration,
    /// Payload bytes.
    pub bytes_max: u64,
}

/// One load as `sluice.ingest_log` shows it.
#[derive(Clone, Debug)]
pub struct LoadRecord {
    /// The source's table.
    pub source: String,
    /// The commit's number; `None` when there was nothing to commit.
    pub batch: Option<i64>,
    /// When its first batch came.
    pub started_at: DateTime<Utc>,
    /// Rows committed.
    pub rows: i64,
    /// Payload bytes.
    pub bytes: i64,
    /// How often it was tried, as far as no earlier record tells.
    pub attempts: u32,
    /// What went wrong, if anything.
    pub error: Option<String>,
}

impl LoadRecord {
    /// Loads that failed before there was anything to commit.
    pub fn failed(source: &TableName, load: FailedLoad) -> Self {
        let FailedLoad { since, attempts, error } = load;
        let source = source.to_string();
        Self { source, batch: None, started_at: since, rows: 0, bytes: 0, attempts, error: Some(error) }
    }
}

/// First and longest pause before a failed commit is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// Writes a source's batches until the channel closes, and the watermark where it moves though nothing comes. A commit that fails (a full disk, a store away) is kept and
/// tried again until it is durable or `abandon` fires; nothing of it is acknowledged before.
pub async fn run_writer(
    stream: Arc<Stream>,
    mut batches: mpsc::Receiver<Batch>,
    limits: FlushLimits,
    status: StatusCell,
    log: impl Fn(LoadRecord) + Send + Sync,
    abandon: CancellationToken,
) {
    let mut watermarks = stream.watermarks();
    loop {
        let moves = watermarks.as_ref().and_then(Watermarks::next_move);
        let Some(pending) = next_commit(&mut batches, limits, moves).await else { return };
        let (mut pause, mut failures) = (RETRY_FIRST, 0u32);
        loop {
            if let Some(watermarks) = &mut watermarks {
                watermarks.expect(status.take_awaited(), clock::instant());
            }
            match commit(&stream, &pending, watermarks.as_mut()).await {
                Ok(done) => {
                    settle(&stream, pending, done, &status, &log);
                    break;
                }
                Err(error) => {
                    let reason = chain(&error);
                    tracing::error!(source = %stream.definition.name, error = reason, "could not commit; will try again");
                    log(pending.record(&stream, stream.batch() + 1, Some(reason.clone())));
                    failures = failures.saturating_add(1);
                    status.commit_failed(reason, failures);
                    tokio::select! {
                        () = tokio::time::sleep(spread(pause, rand::random())) => {}
                        () = abandon.cancelled() => return,
                    }
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
            }
        }
    }
}

/// What the next commit will hold: what comes, or nothing once the watermark moves by itself. `None` when nothing more
/// comes.
async fn next_commit(
    batches: &mut mpsc::Receiver<Batch>,
    limits: FlushLimits,
    moves: Option<Instant>,
) -> Option<Pending> {
    let mut pending = Pending::default();
    let first = match moves {
        Some(at) => tokio::time::timeout_at(at.into(), batches.recv()).await,
        None => Ok(batches.recv().await),
    };
    pending.started_at = clock::now();
    match first {
        Ok(first) => pending.take(first?),
        Err(_) => return Some(pending),
    }
    let deadline = tokio::time::Instant::from_std(clock::instant() + limits.age_max);
    while pending.bytes < limits.bytes_max {
        match tokio::time::timeout_at(deadline, batches.recv()).await {
            Ok(Some(batch)) => pending.take(batch),
            Ok(None) | Err(_) => break,
        }
    }
    Some(pending)
}

/// What the next commit will hold.
#[derive(Default)]
struct Pending {
    started_at: DateTime<Utc>,
    rows: Vec<RecordBatch>,
    rejected: Vec<Rejected>,
    positions: BTreeMap<String, i64>,
    files: Vec<FileProgress>,
    bytes: u64,
    acknowledge: Vec<oneshot::Sender<Committed>>,
}

impl Pending {
    fn take(&mut self, batch: Batch) {
        self.bytes += batch.bytes;
        if batch.rows.num_rows() > 0 {
            self.rows.push(batch.rows);
        }
        self.rejected.extend(batch.rejected);
        for Position { partition, next } in batch.positions {
            self.positions.insert(partition, next);
        }
        self.files.extend(batch.files);
        self.acknowledge.extend(batch.acknowledge);
    }

    /// True when only the watermark moves.
    fn is_nothing(&self) -> bool {
        let is_empty = self.rows.is_empty() && self.rejected.is_empty();
        is_empty && self.positions.is_empty() && self.files.is_empty() && self.acknowledge.is_empty()
    }

    fn row_count(&self) -> i64 {
        self.rows.iter().map(|r| i64::try_from(r.num_rows()).unwrap_or_default()).sum()
    }

    fn record(&self, stream: &Stream, batch: i64, error: Option<String>) -> LoadRecord {
        LoadRecord {
            source: stream.definition.name.to_string(),
            batch: Some(batch),
            started_at: self.started_at,
            rows: self.row_count(),
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            attempts: 1,
            error,
        }
    }
}

/// What a commit came to.
struct Done {
    batch: i64,
    cut: BronzeCut,
    newest_event_us: Option<i64>,
}

async fn commit(
    stream: &Arc<Stream>,
    pending: &Pending,
    watermarks: Option<&mut Watermarks>,
) -> Result<Done, Error> {
    let _one_at_a_time = stream.commits.lock().await;
    let batch = stream.batch() + 1;
    let quarantine = if pending.rejected.is_empty() {
        stream.quarantine.snapshot()
    } else {
        let (definition, now_us) = (&stream.definition, clock::now_us());
        let rows = quarantine_batch(definition, &pending.rejected, batch, now_us, ApartState::Open);
        let rows = rows.map_err(|source| Error::Arrow { table: stream.quarantine.name().clone(), source })?;
        commit_side(&stream.quarantine, rows, batch).await?
    };
    if let (Some(manifest), false) = (&stream.manifest, pending.files.is_empty()) {
        let rows = manifest_batch(&pending.files, batch);
        let rows = rows.map_err(|source| Error::Arrow { table: manifest.name().clone(), source })?;
        commit_side(manifest, rows, batch).await?;
    }
    let watermark = stream.watermark();
    let newest = match &stream.definition.watermark {
        Some(declared) => newest_of(stream, pending, &declared.column)?,
        None => BTreeMap::new(),
    };

    let mut transactions = vec![(BATCH.to_string(), batch)];
    // Told again when the commit is tried again, which changes nothing.
    transactions.extend(watermarks.map(|watermarks| tell(watermarks, &newest)).into_iter().flatten());
    transactions
        .extend(pending.positions.iter().map(|(partition, next)| (format!("{POSITION}{partition}"), *next)));

    let adds = write_rows(stream, &pending.rows, batch, watermark).await?;
    let main = stream.main.commit(Commit::append(adds, transactions)).await?;
    failpoint::pass(Point::BronzeCommitted, || stream.main.name().to_string());
    let newest_event_us = newest.into_values().flatten().max();
    Ok(Done { batch, cut: BronzeCut { main, quarantine }, newest_event_us })
}

/// The newest event of each partition that a commit has rows of.
fn newest_of(
    stream: &Stream,
    pending: &Pending,
    column: &str,
) -> Result<BTreeMap<String, Option<i64>>, Error> {
    let mut newest: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for rows in &pending.rows {
        let of_rows = newest_events(rows, column, |name| pending.positions.contains_key(name))
            .map_err(|source| Error::Arrow { table: stream.main.name().clone(), source })?;
        for (name, at) in of_rows {
            let known = newest.entry(name).or_default();
            *known = at.max(*known);
        }
    }
    Ok(newest)
}

/// Tells the watermark of newest events, and gives what becomes durable of it.
fn tell(watermarks: &mut Watermarks, newest: &BTreeMap<String, Option<i64>>) -> Vec<(String, i64)> {
    let (now_us, now) = (clock::now_us(), clock::instant());
    for (name, at) in newest {
        watermarks.hear(name, *at, now_us, now);
    }
    watermarks.advance(now);
    let of_partition = |name: &String| Some((format!("{NEWEST}{name}"), watermarks.newest_of(name)?));
    let watermark = watermarks.current().map(mark);
    newest.keys().filter_map(of_partition).chain(watermark).collect()
}

async fn commit_side(table: &Arc<Table>, rows: RecordBatch, batch: i64) -> Result<Arc<Snapshot>, Error> {
    let adds = table.write(vec![rows], Effort::Fast).await?;
    let committed = table.commit_beside(BATCH, batch, adds).await?;
    failpoint::pass(Point::BronzeSideCommitted, || table.name().to_string());
    Ok(committed)
}

pub(super) async fn write_rows(
    stream: &Stream,
    rows: &[RecordBatch],
    batch: i64,
    watermark: Option<i64>,
) -> Result<Vec<DataFile>, Error> {
    let now_us = clock::now_us();
    let schema = table_schema(&stream.definition);
    let rows = rows
        .iter()
        .map(|rows| with_commit_columns(&schema, rows, batch, watermark, now_us))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Arrow { table: stream.main.name().clone(), source })?;
    stream.main.write(rows, Effort::Fast).await
}

/// Decoded rows with the columns that a commit adds, in the shape of [`table_schema`].
fn with_commit_columns(
    schema: &SchemaRef,
    rows: &RecordBatch,
    batch: i64,
    watermark: Option<i64>,
    now_us: i64,
) -> Result<RecordBatch, ArrowError> {
    let count = rows.num_rows();
    let timestamps = |value: Option<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![value; count]).with_timezone("UTC"))
    };
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![batch; count])));
    columns.push(timestamps(watermark));
    columns.push(timestamps(Some(now_us)));
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn manifest_batch(files: &[FileProgress], batch: i64) -> Result<RecordBatch, ArrowError> {
    let numbers = |pick: fn(&FileProgress) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(files.iter().map(pick)))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(files.iter().map(|f| f.path.as_str()))),
        Arc::new(StringArray::from_iter_values(files.iter().map(|f| f.content.as_str()))),
        numbers(|f| f.size),
        numbers(|f| f.modified_us),
        numbers(|f| f.taken),
        Arc::new(BooleanArray::from_iter(files.iter().map(|f| Some(f.done)))),
        Arc::new(Int64Array::from(vec![batch; files.len()])),
    ];
    RecordBatch::try_new(manifest_schema(), columns)
}

fn settle(stream: &Stream, mut pending: Pending, done: Done, status: &StatusCell, log: &impl Fn(LoadRecord)) {
    let committed = Committed { batch: done.batch, version: done.cut.main.version };
    stream.note_files(&pending.files);
    stream.cuts.send_replace(done.cut);
    status.commit_succeeded();
    if pending.is_nothing() {
        return;
    }
    let quarantined = i64::try_from(pending.rejected.len()).unwrap_or(i64::MAX);
    let newest = done.newest_event_us.and_then(DateTime::from_timestamp_micros);
    status.committed(pending.row_count(), quarantined, newest, clock::now(), clock::instant());
    log(pending.record(stream, done.batch, None));
    for waiting in std::mem::take(&mut pending.acknowledge) {
        // Whoever waited may be gone; the rows are durable all the same.
        let _ = waiting.send(committed.clone());
    }
}
