//! The HTTP source: records are pushed (also as columns, over Flight SQL), and the reply comes when they are durable.
//!
//! Comes in: pushes through an [`Inbox`]. Goes out: one batch a push, so that a push is committed whole or not at all.
//!
//! Guarantee: with a channel and a token a push is taken exactly once. A channel's tokens grow; a token that is not
//! above the last one taken is a duplicate, and is answered as one when what it repeats is durable. A channel's sender
//! sends one push at a time, and repeats it until it is answered. Without a channel a push is at least once.
//!
//! Position: the partition is the channel, `next` the last token taken. Rows have the channel as `_partition` and
//! `token * 1,000,000 + the record's number in the push` as `_offset`, so that positions grow as records come and none
//! is given twice; a push without channel has a partition of its own, `anonymous-` and a UUID, and numbers from 0.
//! Failure: pushes beyond the limits are answered [`PushOutcome::Busy`], pushes that can never be taken
//! [`PushOutcome::Refused`], records that are no rows go to quarantine as everywhere.

mod rows;

use super::decode::split::{Piece, RECORD_BYTES_MAX, Shape, Splitter};
use super::decode::{Decoded, Record, RecordBuffer, is_one_json_value};
use super::{
    Batch, Body, Committed, Inbox, Outlet, Position, Push, PushOutcome, Reporter, Resume, Source,
    SourceError, TurnedAway,
};
use crate::sql::{ColumnDefinition, Encode, SourceDefinition};
use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, Shared};
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

/// Pushes that may wait to become durable.
pub const QUEUE_PUSHES_MAX: usize = 1_024;
/// Bytes of all pushes that may wait to become durable.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Records of one push: what fits between the offsets of two tokens.
pub const PUSH_RECORDS_MAX: i64 = 1_000_000;
/// The largest token, so that a token's offsets can be counted. Milliseconds since 1970 fit until the year 2262.
pub const TOKEN_MAX: i64 = i64::MAX / PUSH_RECORDS_MAX - 1;
/// Bytes of a channel's name.
pub const CHANNEL_BYTES_MAX: usize = 256;

/// `_source` of what is pushed.
const SOURCE: &str = "http";
/// What names of channels must not start with.
const ANONYMOUS: &str = "anonymous-";
/// Above this a push is decoded beside the async threads, which must not be held up.
const DECODE_INLINE_BYTES_MAX: usize = 64 << 10;

/// Takes what is pushed to `POST /ingest/<source>`.
pub struct HttpSource {
    definition: Arc<SourceDefinition>,
    door: Arc<Door>,
    pushes: mpsc::Receiver<Queued>,
}

/// The side of an HTTP source that pushes come to.
struct Door {
    definition: Arc<SourceDefinition>,
    queue: mpsc::Sender<Queued>,
    pushes: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    state: Mutex<State>,
    /// True once the source has run.
    settled: watch::Sender<bool>,
    /// Who is told of pushes that were not taken, once the source runs.
    reporter: OnceLock<Arc<dyn Reporter>>,
}

#[derive(Debug)]
enum State {
    /// What is durable is not known yet, or not any more; why.
    Closed(String),
    Open(HashMap<String, Channel>),
}

/// A channel's last push that was sent on.
#[derive(Clone, Debug)]
struct Channel {
    token: i64,
    /// `None` when it was durable at the start.
    durable: Option<Durable>,
}

/// Resolves when a push is durable, to where; to nothing if it never will be. Every duplicate waits for the same.
type Durable = Shared<BoxFuture<'static, Option<Committed>>>;

/// A decoded push in the queue.
#[derive(Debug)]
struct Queued {
    channel: Option<(String, i64)>,
    decoded: Decoded,
    bytes: u64,
    reply: oneshot::Sender<Sequenced>,
    room: Room,
}

/// What the source makes of a push.
#[derive(Debug)]
struct Sequenced {
    durable: Option<Durable>,
    duplicate: bool,
}

/// A push's share of the limits, given back when it is durable.
#[derive(Debug)]
struct Room {
    _push: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl HttpSource {
    /// A source and its inbox, which is closed until the source runs.
    pub fn new(definition: Arc<SourceDefinition>) -> Result<(Self, Arc<dyn Inbox>), SourceError> {
        // What no record can be read as is an error now, not at the first push.
        RecordBuffer::new(&definition)?;
        let (queue, pushes) = mpsc::channel(QUEUE_PUSHES_MAX);
        let door = Arc::new(Door {
            definition: Arc::clone(&definition),
            queue,
            pushes: Arc::new(Semaphore::new(QUEUE_PUSHES_MAX)),
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            state: Mutex::new(State::Closed(format!("source {} is starting", definition.name))),
            settled: watch::Sender::new(false),
            reporter: OnceLock::new(),
        });
        let source = Self { definition, door: Arc::clone(&door), pushes };
        Ok((source, door))
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn run(mut self: Box<Self>, resume: Resume, outlet: Outlet) -> Result<(), SourceError> {
        // Closes the door however this ends.
        let _closing = Closing { door: Arc::clone(&self.door) };
        self.door.reporter.get_or_init(|| Arc::clone(&outlet.reporter));
        self.door.open(&resume.positions);
        outlet.reporter.healthy();
        outlet.reporter.lag_records(0);
        let mut waiting = FuturesUnordered::new();
        loop {
            let queued = tokio::select! {
                biased;
                () = outlet.stop.cancelled() => return Ok(()),
                Some(durable) = waiting.next(), if !waiting.is_empty() => {
                    if durable {
                        continue;
                    }
                    // Later tokens of its channel must not be taken before this one: only a new start knows where
                    // the channel stands.
                    let name = &self.definition.name;
                    return Err(SourceError::Fatal(format!("source {name}: a push could not be committed")));
                }
                queued = self.pushes.recv() => match queued {
                    Some(queued) => queued,
                    None => return Ok(()),
                },
            };
            let Some((batch, durable, room)) = self.door.sequence(queued) else { continue };
            waiting.push(async move {
                let durable = durable.await.is_some();
                drop(room);
                durable
            });
            tokio::select! {
                biased;
                () = outlet.stop.cancelled() => return Ok(()),
                sent = outlet.batches.send(batch) => if sent.is_err() { return Ok(()) },
            }
        }
    }
}

struct Closing {
    door: Arc<Door>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let reason = format!("source {} is stopped", self.door.definition.name);
        *self.door.state.lock() = State::Closed(reason);
        self.door.settled.send_replace(true);
    }
}

#[async_trait]
impl Inbox for Door {
    async fn push(&self, push: Push) -> PushOutcome {
        let (Ok(outcome) | Err(outcome)) = self.take(push).await;
        match &outcome {
            PushOutcome::Busy => self.turned_away(TurnedAway::Limit),
            PushOutcome::Refused(why) => self.turned_away(TurnedAway::Refused(why)),
            PushOutcome::Taken { .. } | PushOutcome::Stopped(_) => {}
        }
        outcome
    }

    fn turned_away(&self, why: TurnedAway<'_>) {
        let Some(reporter) = self.reporter.get() else { return };
        match why {
            TurnedAway::Limit => reporter.limited(),
            TurnedAway::Refused(why) => reporter.load_failed(&format!("push refused: {why}")),
        }
    }

    fn columns(&self) -> &[ColumnDefinition] {
        &self.definition.columns
    }

    async fn settled(&self) {
        // The sender is this door's own: it outlives the wait.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }
}

impl Door {
    fn open(&self, positions: &BTreeMap<String, i64>) {
        let channel =
            |(name, token): (&String, &i64)| (name.clone(), Channel { token: *token, durable: None });
        *self.state.lock() = State::Open(positions.iter().map(channel).collect());
        self.settled.send_replace(true);
    }

    /// Decodes a push, hands it on and waits until it is durable; early answers are `Err`.
    async fn take(&self, push: Push) -> Result<PushOutcome, PushOutcome> {
        let Push { channel, body } = push;
        let size = body.bytes();
        check(channel.as_ref(), size).map_err(PushOutcome::Refused)?;
        if let Some(last) = self.repeated(channel.as_ref())? {
            return Ok(self.duplicate(last).await);
        }
        let room = self.room(size)?;
        let bytes = u64::try_from(size).unwrap_or(u64::MAX);
        let decoded = self.decode(channel.clone(), body).await?;
        let counted = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (rows, rejected) = (counted(decoded.rows.num_rows()), counted(decoded.rejected.len()));
        let (reply, sequenced) = oneshot::channel();
        let queued = Queued { channel, decoded, bytes, reply, room };
        self.queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PushOutcome::Busy,
            mpsc::error::TrySendError::Closed(_) => self.closed(),
        })?;
        let Sequenced { durable, duplicate } = sequenced.await.map_err(|_| self.closed())?;
        if duplicate {
            return Ok(self.duplicate(durable).await);
        }
        let committed = match durable {
            Some(durable) => durable.await,
            None => None,
        };
        match committed {
            Some(committed) => Ok(PushOutcome::Taken { rows, rejected, committed: Some(committed) }),
            None => Err(self.closed()),
        }
    }

    /// The channel's last push if this one repeats it or an earlier one.
    fn repeated(&self, push: Option<&(String, i64)>) -> Result<Option<Option<Durable>>, PushOutcome> {
        match (&*self.state.lock(), push) {
            (State::Closed(why), _) => Err(PushOutcome::Stopped(why.clone())),
            (State::Open(channels), Some((name, token))) => {
                Ok(channels.get(name).filter(|last| *token <= last.token).map(|last| last.durable.clone()))
            }
            (State::Open(_), None) => Ok(None),
        }
    }

    /// Answers a duplicate when what it repeats is durable: the channel's last push, hence all before it.
    async fn duplicate(&self, last: Option<Durable>) -> PushOutcome {
        if let Some(last) = last
            && last.await.is_none()
        {
            return self.closed();
        }
        PushOutcome::Taken { rows: 0, rejected: 0, committed: None }
    }

    fn closed(&self) -> PushOutcome {
        PushOutcome::Stopped(match &*self.state.lock() {
            State::Closed(why) => why.clone(),
            State::Open(_) => format!("source {} could not commit the push", self.definition.name),
        })
    }

    fn room(&self, bytes: usize) -> Result<Room, PushOutcome> {
        let bytes = u32::try_from(bytes).map_err(|_| PushOutcome::Busy)?;
        let push = Arc::clone(&self.pushes).try_acquire_owned().map_err(|_| PushOutcome::Busy)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).map_err(|_| PushOutcome::Busy)?;
        Ok(Room { _push: push, _bytes: bytes })
    }

    async fn decode(&self, channel: Option<(String, i64)>, body: Body) -> Result<Decoded, PushOutcome> {
        let place = Place::of(channel);
        if body.bytes() <= DECODE_INLINE_BYTES_MAX {
            return decode(&self.definition, &place, &body);
        }
        let definition = Arc::clone(&self.definition);
        let work = tokio::task::spawn_blocking(move || decode(&definition, &place, &body));
        work.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Gives a push its place in its channel; a duplicate is answered, not passed on.
    fn sequence(&self, queued: Queued) -> Option<(Batch, Durable, Room)> {
        let Queued { channel, decoded, bytes, reply, room } = queued;
        let mut state = self.state.lock();
        let State::Open(channels) = &mut *state else { return None };
        if let Some((name, token)) = &channel
            && let Some(last) = channels.get(name).filter(|last| *token <= last.token)
        {
            // Nobody waits for an answer any more if this fails.
            let _ = reply.send(Sequenced { durable: last.durable.clone(), duplicate: true });
            return None;
        }
        let (acknowledge, committed) = oneshot::channel();
        let durable: Durable = async move { committed.await.ok() }.boxed().shared();
        let positions = match channel {
            None => Vec::new(),
            Some((name, token)) => {
                channels.insert(name.clone(), Channel { token, durable: Some(durable.clone()) });
                vec![Position { partition: name, next: token }]
            }
        };
        let _ = reply.send(Sequenced { durable: Some(durable.clone()), duplicate: false });
        let Decoded { rows, rejected } = decoded;
        let batch =
            Batch { rows, rejected, positions, files: Vec::new(), bytes, acknowledge: Some(acknowledge) };
        Some((batch, durable, room))
    }
}

/// Refuses what can never be taken.
fn check(channel: Option<&(String, i64)>, bytes: usize) -> Result<(), String> {
    if bytes > QUEUE_BYTES_MAX {
        return Err(format!("the push is larger than {QUEUE_BYTES_MAX} bytes"));
    }
    let Some((name, token)) = channel else { return Ok(()) };
    if name.is_empty() || name.len() > CHANNEL_BYTES_MAX {
        return Err(format!("a channel's name has 1 to {CHANNEL_BYTES_MAX} bytes"));
    }
    if name.starts_with(ANONYMOUS) {
        return Err(format!("a channel's name must not start with \"{ANONYMOUS}\""));
    }
    if !(0..=TOKEN_MAX).contains(token) {
        return Err(format!("a token is a number from 0 to {TOKEN_MAX}, not {token}"));
    }
    Ok(())
}

/// Where the records of a push stand.
struct Place {
    partition: String,
    /// The offset of the first.
    first: i64,
}

impl Place {
    fn of(channel: Option<(String, i64)>) -> Self {
        match channel {
            Some((partition, token)) => Self { partition, first: token * PUSH_RECORDS_MAX },
            None => Self { partition: format!("{ANONYMOUS}{}", uuid::Uuid::new_v4()), first: 0 },
        }
    }
}

fn decode(definition: &SourceDefinition, place: &Place, body: &Body) -> Result<Decoded, PushOutcome> {
    match body {
        Body::Text(text) => decode_text(definition, place, text),
        Body::Rows(batch) => rows::decode(definition, place, batch).map_err(PushOutcome::Refused),
    }
}

/// Decodes a push: one JSON object, an array of them, NDJSON, or CSV lines. With `header`, a first line in which every
/// field is a column's name is the header of the lines behind it; without one, fields go by position.
fn decode_text(definition: &SourceDefinition, place: &Place, body: &[u8]) -> Result<Decoded, PushOutcome> {
    let failed = |error: SourceError| PushOutcome::Stopped(error.to_string());
    let mut buffer = RecordBuffer::new(definition).map_err(failed)?;
    let mut records =
        Records { buffer: &mut buffer, partition: &place.partition, first: place.first, count: 0 };
    match definition.encode {
        Encode::Csv { delimiter, header } => records.push_all(body, Shape::Csv { delimiter }, header)?,
        _ if is_one_json_value(body) && body.trim_ascii_start().first() != Some(&b'[') => {
            records.push(body)?
        }
        _ => records.push_all(body, Shape::Json, false)?,
    }
    if records.count == 0 {
        return Err(PushOutcome::Refused("the push holds no record".to_string()));
    }
    buffer.finish().map_err(failed)
}

/// The records of a push on their way into a buffer.
struct Records<'a> {
    buffer: &'a mut RecordBuffer,
    partition: &'a str,
    first: i64,
    count: i64,
}

impl Records<'_> {
    fn push_all(&mut self, body: &[u8], shape: Shape, mut header: bool) -> Result<(), PushOutcome> {
        let mut splitter = Splitter::new(body, shape);
        // Reading from memory does not fail.
        while let Ok(Some(piece)) = splitter.next() {
            match piece {
                Piece::Record(line) if header && self.buffer.set_header(line, true).is_ok() => {}
                Piece::Record(record) => self.push(record)?,
                Piece::Fragment(bytes, why) => self.refuse(bytes, "syntax", why.to_string())?,
                Piece::TooLong(head) => {
                    let reason = format!(
                        "the record is longer than {RECORD_BYTES_MAX} bytes; only its head is kept here"
                    );
                    self.refuse(head, "size", reason)?;
                }
            }
            header = false;
        }
        Ok(())
    }

    fn push(&mut self, payload: &[u8]) -> Result<(), PushOutcome> {
        let offset = self.next_offset()?;
        self.buffer.push(&record(payload, self.partition, offset));
        Ok(())
    }

    fn refuse(&mut self, payload: &[u8], rule: &'static str, reason: String) -> Result<(), PushOutcome> {
        let offset = self.next_offset()?;
        self.buffer.refuse(&record(payload, self.partition, offset), rule, reason);
        Ok(())
    }

    fn next_offset(&mut self) -> Result<i64, PushOutcome> {
        if self.count == PUSH_RECORDS_MAX {
            return Err(PushOutcome::Refused(format!("the push holds more than {PUSH_RECORDS_MAX} records")));
        }
        self.count += 1;
        Ok(self.first + self.count - 1)
    }
}

fn record<'a>(payload: &'a [u8], partition: &'a str, offset: i64) -> Record<'a> {
    Record { payload, source: SOURCE, partition, offset, key: None, timestamp_us: None, headers: &[] }
}

#[cfg(test)]
mod tests;
