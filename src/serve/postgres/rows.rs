//! Rows on their way to a client: some at a time, never all.
//!
//! Where all are wanted, large batches are encoded beside each other and beside the query, and sent in their order.

use super::encode::{Encoder, Format, Style};
use super::outbox::Outbox;
use super::types::{self, Column};
use crate::serve::{Error, RowStream};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::BytesMut;
use futures::future::{Either, ready};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{FieldDescription, RowDescription};
use std::pin::pin;
use std::sync::Arc;

/// Rows gather to this size before they are written to the socket.
const FLUSH_BYTES: usize = 64 << 10;

/// Batches that are encoded while another is sent.
const BATCHES_AHEAD: usize = 2;
/// Batches of fewer rows are encoded where they are sent: sooner than another task has begun.
const APART_ROWS_MIN: usize = 1_024;
/// What is encoded of a batch ahead of its time; rows may be wide.
const AHEAD_BYTES_MAX: usize = 4 << 20;

/// The rows of an answer that have not been sent yet.
pub(super) struct Rows {
    shape: Shape,
    rows: RowStream,
    /// What is left of the batch that came last.
    batch: Option<RecordBatch>,
}

/// What an answer's rows look like.
#[derive(Clone)]
struct Shape {
    columns: Arc<[Column]>,
    formats: Arc<[Format]>,
    style: Style,
}

impl Shape {
    fn encoder(&self, batch: &RecordBatch) -> Result<Encoder, Error> {
        Encoder::new(batch, &self.columns, &self.formats, self.style)
    }

    /// A batch as messages, as far as is done ahead; where a row fails, those before it.
    fn encode(&self, batch: RecordBatch) -> Encoded {
        let mut bytes = BytesMut::new();
        let written = self.encoder(&batch).and_then(|encoder| {
            let mut row = 0;
            while row < batch.num_rows() && bytes.len() < AHEAD_BYTES_MAX {
                encoder.write(row, &mut bytes)?;
                row += 1;
            }
            Ok(row)
        });
        let rest = written.map(|rows| (rows as u64, batch.slice(rows, batch.num_rows() - rows)));
        Encoded { bytes, rest }
    }

    /// The same, begun at once, beside what goes on here when it is large.
    fn encoding(&self, batch: RecordBatch) -> impl Future<Output = Encoded> + use<> {
        let shape = self.clone();
        let rows = batch.num_rows();
        let encode = move || shape.encode(batch);
        match rows < APART_ROWS_MIN {
            true => Either::Left(ready(encode())),
            false => Either::Right(tokio::spawn(async move { encode() }).map(|encoded| {
                let stopped = |_| Error::new("57P01", "the server is going down");
                encoded.unwrap_or_else(|error| Encoded { bytes: BytesMut::new(), rest: Err(stopped(error)) })
            })),
        }
    }
}

/// Messages of a batch, how many rows they are and which are left; or why the next of them is not there.
struct Encoded {
    bytes: BytesMut,
    rest: Result<(u64, RecordBatch), Error>,
}

/// How far sending got.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) rows: u64,
    /// Whether there are no more.
    pub(super) all: bool,
}

impl Rows {
    /// Rows of a schema. `formats` has one format for each column.
    pub(super) fn new(schema: &Schema, rows: RowStream, formats: Vec<Format>, style: Style) -> Self {
        let columns = schema.fields().iter().map(|field| types::column(field)).collect();
        Self { shape: Shape { columns, formats: formats.into(), style }, rows, batch: None }
    }

    /// Sends at most `rows_max` rows.
    pub(super) async fn send(
        &mut self,
        outbox: &mut Outbox,
        rows_max: Option<u64>,
    ) -> Result<Sent, SendFailure> {
        match rows_max {
            Some(_) => self.send_as(outbox, rows_max, Encoder::write).await,
            None => self.send_all(outbox).await,
        }
    }

    async fn send_all(&mut self, outbox: &mut Outbox) -> Result<Sent, SendFailure> {
        let shape = &self.shape;
        let left = stream::iter(self.batch.take().map(Ok));
        let encoded = left.chain(&mut self.rows).map_ok(|batch| shape.encoding(batch).map(Ok));
        let mut encoded = pin!(encoded.try_buffered(BATCHES_AHEAD));
        let mut sent = 0;
        while let Some(Encoded { bytes, rest }) = encoded.try_next().await? {
            outbox.take(bytes);
            if outbox.buffer().len() >= FLUSH_BYTES {
                outbox.flush().await.map_err(|_| SendFailure::Gone)?;
            }
            let (rows, rest) = rest?;
            if rest.num_rows() > 0 {
                send_rows(shape.encoder(&rest)?, rest.num_rows(), outbox, Encoder::write).await?;
            }
            sent += rows + rest.num_rows() as u64;
        }
        Ok(Sent { rows: sent, all: true })
    }

    /// As [`Rows::send`], each row written in a form of one's own.
    pub(super) async fn send_as(
        &mut self,
        outbox: &mut Outbox,
        rows_max: Option<u64>,
        mut write: impl FnMut(&Encoder, usize, &mut BytesMut) -> Result<(), Error>,
    ) -> Result<Sent, SendFailure> {
        let mut sent = 0;
        loop {
            let batch = match self.batch.take() {
                Some(batch) => batch,
                None => match self.rows.next().await.transpose()? {
                    Some(batch) => batch,
                    None => return Ok(Sent { rows: sent, all: true }),
                },
            };
            let room = rows_max.map_or(u64::MAX, |max| max - sent);
            let count = batch.num_rows().min(usize::try_from(room).unwrap_or(usize::MAX));
            if count < batch.num_rows() {
                self.batch = Some(batch.slice(count, batch.num_rows() - count));
            }
            let encoder = self.shape.encoder(&batch)?;
            send_rows(encoder, count, outbox, &mut write).await?;
            sent += count as u64;
            if rows_max.is_some_and(|max| sent >= max) {
                return Ok(Sent { rows: sent, all: false });
            }
        }
    }
}

async fn send_rows(
    encoder: Encoder,
    count: usize,
    outbox: &mut Outbox,
    mut write: impl FnMut(&Encoder, usize, &mut BytesMut) -> Result<(), Error>,
) -> Result<(), SendFailure> {
    for row in 0..count {
        write(&encoder, row, outbox.buffer())?;
        if outbox.buffer().len() >= FLUSH_BYTES {
            outbox.flush().await.map_err(|_| SendFailure::Gone)?;
        }
    }
    Ok(())
}

/// Why sending stopped.
pub(super) enum SendFailure {
    Statement(Error),
    Gone,
}

impl From<Error> for SendFailure {
    fn from(error: Error) -> Self {
        SendFailure::Statement(error)
    }
}

/// `RowDescription`.
pub(super) fn description(schema: &Schema, formats: &[Format]) -> PgWireBackendMessage {
    let fields = schema.fields().iter().enumerate().map(|(i, field)| {
        let Column { name, oid, size, modifier, origin: (relation, place) } = types::column(field);
        let format = formats.get(i).copied().unwrap_or_default();
        let name = name.replace('\0', "\u{fffd}");
        FieldDescription::new(name, relation, place, oid, size, modifier, format.code())
    });
    PgWireBackendMessage::RowDescription(RowDescription::new(fields.collect()))
}

/// One format for each of `count` columns or parameters, from the codes of a message: none, one for all, or one each.
pub(super) fn formats(codes: &[i16], count: usize, what: &str, whose: &str) -> Result<Vec<Format>, Error> {
    match codes {
        [] => Ok(vec![Format::Text; count]),
        [code] => Ok(vec![Format::of(*code)?; count]),
        codes if codes.len() == count => codes.iter().map(|code| Format::of(*code)).collect(),
        codes => {
            let message = format!("bind message has {} {what} formats but {whose} {count}", codes.len());
            Err(Error::new("08P01", message))
        }
    }
}
