//! The open batch: records copied out of librdkafka, and where their partitions stand behind them.

use super::continuity::{Admission, Partition};
use super::pipeline::{Closed, Filled, Pipeline};
use crate::ingest::decode::{Record, RecordBuffer};
use crate::ingest::{Position, SourceError};
use crate::ops::clock;
use crate::sql::{IncludeKind, SourceDefinition};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Records in one batch, at most.
const BATCH_RECORDS_MAX: usize = 16_384;

/// Payload bytes in one batch; the record that passes it is the last.
const BATCH_BYTES_MAX: u64 = 8 << 20;

/// How long the first record of a batch waits for others.
const BATCH_AGE_MAX: Duration = Duration::from_millis(20);

/// See the module.
pub(super) struct Intake {
    /// Every partition that is read.
    pub(super) partitions: BTreeMap<i32, Partition>,
    topic: String,
    buffer: RecordBuffer,
    bytes: u64,
    oldest: Option<Instant>,
    /// Whether record headers are wanted: reading them costs.
    headers: bool,
}

/// What became of a message.
pub(super) enum Taken {
    /// It is in the batch, or was taken before.
    Done,
    /// It is in the batch, which is full.
    Full,
    /// It stands where another record was taken.
    Alien {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
}

impl Intake {
    /// An empty batch behind these positions.
    pub(super) fn new(
        definition: &SourceDefinition,
        topic: &str,
        positions: &BTreeMap<String, i64>,
        buffer: RecordBuffer,
    ) -> Result<Self, SourceError> {
        let mut partitions = BTreeMap::new();
        for (name, next) in positions {
            let id = name.parse::<i32>().ok().filter(|id| *id >= 0).ok_or_else(|| {
                SourceError::Fatal(format!(
                    "bronze holds a position of partition \"{name}\", which no topic has"
                ))
            })?;
            partitions.insert(id, Partition::new(id, Some(*next)));
        }
        let headers = definition.includes.iter().any(|i| matches!(i.kind, IncludeKind::Header(_)));
        Ok(Self { partitions, topic: topic.to_string(), buffer, bytes: 0, oldest: None, headers })
    }

    /// Copies a message in, if it is new.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) -> Taken {
        let (id, offset) = (message.partition(), message.offset());
        let payload = message.payload().unwrap_or_default();
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Taken::Done;
        };
        match partition.admit(offset, payload) {
            Admission::Take => {}
            Admission::Skip => return Taken::Done,
            Admission::Alien => return Taken::Alien { partition: id, offset },
        }
        let headers: Vec<(&str, &[u8])> = match message.headers() {
            Some(headers) if self.headers => {
                headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
            }
            _ => Vec::new(),
        };
        self.buffer.push(&Record {
            payload,
            source: &self.topic,
            partition: &partition.name,
            offset,
            key: message.key(),
            timestamp_us: message.timestamp().to_millis().map(|ms| ms.saturating_mul(1000)),
            headers: &headers,
        });
        self.bytes += payload.len() as u64;
        if self.oldest.is_none() {
            self.oldest = Some(clock::instant());
        }
        if self.buffer.len() >= BATCH_RECORDS_MAX || self.bytes >= BATCH_BYTES_MAX {
            Taken::Full
        } else {
            Taken::Done
        }
    }

    /// How long the batch may stay open; `None` while it is empty.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.oldest.map(|oldest| BATCH_AGE_MAX.saturating_sub(clock::instant() - oldest))
    }

    /// Hands the batch on, if there is anything to make durable.
    pub(super) fn flush(&mut self, pipeline: &Pipeline) -> Result<(), Closed> {
        let touched =
            self.partitions.values_mut().filter_map(|p| std::mem::take(&mut p.touched).then_some(p));
        let positions: Vec<Position> =
            touched.filter_map(|p| p.next.map(|next| Position { partition: p.name.clone(), next })).collect();
        self.oldest = None;
        if positions.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::replace(&mut self.buffer, pipeline.buffer()?);
        let bytes = std::mem::take(&mut self.bytes);
        pipeline.send(Filled { buffer, positions, bytes })
    }

    /// Records that stand in the topic and were not taken.
    pub(super) fn lag(&self) -> i64 {
        self.partitions.values().map(Partition::lag).sum()
    }
}
