//! Bulk ingest: rows that clients put into sources, on the way of every push.
//!
//! Comes in: batches for a source that takes pushes. Goes out: how many rows are durable in its bronze table. With a
//! channel and a token (headers) the rows of a call are one push: taken once, and whole or not at all. Without them they are
//! taken piece by piece, at least once. Sources are defined by the project: nothing is created or replaced.

use super::PROTOCOL;
use super::query::{Caller, refuse_transaction};
use super::rows;
use super::status::{SQLSTATE_TRAILER, status};
use crate::engine::DATABASE;
use crate::ingest::{Inbox, row_bytes};
use crate::serve::audit::Pushed;
use crate::serve::incoming::{self, SCHEMA};
use crate::serve::{Error, Readers};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::TryStreamExt as _;
use std::pin::pin;
use std::sync::Arc;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// What a piece holds at least, where the rest of the rows are pieces of their own.
const PIECE_BYTES_MIN: usize = 4 << 20;
const CHANNEL_HEADER: &str = "sluice-channel";
const TOKEN_HEADER: &str = "sluice-token";

/// Takes the rows of one call, and notes who sent them; tells how many are durable.
pub(super) async fn audited(
    readers: &Readers,
    caller: &Caller,
    command: CommandStatementIngest,
    metadata: &MetadataMap,
    stream: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let table = format!("{}.{}", command.schema.as_deref().unwrap_or(SCHEMA), command.table);
    let channel = channel(metadata);
    let audited = readers.audit.pushed(Pushed {
        role: &caller.user,
        address: caller.address.ip(),
        protocol: PROTOCOL,
        said: format!("INGEST {table}"),
        channel: channel.as_ref().ok().and_then(Option::as_ref),
        table: incoming::inbox(readers, &command.table).map(|_| table),
    });
    let taken = ingest(readers, &caller.user, command, channel, stream).await;
    audited.end_with(taken.as_ref().err().map(|failed| failed.code));
    taken.map_err(|failed| failed.status)
}

/// How a call failed, for the caller and for the audit log.
struct Failed {
    status: Status,
    code: &'static str,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { code: error.code, status: status(error) }
    }
}

/// What comes as a status is of the connection, or of what came over it: rows that did not arrive whole.
impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        let is_told = status.metadata().contains_key(SQLSTATE_TRAILER);
        Self { code: if is_told { "08P01" } else { "08006" }, status }
    }
}

async fn ingest(
    readers: &Readers,
    role: &str,
    command: CommandStatementIngest,
    channel: Result<Option<(String, i64)>, Error>,
    stream: PeekableFlightDataStream,
) -> Result<i64, Failed> {
    let in_transaction = |status| Failed { status, code: "0A000" };
    refuse_transaction(command.transaction_id.as_ref()).map_err(in_transaction)?;
    check(&command)?;
    let inbox = inbox(readers, role, &command.table)?;
    let channel = channel?;
    let bytes_max = readers.limits.push_bytes_max;
    let mut batches = pin!(rows::rows(stream));
    let mut waiting = Waiting::default();
    let mut taken = 0;
    while let Some(batch) = batches.try_next().await? {
        waiting.add(batch);
        if channel.is_some() && waiting.bytes > bytes_max {
            let message = format!("a push is larger than limits.push_bytes_max, {bytes_max} bytes");
            let error = Error::new("54000", message);
            return Err(error.with_hint("Send it in smaller pieces, each with a token of its own.").into());
        }
        if channel.is_none() && waiting.bytes >= PIECE_BYTES_MIN.min(bytes_max) {
            taken += push(inbox.as_ref(), &command.table, None, &mut waiting, taken).await?;
        }
    }
    taken += push(inbox.as_ref(), &command.table, channel, &mut waiting, taken).await?;
    Ok(taken)
}

/// Batches that are to be one push.
#[derive(Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Waiting {
    fn add(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.bytes += row_bytes(&batch);
            self.batches.push(batch);
        }
    }
}

/// Pushes what waits, if anything does; `before` rows are durable already.
async fn push(
    inbox: &dyn Inbox,
    source: &str,
    channel: Option<(String, i64)>,
    waiting: &mut Waiting,
    before: i64,
) -> Result<i64, Failed> {
    let batches = std::mem::take(waiting).batches;
    let Some(first) = batches.first() else { return Ok(0) };
    let rows = concat_batches(&first.schema(), &batches).map_err(Error::from)?;
    match incoming::push(inbox, source, channel, rows).await {
        Ok(taken) => Ok(i64::try_from(taken.rows).unwrap_or(i64::MAX)),
        Err(error) if before == 0 => Err(error.into()),
        Err(error) => Err(error.with_detail(format!("{before} rows before these are taken.")).into()),
    }
}

/// Refuses what would have to define a table.
fn check(command: &CommandStatementIngest) -> Result<(), Error> {
    let refused = |what: &str| {
        Err(Error::new(
            "0A000",
            format!("{what} over Flight SQL is not supported, only appending to sources is"),
        )
        .with_hint("Sources are defined by the project's SQL files; ingest with mode \"append\"."))
    };
    let name = |found: &Option<String>, wanted| found.as_ref().is_none_or(|found| found == wanted);
    if !name(&command.catalog, DATABASE) || !name(&command.schema, SCHEMA) {
        let schema = command.schema.as_deref().unwrap_or(SCHEMA);
        let message =
            format!("\"{schema}.{}\" takes no rows, sources of schema \"{SCHEMA}\" do", command.table);
        return Err(Error::new("42809", message));
    }
    if command.temporary {
        return refused("a temporary table");
    }
    let Some(options) = &command.table_definition_options else { return Ok(()) };
    match (options.if_not_exist(), options.if_exists()) {
        (_, TableExistsOption::Replace) => refused("replacing a table"),
        (_, TableExistsOption::Fail) | (TableNotExistOption::Create, TableExistsOption::Unspecified) => {
            refused("creating a table")
        }
        _ => Ok(()),
    }
}

fn inbox(readers: &Readers, role: &str, source: &str) -> Result<Arc<dyn Inbox>, Error> {
    let inbox = incoming::inbox(readers, source).ok_or_else(|| {
        Error::new("42P01", format!("there is no source \"{source}\" that takes pushes"))
            .with_detail(incoming::known(readers, role))
    })?;
    incoming::check_may(readers, role, source)?;
    Ok(inbox)
}

/// The sender's channel and token: both or none.
fn channel(metadata: &MetadataMap) -> Result<Option<(String, i64)>, Error> {
    let invalid = |message: String| Error::new("22023", message);
    let text = |name: &'static str| match metadata.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim())),
        Some(Err(_)) => Err(invalid(format!("header \"{name}\" is not readable"))),
    };
    match (text(CHANNEL_HEADER)?, text(TOKEN_HEADER)?) {
        (None, None) => Ok(None),
        (Some(channel), Some(token)) => {
            let number = token.parse().map_err(|_| {
                invalid(format!("header \"{TOKEN_HEADER}\" is not a whole number: \"{token}\""))
            })?;
            Ok(Some((channel.to_string(), number)))
        }
        _ => Err(invalid(format!("headers \"{CHANNEL_HEADER}\" and \"{TOKEN_HEADER}\" go together"))),
    }
}
