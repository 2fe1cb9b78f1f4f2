//! Rows on their way to a client: some at a time, never all.

use super::encode::{Encoder, Format, Style};
use super::outbox::Outbox;
use super::types::{self, Column};
use crate::serve::{Error, RowStream};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::BytesMut;
use futures::StreamExt;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{FieldDescription, RowDescription};

/// Rows gather to this size before they are written to the socket.
const FLUSH_BYTES: usize = 64 << 10;

/// The rows of an answer that have not been sent yet.
pub(super) struct Rows {
    columns: Vec<Column>,
    formats: Vec<Format>,
    style: Style,
    rows: RowStream,
    /// What is left of the batch that came last.
    batch: Option<RecordBatch>,
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
        Self { columns, formats, style, rows, batch: None }
    }

    /// Sends at most `rows_max` rows.
    pub(super) async fn send(
        &mut self,
        outbox: &mut Outbox,
        rows_max: Option<u64>,
    ) -> Result<Sent, SendFailure> {
        self.send_as(outbox, rows_max, Encoder::write).await
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
            let encoder = Encoder::new(&batch, &self.columns, &self.formats, self.style)?;
            for row in 0..count {
                write(&encoder, row, outbox.buffer())?;
                if outbox.buffer().len() >= FLUSH_BYTES {
                    outbox.flush().await.map_err(|_| SendFailure::Gone)?;
                }
            }
            sent += count as u64;
            if rows_max.is_some_and(|max| sent >= max) {
                return Ok(Sent { rows: sent, all: false });
            }
        }
    }
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
        let Column { name, oid, size, modifier } = types::column(field);
        let format = formats.get(i).copied().unwrap_or_default();
        FieldDescription::new(name.replace('\0', "\u{fffd}"), 0, 0, oid, size, modifier, format.code())
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
