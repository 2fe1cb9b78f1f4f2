//! Decoding again what could not be read: rejected records go through the present definition, once.
//!
//! ```text
//! quarantine ─ picked ─► bytes, and what came beside them ─► rows ──────────► the table (2nd: its batch number makes
//!     ▲                                                  └► rejected again      the first count)
//!     └── records picked leave, rejected ones stay (1st, marked with the batch) ◄┘
//! ```
//!
//! The rows keep the positions that they had, and come in a batch of their own.

use super::resume::BATCH;
use super::schema::quarantine_batch;
use super::stream::{BronzeCut, Stream};
use super::writer::{LoadRecord, write_rows};
use crate::ingest::Rejected;
use crate::ingest::decode::{Beside, Decoded, Record, RecordBuffer};
use crate::lake::{Commit, Effort, Error};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::quality::{ApartState, Picked, Place, Predicate, Replayed, take_out};
use crate::sql::{Encode, FieldMask, SourceDefinition};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Records of one commit: between two of them what comes in has its turn.
const RECORDS_MAX: usize = 65_536;

/// How long until a commit that could not be taken back is tried to be again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why records were not decoded again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The condition does not fit.
    #[error("condition")]
    Predicate(#[from] datafusion::error::DataFusionError),
    /// The tables could not be read or written.
    #[error(transparent)]
    Lake(#[from] Error),
    /// The definition cannot decode.
    #[error("{0}")]
    Source(String),
}

/// Decodes the records that a predicate picks, and commits what comes of them; the table's version then. `None` when
/// the source is being closed. Must run to its end: half of it would be undone by the next start only.
pub async fn replay(
    stream: &Arc<Stream>,
    predicate: Option<Predicate>,
    log: &(dyn Fn(LoadRecord) + Send + Sync),
) -> Result<Option<(Replayed, i64)>, ReplayError> {
    let Picked { places, unpicked } = Picked::of(&stream.quarantine, predicate).await?;
    let mut done = Replayed { left: unpicked, ..Replayed::default() };
    let mut places: Vec<Place> = places.into_iter().collect();
    places.sort_unstable_by(|a, b| (&a.partition, a.offset).cmp(&(&b.partition, b.offset)));
    for chunk in places.chunks(RECORDS_MAX) {
        let is_closed = stream.commits.lock().await;
        if *is_closed {
            return Ok(None);
        }
        let batch = stream.batch() + 1;
        let mut load = LoadRecord {
            source: stream.definition.name.to_string(),
            batch: Some(batch),
            started_at: clock::now(),
            rows: 0,
            bytes: 0,
            attempts: 1,
            error: None,
        };
        let places = chunk.iter().cloned().collect();
        let replayed = replay_some(stream, places, batch, &mut done, &mut load).await;
        load.error = replayed.as_ref().err().map(|error| crate::lake::chain(error));
        log(load);
        replayed?;
    }
    Ok(Some((done, stream.main.snapshot().version)))
}

async fn replay_some(
    stream: &Arc<Stream>,
    places: HashSet<Place>,
    batch: i64,
    done: &mut Replayed,
    load: &mut LoadRecord,
) -> Result<(), ReplayError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let bytes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bytes);
    let send = move |rows: RecordBatch| {
        let raw = rows.column_by_name("raw").and_then(|column| column.as_binary_opt::<i32>());
        counted.fetch_add(raw.map_or(0, |raw| raw.values().len()), Ordering::Relaxed);
        // Who receives them holds on until the last has come.
        drop(sender.send(rows));
    };
    let taken = take_out(&stream.quarantine, places, send).await?;
    let definition = Arc::clone(&stream.definition);
    let decode = move || decode(&definition, receiver.into_iter());
    let decoded = tokio::task::spawn_blocking(decode).await;
    let decoded = decoded.map_err(|error| ReplayError::Source(error.to_string()))??;
    let mut rows = Vec::new();
    let mut rejected = Vec::new();
    for Decoded { rows: good, rejected: bad } in decoded {
        rows.push(good);
        rejected.extend(bad);
    }
    let passed: usize = rows.iter().map(RecordBatch::num_rows).sum();
    load.rows = i64::try_from(passed).unwrap_or(i64::MAX);
    load.bytes = i64::try_from(bytes.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    let state = ApartState::FailedAgain;
    let again = quarantine_batch(&stream.definition, &rejected, batch, clock::now_us(), state);
    let again = again.map_err(|source| Error::Arrow { table: stream.quarantine.name().clone(), source })?;
    let again = stream.quarantine.write(vec![again], Effort::Fast).await?;
    let adds = write_rows(stream, &rows, batch, stream.watermark()).await?;

    let remaining = taken.remaining.into_iter().chain(again).collect();
    let side = stream.quarantine.commit_beside_instead(BATCH, batch, taken.files, remaining).await;
    let committed = match side {
        Ok(quarantine) => {
            failpoint::pass(Point::BronzeSideCommitted, || stream.quarantine.name().to_string());
            let commit = Commit::append(adds, vec![(BATCH.to_string(), batch)]);
            stream.main.commit(commit).await.map(|main| BronzeCut { main, quarantine })
        }
        Err(error) => Err(error),
    };
    match committed {
        Ok(cut) => {
            failpoint::pass(Point::BronzeCommitted, || stream.main.name().to_string());
            stream.cuts.send_replace(cut);
        }
        Err(error) => {
            undo(stream, batch).await;
            return Err(error.into());
        }
    }
    done.taken += taken.rows;
    done.passed += i64::try_from(passed).unwrap_or(i64::MAX);
    done.failed += i64::try_from(rejected.len()).unwrap_or(i64::MAX);
    Ok(())
}

/// Brings the quarantine back of a batch that is not to be. The next batch has the same number: until this is done
/// nothing else may be committed.
async fn undo(stream: &Arc<Stream>, batch: i64) {
    loop {
        let newest = match stream.main.newest().await {
            Ok(main) => Ok(main.transaction(BATCH).unwrap_or(0)),
            Err(error) => Err(error),
        };
        let undone = match newest {
            // It has landed although it looked failed.
            Ok(number) if number >= batch => Ok(()),
            Ok(number) => stream.quarantine.take_back(BATCH, number).await,
            Err(error) => Err(error),
        };
        let Err(error) = undone else { break };
        let (source, error) = (&stream.definition.name, crate::lake::chain(&error));
        tracing::error!(%source, error, "could not undo a replay; will try again");
        tokio::time::sleep(PAUSE).await;
    }
    let (main, quarantine) = (stream.main.snapshot(), stream.quarantine.snapshot());
    stream.cuts.send_replace(BronzeCut { main, quarantine });
}

/// Decodes rows of the quarantine. Blocks.
fn decode(
    definition: &Arc<SourceDefinition>,
    rows: impl Iterator<Item = RecordBatch>,
) -> Result<Vec<Decoded>, ReplayError> {
    // By whether records came as columns, and by what of them is masked already.
    let mut decoders: BTreeMap<(bool, Vec<String>), Decoder> = BTreeMap::new();
    for rows in rows {
        for row in 0..rows.num_rows() {
            let kept = Kept::of(&rows, row);
            let beside = kept.beside.and_then(Beside::from_text).unwrap_or_default();
            let decoder = match decoders.entry((beside.as_columns, beside.masked.clone())) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Decoder::of(definition, &beside)?),
            };
            decoder.push(&kept, &beside)?;
        }
    }
    let masked: Vec<String> = definition.masking.fields.iter().map(FieldMask::name).collect();
    let finish = |mut decoder: Decoder| -> Result<Decoded, ReplayError> {
        let mut decoded = decoder.buffer.finish().map_err(|error| ReplayError::Source(error.to_string()))?;
        decoded.rejected.append(&mut decoder.unread);
        for beside in decoded.rejected.iter_mut().filter_map(|rejected| rejected.beside.as_mut()) {
            beside.as_columns = decoder.is_of_columns;
            beside.masked = masked.clone();
        }
        Ok(decoded)
    };
    decoders.into_values().map(finish).collect()
}

/// A record as the quarantine keeps it.
struct Kept<'a> {
    record: Record<'a>,
    beside: Option<&'a str>,
}

impl<'a> Kept<'a> {
    fn of(rows: &'a RecordBatch, row: usize) -> Self {
        let text = |name: &str| {
            let column = rows.column_by_name(name)?.as_string_opt::<i32>()?;
            column.is_valid(row).then(|| column.value(row))
        };
        let raw = rows.column_by_name("raw").and_then(|column| column.as_binary_opt::<i32>());
        let offset = rows.column_by_name("offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let record = Record {
            payload: raw.filter(|raw| raw.is_valid(row)).map_or(&[], |raw| raw.value(row)),
            source: text("origin").unwrap_or_default(),
            partition: text("partition").unwrap_or_default(),
            offset: offset.map_or(0, |offset| offset.value(row)),
            key: None,
            timestamp_us: None,
            headers: &[],
        };
        Self { record, beside: text("beside") }
    }
}

/// Decodes records that come with what was kept beside them.
struct Decoder {
    buffer: RecordBuffer,
    is_csv: bool,
    is_of_columns: bool,
    /// Records whose header names no column any more.
    unread: Vec<Rejected>,
}

impl Decoder {
    /// A decoder of records with the like of this beside them.
    fn of(definition: &Arc<SourceDefinition>, beside: &Beside) -> Result<Self, ReplayError> {
        // Parquet rows come as columns alone.
        let encode = match &definition.encode {
            _ if beside.as_columns => Encode::Json,
            Encode::Parquet => Encode::Json,
            other => other.clone(),
        };
        let is_csv = matches!(encode, Encode::Csv { .. });
        let mut definition = SourceDefinition { encode, ..SourceDefinition::clone(definition) };
        // What is masked already would be masked twice.
        definition.masking.fields.retain(|field| !beside.masked.contains(&field.name()));
        let buffer =
            RecordBuffer::new(&definition).map_err(|error| ReplayError::Source(error.to_string()))?;
        Ok(Self { buffer, is_csv, is_of_columns: beside.as_columns, unread: Vec::new() })
    }

    fn push(&mut self, kept: &Kept<'_>, beside: &Beside) -> Result<(), ReplayError> {
        if self.is_csv {
            match &beside.header {
                None => self.buffer.clear_header(),
                Some(line) => {
                    if let Err(reason) = self.buffer.set_header(line.as_bytes(), false) {
                        self.unread.push(Rejected {
                            partition: kept.record.partition.to_string(),
                            offset: kept.record.offset,
                            raw: kept.record.payload.to_vec(),
                            rule: "syntax",
                            reason,
                            source: kept.record.source.to_string(),
                            beside: Some(beside.clone()),
                        });
                        return Ok(());
                    }
                }
            }
        }
        beside.with(kept.record, |record| self.buffer.push(record));
        Ok(())
    }
}
