//! The thread that reads a topic.
//!
//! ```text
//!        ┌────────────────────────── topic gone, offset out of range, new partitions ─────┐
//!        ▼                                                                                │
//!   find the topic ──► place every partition (watermarks, verdict) ──► read ──────────────┘
//!     retried with backoff, reported                                     │ stop, error
//!                                                                        ▼
//! ```

use super::client::{self, Consumer, Topic, View};
use super::continuity::{Admission, Partition, Verdict, Watermarks, judge};
use super::pipeline::{Closed, Filled, Pipeline};
use super::settings::{OnLoss, Settings, Startup};
use super::trouble;
use crate::ingest::decode::{Record, RecordBuffer};
use crate::ingest::{Outlet, Position, Resume, SourceError};
use crate::ops::clock;
use crate::sql::{IncludeKind, SourceDefinition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Records in one batch, at most.
const BATCH_RECORDS_MAX: usize = 16_384;

/// Payload bytes in one batch; the record that passes it is the last.
const BATCH_BYTES_MAX: u64 = 8 << 20;

/// How long the first record of a batch waits for others.
const BATCH_AGE_MAX: Duration = Duration::from_millis(20);

/// How long the reader sleeps in librdkafka while nothing comes; a stop waits for it.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// How long log lines and errors that wait are served for.
const EVENTS_POLL: Duration = Duration::from_millis(20);

/// After how many records the clock and the stop are looked at when records come without a pause.
const RECORDS_PER_LOOK: usize = 256;

/// The first and the longest wait between tries.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// How long a trouble that was not explained is kept back: a slow handshake, a topic that is just being created.
const GRACE: Duration = Duration::from_secs(3);

/// How long a trouble must not have come again before it is taken back.
const CALM_AFTER: Duration = Duration::from_secs(2);

/// Reads one topic; see the module.
pub(super) struct Reader {
    definition: Arc<SourceDefinition>,
    settings: Settings,
    resume: Resume,
    outlet: Outlet,
    runtime: Handle,
    consumer: Consumer,
    pipeline: Pipeline,
    partitions: BTreeMap<i32, Partition>,
    /// The open batch.
    buffer: RecordBuffer,
    bytes: u64,
    oldest: Option<Instant>,
    /// Whether record headers are wanted: reading them costs.
    headers: bool,
    /// Since when a trouble lasts, if one does.
    trouble_since: Option<Instant>,
    /// When a trouble was last reported, until it is taken back.
    last_trouble: Option<Instant>,
}

/// Why a step did not end as hoped.
enum Halt {
    /// A stop was asked for, or the receiver of batches is gone.
    Stop,
    /// The topic must be found and placed anew.
    Again,
    /// For good.
    Failed(SourceError),
}

impl From<Closed> for Halt {
    fn from(_: Closed) -> Self {
        Halt::Stop
    }
}

impl From<SourceError> for Halt {
    fn from(error: SourceError) -> Self {
        Halt::Failed(error)
    }
}

impl Reader {
    /// A reader that continues where `resume` stands.
    pub(super) fn new(
        definition: Arc<SourceDefinition>,
        settings: Settings,
        resume: Resume,
        outlet: Outlet,
        runtime: Handle,
    ) -> Result<Self, SourceError> {
        let mut partitions = BTreeMap::new();
        for (name, next) in &resume.positions {
            let id = name.parse::<i32>().ok().filter(|id| *id >= 0);
            let id = id.ok_or_else(|| {
                SourceError::Fatal(format!(
                    "bronze holds a position of partition \"{name}\", which no topic has"
                ))
            })?;
            partitions.insert(id, Partition::new(id, Some(*next)));
        }
        let consumer = client::connect(&settings)?;
        let pipeline = Pipeline::start(&definition, outlet.clone(), runtime.clone())?;
        let buffer = pipeline
            .buffer()
            .map_err(|Closed| SourceError::Fatal("the decoder thread did not start".to_string()))?;
        let headers = definition.includes.iter().any(|i| matches!(i.kind, IncludeKind::Header(_)));
        Ok(Self {
            definition,
            settings,
            resume,
            outlet,
            runtime,
            consumer,
            pipeline,
            partitions,
            buffer,
            bytes: 0,
            oldest: None,
            headers,
            trouble_since: None,
            last_trouble: None,
        })
    }

    /// Reads until stopped or until the topic cannot be continued.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let halt = loop {
            match self.pass() {
                Halt::Again => {}
                halt => break halt,
            }
        };
        let outcome = match halt {
            Halt::Failed(error) => {
                // What was read before the trouble is good.
                let _ = self.flush();
                Err(error)
            }
            Halt::Stop | Halt::Again => Ok(()),
        };
        // A decoder that failed is why the reader was stopped.
        self.pipeline.finish().and(outcome)
    }

    /// Finds, places and reads the topic once.
    fn pass(&mut self) -> Halt {
        let Err(halt) = self.place().and_then(|()| self.read());
        halt
    }

    // ---- find and place ---------------------------------------------------------------------------------------

    /// Finds the topic and starts reading all of its partitions; repeats until that works.
    fn place(&mut self) -> Result<(), Halt> {
        // What librdkafka holds of an earlier pass is read again from the positions.
        let _ = self.consumer.unassign();
        let mut backoff = BACKOFF_FIRST;
        loop {
            match self.try_place() {
                Ok(()) => {
                    // Reported until leaders are seen connected; what comes now is another trouble.
                    self.trouble_since = None;
                    self.consumer.client().context().forget();
                    return Ok(());
                }
                Err(Misplaced::Halt(halt)) => return Err(halt),
                Err(Misplaced::Code(code)) => {
                    self.serve_events();
                    self.unplaced(code);
                }
                Err(Misplaced::Text(text)) => self.trouble(&text),
            }
            self.sleep(backoff)?;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn try_place(&mut self) -> Result<(), Misplaced> {
        self.check_stop()?;
        let ids = match client::topic(&self.consumer, &self.settings)? {
            Topic::Partitions(ids) => ids,
            Topic::Trouble(code) => return Err(code.into()),
        };
        if let Some(missing) = self.partitions.keys().find(|id| !ids.contains(id)) {
            return Err(Halt::Failed(self.recreated(&format!(
                "partition {missing} was read before and the topic now has {} partitions",
                ids.len()
            )))
            .into());
        }
        let first = self.partitions.is_empty();
        let mut starts = Vec::with_capacity(ids.len());
        for id in ids {
            self.check_stop()?;
            let marks = client::watermarks(&self.consumer, &self.settings, id)?;
            let next = (first && self.settings.startup == Startup::Latest).then_some(marks.high);
            let mut partition = match self.partitions.remove(&id) {
                Some(partition) => partition,
                None => Partition::new(id, next),
            };
            let start = self.start_of(&mut partition, marks);
            self.partitions.insert(id, partition);
            starts.push((id, start?));
        }
        client::assign(&self.consumer, &self.settings, &starts)?;
        if first && self.settings.startup == Startup::Latest {
            self.pin()?;
        }
        self.report_lag();
        Ok(())
    }

    /// Where a partition's reading starts, if its log is still the one that was read.
    fn start_of(
        &mut self,
        partition: &mut Partition,
        marks: Watermarks,
    ) -> Result<rdkafka::Offset, Misplaced> {
        let Some(next) = partition.next else {
            partition.restart(marks, false);
            return Ok(rdkafka::Offset::Beginning);
        };
        if !partition.knows_last()
            && next > 0
            && let Some(past) = self.resume.past.clone()
        {
            let raw = self.runtime.block_on(past.raw_at(&partition.name, next - 1));
            match raw {
                Ok(Some(raw)) => partition.set_last(raw),
                Ok(None) => {}
                Err(error) => {
                    return Err(Misplaced::Text(format!(
                        "could not read record {} of partition {} back from {}: {error}",
                        next - 1,
                        partition.name,
                        self.definition.name
                    )));
                }
            }
        }
        let verdict = judge(marks, next, partition.knows_last());
        partition.restart(marks, verdict == Verdict::Compare);
        match verdict {
            Verdict::Continue => Ok(rdkafka::Offset::Offset(next)),
            Verdict::Compare => Ok(rdkafka::Offset::Offset(next - 1)),
            Verdict::Lost { wanted, earliest } => {
                let lost = self.lost(partition.id, wanted, earliest);
                if self.settings.on_loss == OnLoss::Error {
                    return Err(Halt::Failed(lost).into());
                }
                tracing::warn!(source = %self.definition.name, "{lost}; reading goes on there");
                partition.skip_to(earliest);
                Ok(rdkafka::Offset::Offset(earliest))
            }
            Verdict::Shorter { wanted, end } => Err(Halt::Failed(self.recreated(&format!(
                "partition {} ends at offset {end}, and bronze holds its records up to {}",
                partition.id,
                wanted - 1
            )))
            .into()),
        }
    }

    /// Makes the offsets of `scan.startup.mode = 'latest'` durable before anything is read, so that a restart does not
    /// skip what comes meanwhile.
    fn pin(&mut self) -> Result<(), Halt> {
        for partition in self.partitions.values_mut() {
            partition.touched = true;
        }
        self.flush()
    }

    fn unplaced(&mut self, code: Code) {
        let cause = self.consumer.client().context().cause();
        let since = *self.trouble_since.get_or_insert_with(clock::instant);
        if let Some(cause) = cause.filter(|_| trouble::weight(code) < 2) {
            self.trouble(&cause);
        } else if self.last_trouble.is_some() || clock::instant().duration_since(since) >= GRACE {
            let text = trouble::describe(&self.settings, code, &code.to_string());
            self.trouble(&text);
        }
    }

    // ---- read -------------------------------------------------------------------------------------------------

    /// Reads until something other than records comes.
    fn read(&mut self) -> Result<std::convert::Infallible, Halt> {
        let mut looks = 0;
        loop {
            // Records that librdkafka holds already cost no wait; only then is the clock read.
            let polled = self.consumer.poll(Duration::ZERO);
            let message = match polled {
                Some(outcome) => Some(outcome),
                None => {
                    self.between_records()?;
                    self.consumer.poll(self.patience())
                }
            };
            match message {
                Some(Ok(message)) => {
                    // The message borrows the consumer; taking it needs only the other fields.
                    let taken = take(
                        &message,
                        self.headers,
                        &self.settings.topic,
                        &mut self.partitions,
                        &mut self.buffer,
                    );
                    match taken {
                        Taken::Bytes(bytes) => {
                            self.bytes += bytes;
                            if self.oldest.is_none() {
                                self.oldest = Some(clock::instant());
                            }
                        }
                        Taken::Nothing => {}
                        Taken::Alien { partition, offset } => {
                            return Err(Halt::Failed(self.recreated(&format!(
                                "record {offset} of partition {partition} is not the one that bronze holds"
                            ))));
                        }
                    }
                    if self.buffer.len() >= BATCH_RECORDS_MAX || self.bytes >= BATCH_BYTES_MAX {
                        drop(message);
                        self.flush()?;
                    }
                    looks += 1;
                    if looks % RECORDS_PER_LOOK == 0 {
                        self.between_records()?;
                    }
                }
                Some(Err(error)) => self.judge_error(error)?,
                None => {}
            }
        }
    }

    /// How long the reader may sleep.
    fn patience(&self) -> Duration {
        match self.oldest {
            // A timeout below librdkafka's millisecond would spin.
            Some(oldest) => {
                BATCH_AGE_MAX.saturating_sub(clock::instant() - oldest).max(Duration::from_millis(1))
            }
            None => IDLE_POLL,
        }
    }

    /// What is due when no record is at hand, or after many.
    fn between_records(&mut self) -> Result<(), Halt> {
        self.check_stop()?;
        if let Some(oldest) = self.oldest
            && clock::instant() - oldest >= BATCH_AGE_MAX
        {
            self.flush()?;
        }
        if let Some(words) = self.consumer.client().context().made_anew() {
            tracing::debug!(source = %self.definition.name, "{words}");
            return Err(Halt::Failed(self.recreated("it got a new identity while it was read")));
        }
        if let Some(view) = self.consumer.client().context().view() {
            self.heed(&view)?;
        }
        Ok(())
    }

    /// Draws lag, health and new partitions from statistics.
    fn heed(&mut self, view: &View) -> Result<(), Halt> {
        for (id, seen) in &view.partitions {
            match self.partitions.get_mut(id) {
                Some(partition) => partition.marks.high = partition.marks.high.max(seen.high),
                None => {
                    self.flush()?;
                    return Err(Halt::Again);
                }
            }
        }
        self.report_lag();
        let up = self.partitions.keys().all(|id| view.partitions.get(id).is_some_and(|seen| seen.up));
        if up {
            self.calm();
        } else {
            let since = *self.trouble_since.get_or_insert_with(clock::instant);
            if clock::instant() - since >= GRACE {
                let text = self.consumer.client().context().cause().unwrap_or_else(|| {
                    trouble::describe(
                        &self.settings,
                        Code::BrokerTransportFailure,
                        "a partition's leader is not connected",
                    )
                });
                self.trouble(&text);
            }
        }
        Ok(())
    }

    fn judge_error(&mut self, error: KafkaError) -> Result<(), Halt> {
        if let KafkaError::PartitionEOF(id) = error {
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.at_end = true;
            }
            return Ok(());
        }
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let code = client::code_of(error);
        match code {
            _ if fatal => Err(Halt::Failed(SourceError::Fatal(trouble::describe(
                &self.settings,
                code,
                &code.to_string(),
            )))),
            Code::AutoOffsetReset
            | Code::OffsetOutOfRange
            | Code::LogTruncation
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic => {
                self.flush()?;
                Err(Halt::Again)
            }
            Code::TopicAuthorizationFailed => {
                // librdkafka does not ask again by itself.
                self.flush()?;
                self.trouble(&trouble::describe(&self.settings, code, &code.to_string()));
                self.sleep(BACKOFF_MAX)?;
                self.last_trouble = Some(clock::instant());
                Err(Halt::Again)
            }
            Code::AllBrokersDown | Code::Authentication | Code::SaslAuthenticationFailed => {
                if let Some(cause) = self.consumer.client().context().cause() {
                    self.trouble(&cause);
                }
                Ok(())
            }
            // Noted by the observer; statistics tell whether it lasts.
            Code::BrokerTransportFailure | Code::OperationTimedOut | Code::Resolve | Code::SSL => Ok(()),
            _ if trouble::harmless(code) => Ok(()),
            _ => {
                let text = trouble::describe(&self.settings, code, &code.to_string());
                self.trouble(&text);
                Ok(())
            }
        }
    }

    /// Sends the open batch, if it holds anything.
    fn flush(&mut self) -> Result<(), Halt> {
        let positions: Vec<Position> = self
            .partitions
            .values_mut()
            .filter_map(|p| std::mem::take(&mut p.touched).then_some(p))
            .filter_map(|p| p.next.map(|next| Position { partition: p.name.clone(), next }))
            .collect();
        self.oldest = None;
        if positions.is_empty() {
            return Ok(());
        }
        let empty = self.pipeline.buffer()?;
        let buffer = std::mem::replace(&mut self.buffer, empty);
        let bytes = std::mem::take(&mut self.bytes);
        Ok(self.pipeline.send(Filled { buffer, positions, bytes })?)
    }

    // ---- around -----------------------------------------------------------------------------------------------

    /// Lets callbacks run while nothing is assigned that could give records.
    fn serve_events(&mut self) {
        // Without a timeout a poll ends after a single log line.
        while self.consumer.poll(EVENTS_POLL).is_some() {}
    }

    fn check_stop(&self) -> Result<(), Halt> {
        if self.outlet.stop.is_cancelled() || self.outlet.batches.is_closed() {
            return Err(Halt::Stop);
        }
        Ok(())
    }

    fn sleep(&self, duration: Duration) -> Result<(), Halt> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.outlet.stop.cancelled() => Err(Halt::Stop),
                () = tokio::time::sleep(duration) => Ok(()),
            }
        })
    }

    fn trouble(&mut self, text: &str) {
        self.trouble_since.get_or_insert_with(clock::instant);
        self.last_trouble = Some(clock::instant());
        self.outlet.reporter.trouble(text);
    }

    /// Every leader is connected: a trouble that did not come again lately is over.
    fn calm(&mut self) {
        match self.last_trouble {
            Some(last) if clock::instant() - last < CALM_AFTER => return,
            Some(_) => self.outlet.reporter.healthy(),
            None => {}
        }
        self.last_trouble = None;
        self.trouble_since = None;
        self.consumer.client().context().forget();
    }

    fn report_lag(&self) {
        self.outlet.reporter.lag_records(self.partitions.values().map(Partition::lag).sum());
    }

    fn lost(&self, partition: i32, wanted: i64, earliest: i64) -> SourceError {
        SourceError::OffsetsLost(format!(
            "topic \"{}\" partition {partition}: record {wanted} is the next one, and the oldest one left is {earliest}; \
             {} records were removed by retention before they were read. To go on without them set on_loss = 'earliest' \
             in {}, and raise retention.ms of the topic",
            self.settings.topic,
            earliest - wanted,
            self.definition.name
        ))
    }

    fn recreated(&self, found: &str) -> SourceError {
        SourceError::TopicRecreated(format!(
            "topic \"{}\" at {} is not the one that {} was read from: {found}. Restore the old topic, or read the new \
             one into a source of another name",
            self.settings.topic,
            self.settings.brokers(),
            self.definition.name
        ))
    }
}

/// Why partitions could not be placed.
enum Misplaced {
    Halt(Halt),
    Code(Code),
    Text(String),
}

impl From<Halt> for Misplaced {
    fn from(halt: Halt) -> Self {
        Misplaced::Halt(halt)
    }
}

impl From<Code> for Misplaced {
    fn from(code: Code) -> Self {
        Misplaced::Code(code)
    }
}

/// What became of a message.
enum Taken {
    /// Copied: so many payload bytes.
    Bytes(u64),
    /// It was taken before, or its partition is not read.
    Nothing,
    /// It stands where another record was taken.
    Alien { partition: i32, offset: i64 },
}

fn take(
    message: &BorrowedMessage<'_>,
    with_headers: bool,
    topic: &str,
    partitions: &mut BTreeMap<i32, Partition>,
    buffer: &mut RecordBuffer,
) -> Taken {
    let (id, offset) = (message.partition(), message.offset());
    let payload = message.payload().unwrap_or_default();
    let Some(partition) = partitions.get_mut(&id) else {
        return Taken::Nothing;
    };
    match partition.admit(offset, payload) {
        Admission::Take => {}
        Admission::Skip => return Taken::Nothing,
        Admission::Alien => return Taken::Alien { partition: id, offset },
    }
    let headers: Vec<(&str, &[u8])> = match message.headers() {
        Some(headers) if with_headers => {
            headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
        }
        _ => Vec::new(),
    };
    buffer.push(&Record {
        payload,
        source: topic,
        partition: &partition.name,
        offset,
        key: message.key(),
        timestamp_us: message.timestamp().to_millis().map(|ms| ms.saturating_mul(1000)),
        headers: &headers,
    });
    Taken::Bytes(payload.len() as u64)
}
