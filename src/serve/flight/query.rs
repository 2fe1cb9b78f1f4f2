//! From a statement's text to a stream of batches.
//!
//! Comes in: SQL, who asks and under which settings. Goes out: a [`Query`] pinned to the cut that was newest then, and
//! from it batches that were never collected: a task of its own runs the query and stays at most
//! [`BATCHES_AHEAD_MAX`] batches ahead of the client. It ends with the client, at the statement's timeout, when
//! cancelled or at shutdown. Failure: an [`Error`] with its SQLSTATE; a panic inside an operator is one too.

use super::outgoing::{plain_schema, with_dictionaries};
use super::parameters::{Values, check_count};
use super::placeholders::numbered;
use super::statements::Prepared as Known;
use super::status::status;
use super::update::is_update;
use crate::catalog::access::Access;
use crate::ops::panics::caught;
use crate::serve::audit::Audited;
use crate::serve::backends::{Peer, Run, Signals};
use crate::serve::session::{Answer, Prepared, Session};
use crate::serve::settings::Settings;
use crate::serve::statement::{Begin, Statement, parse_said};
use crate::serve::{Error, Parts, Readers, RowStream};
use arc_swap::ArcSwap;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::{StreamExt as _, TryStreamExt as _};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// How far a query may run ahead of the client that reads it.
const BATCHES_AHEAD_MAX: usize = 2;
/// The savepoint right after a query's cut was pinned: a run that failed goes back there.
const PINNED: &str = "pinned";

/// Who asks, and under which settings.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The user who was let in.
    pub(super) user: String,
    /// What names the session that the call belongs to.
    pub(super) session: Option<Vec<u8>>,
    /// Settings of this call: name and value.
    pub(super) settings: Vec<(String, String)>,
    /// Where the call is from.
    pub(super) address: SocketAddr,
}

impl Caller {
    /// What a setting is for this call.
    pub(super) fn setting(&self, name: &str) -> Result<String, Error> {
        let mut settings = Settings::default();
        for (name, value) in &self.settings {
            settings.set(name, Some(value), false)?;
        }
        settings.get(name)
    }

    /// A session of the engine with the call's settings.
    pub(super) fn session(&self, readers: &Readers) -> Result<Session, Error> {
        let peer = Peer { protocol: super::PROTOCOL, address: Some(self.address) };
        let session = Session::new(readers.clone(), &self.user, peer);
        for (name, value) in &self.settings {
            session.settings().lock().set(name, Some(value), false)?;
        }
        Ok(session)
    }
}

/// Reads the one statement of a text, with its own words, if it is a query or an update.
pub(super) fn read(sql: &str) -> Result<(Statement, String), Error> {
    let mut statements = parse_said(&numbered(sql))?;
    let read = statements.pop().ok_or_else(|| Error::new("42601", "the statement is empty"))?;
    if !statements.is_empty() {
        return Err(Error::new("42601", "only one statement can be run at a time"));
    }
    match is_query(&read.0) || is_update(&read.0) {
        true => Ok(read),
        false => Err(not_over_flight(read.0.tag())),
    }
}

/// True for what gives rows and changes nothing.
fn is_query(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Query(_)
            | Statement::Explain { .. }
            | Statement::ExplainModel(_)
            | Statement::Verify(_)
            | Statement::UnitTest(_)
            | Statement::Show(_)
            | Statement::ShowAll
    )
}

/// What a client is told whose statement is neither a query nor an update.
pub(super) fn not_over_flight(tag: &str) -> Error {
    Error::new("0A000", format!("{tag} is not supported over Flight SQL"))
        .with_hint("Settings are given as headers; each update is a transaction of its own.")
}

/// What a client is told who asks for the rows of an update.
fn not_a_query(tag: &str) -> Error {
    Error::new("0A000", format!("{tag} gives no rows")).with_hint("Run it as an update.")
}

/// Refuses a call that is to be part of a transaction.
pub(super) fn refuse_transaction(id: Option<&bytes::Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(status(Error::new("0A000", "transactions are not supported"))),
        _ => Ok(()),
    }
}

/// The columns and parameters of a statement, planned on the newest cut and not kept; an update has no columns.
pub(super) async fn describe(
    readers: &Readers,
    caller: &Caller,
    statement: Statement,
) -> Result<(SchemaRef, Vec<DataType>), Error> {
    let is_update = is_update(&statement);
    let prepared = caller.session(readers)?.prepare(statement, &[]).await?;
    let columns = if is_update { Arc::new(Schema::empty()) } else { columns(&prepared, caller)? };
    Ok((columns, prepared.parameters))
}

/// What a client asks for.
pub(super) struct Wanted {
    statement: Statement,
    /// Those of each run, of which there is one at least.
    values: Vec<Values>,
    /// Of a prepared statement: how many parameters it has.
    parameters: Option<usize>,
}

impl Wanted {
    /// A statement that is run once.
    pub(super) fn once(statement: Statement) -> Self {
        Self { statement, values: vec![Vec::new()], parameters: None }
    }

    /// A prepared statement, with the values that are bound.
    pub(super) fn again(known: Known) -> Self {
        let Known { statement, parameters, mut values, .. } = known;
        if values.is_empty() {
            values.push(Vec::new());
        }
        Self { statement, values, parameters: Some(parameters.len()) }
    }

    /// Planned for the types that the values really have: none is bent to an inferred type.
    async fn prepared(&self, session: &Session) -> Result<Arc<Prepared>, Error> {
        let check = |count: usize| self.values.iter().try_for_each(|run| check_count(run.len(), count));
        let (statement, mut types) = (self.statement.clone(), vec![]);
        if let (Statement::Query(_), Some(count)) = (&statement, self.parameters) {
            check(count)?;
            types = self.values[0].iter().map(|value| Some(value.data_type().into())).collect();
        }
        let prepared = session.prepare(statement, &types).await?;
        check(prepared.parameters.len())?;
        Ok(Arc::new(prepared))
    }
}

/// A query planned on one cut, with its values; whole, or a part of it.
#[derive(Clone)]
pub(super) struct Query {
    session: Arc<Session>,
    prepared: Arc<Prepared>,
    /// Those of each run: what a query gives for several rows of values follows one another.
    values: Vec<Values>,
    part: Option<(Arc<Parts>, usize)>,
    /// The rights that it was planned by, and those of now.
    access: (Weak<Access>, Arc<ArcSwap<Access>>),
    /// The columns that clients see.
    pub(super) schema: SchemaRef,
    /// Fires when the client cancels.
    pub(super) cancelled: CancellationToken,
}

impl Query {
    /// Plans a statement on the newest cut, which it keeps: the parts in which it may be read side by side, or one, the
    /// whole.
    pub(super) async fn plan(readers: &Readers, caller: &Caller, wanted: Wanted) -> Result<Vec<Self>, Error> {
        let session = caller.session(readers)?;
        let signals = session.activity().signals();
        tokio::select! {
            biased;
            () = signals.cancelled() => Err(Error::cancelled()),
            () = signals.terminated() => Err(terminated()),
            planned = Self::plan_in(session, readers, caller, wanted) => planned,
        }
    }

    async fn plan_in(
        session: Session,
        readers: &Readers,
        caller: &Caller,
        wanted: Wanted,
    ) -> Result<Vec<Self>, Error> {
        let access = (Arc::downgrade(&readers.access.load()), Arc::clone(&readers.access));
        manage(&session, Statement::Begin(Begin::default())).await?;
        manage(&session, Statement::Savepoint(PINNED.to_string())).await?;
        let text = statement_text(&wanted.statement);
        let _running = session.activity().run(&text);
        let audited = session.audited(&wanted.statement, &text);
        let prepared = wanted.prepared(&session).await;
        match &prepared {
            // It is noted when its rows are read.
            Ok(_) => audited.forget(),
            Err(error) => audited.end(Some(error)),
        }
        let (prepared, values) = (prepared?, wanted.values);
        let parts = match values.as_slice() {
            [run] => session.parts(&prepared, run.clone()).await?,
            _ => None,
        };
        let whole = Self {
            schema: columns(&prepared, caller)?,
            session: Arc::new(session),
            prepared,
            values,
            part: None,
            access,
            cancelled: CancellationToken::new(),
        };
        let Some(parts) = parts.map(Arc::new) else { return Ok(vec![whole]) };
        let part = |at| Self { part: Some((Arc::clone(&parts), at)), ..whole.clone() };
        Ok((0..parts.count()).map(part).collect())
    }

    /// Starts the query; it can be started again. `server_stop` ends it.
    pub(super) async fn run(
        &self,
        server_stop: CancellationToken,
        stall_max: Duration,
    ) -> Result<Batches, Error> {
        let activity = self.session.activity();
        let stop = Stop { cancelled: self.cancelled.clone(), signals: activity.signals(), server_stop };
        let statement = self.prepared.statement();
        let running = activity.run(&statement_text(statement));
        let audited = self.session.audited(statement, &statement_text(statement));
        let started = tokio::select! {
            biased;
            error = stop.reason(None) => return Err(error),
            started = caught(self.rows()) => started,
        };
        let (rows, deadline) = match started.unwrap_or_else(|panic| Err(Error::internal(panic))) {
            Ok(started) => started,
            Err(error) => {
                audited.end(Some(&error));
                return Err(error);
            }
        };
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD_MAX);
        let producer = tokio::spawn(produce(rows, sender.clone(), stall_max, audited, running));
        tokio::spawn(watch(producer, sender, stop, deadline));
        Ok(ReceiverStream::new(receiver))
    }

    /// The rows, and when their time is over.
    async fn rows(&self) -> Result<(RowStream, Option<Instant>), Error> {
        if let Some((parts, part)) = &self.part {
            let (planned_by, now) = &self.access;
            if !Weak::ptr_eq(planned_by, &Arc::downgrade(&now.load())) {
                return Err(Error::new("55000", "roles or rights have changed since the query was planned")
                    .with_hint("Ask for the flight info again."));
            }
            return Ok((parts.rows(*part), self.session.deadline()));
        }
        manage(&self.session, Statement::RollbackTo(PINNED.to_string())).await?;
        let mut runs = self.values.clone().into_iter();
        let first = runs.next().unwrap_or_default();
        let (rows, deadline) = run(&self.session, &self.prepared, first).await?;
        let (session, prepared) = (Arc::clone(&self.session), Arc::clone(&self.prepared));
        let rest = futures::stream::iter(runs).then(move |values| {
            let (session, prepared) = (Arc::clone(&session), Arc::clone(&prepared));
            async move { run(&session, &prepared, values).await.map(|(rows, _)| rows) }
        });
        Ok((rows.chain(rest.try_flatten()).boxed(), deadline))
    }
}

/// The rows of a statement for one row of values.
async fn run(
    session: &Session,
    prepared: &Prepared,
    values: Values,
) -> Result<(RowStream, Option<Instant>), Error> {
    match session.execute(prepared, values).await? {
        Answer::Rows { rows, deadline, .. } => Ok((rows, deadline)),
        Answer::Tag(tag) => Err(not_a_query(&tag)),
        Answer::CopyIn(_) => Err(not_a_query("COPY")),
        Answer::Empty => Err(not_a_query("empty statement")),
    }
}

/// The batches of a query that runs; dropped, they stop it.
pub(super) type Batches = ReceiverStream<Result<RecordBatch, Error>>;

fn columns(prepared: &Prepared, caller: &Caller) -> Result<SchemaRef, Error> {
    let columns = prepared.columns.as_ref().ok_or_else(|| not_a_query(prepared.statement().tag()))?;
    let columns = plain_schema(columns);
    Ok(match caller.setting("sluice.dictionaries")?.as_str() {
        "on" => with_dictionaries(&columns),
        _ => columns,
    })
}

/// Runs a statement about the session itself.
pub(super) async fn manage(session: &Session, statement: Statement) -> Result<(), Error> {
    let prepared = session.prepare(statement, &[]).await?;
    session.execute(&prepared, Vec::new()).await.map(|_| ())
}

/// What ends a query from outside.
pub(super) struct Stop {
    pub(super) cancelled: CancellationToken,
    pub(super) signals: Signals,
    pub(super) server_stop: CancellationToken,
}

impl Stop {
    /// Resolves when the query must end, with what the client is told.
    pub(super) async fn reason(&self, deadline: Option<Instant>) -> Error {
        let timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timeout => Error::timed_out(),
            () = self.cancelled.cancelled() => Error::cancelled(),
            () = self.signals.cancelled() => Error::cancelled(),
            () = self.signals.terminated() => terminated(),
            () = self.server_stop.cancelled() => Error::new("57P01", "the server is shutting down"),
        }
    }
}

/// Runs a query to its end, as fast as the client reads.
async fn produce(
    mut rows: RowStream,
    sender: mpsc::Sender<Result<RecordBatch, Error>>,
    stall_max: Duration,
    audited: Audited,
    running: Run,
) {
    loop {
        let item = match caught(rows.next()).await {
            Ok(None) => return audited.end(None),
            Ok(Some(item)) => item,
            Err(panic) => Err(Error::internal(panic)),
        };
        if let Err(error) = &item {
            audited.end(Some(error));
            // Who has gone is told nothing.
            let _ = sender.send(item).await;
            return;
        }
        match sender.send_timeout(item, stall_max).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return,
            Err(SendTimeoutError::Timeout(_)) => {
                let error = stalled(stall_max);
                audited.end(Some(&error));
                // What the query holds is free; the rest waits for a client that reads on after all.
                drop((rows, running));
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
    }
}

/// The error of a client that reads no more.
fn stalled(stall_max: Duration) -> Error {
    let message = format!("the client has taken nothing for {} ms", stall_max.as_millis());
    Error::new("57014", message).with_hint("Read on faster, or raise stall_ms_max in [limits].")
}

/// A statement as it is noted.
fn statement_text(statement: &Statement) -> String {
    match statement {
        Statement::Query(query) => query.to_string(),
        Statement::Explain { query, .. } => format!("EXPLAIN {}", **query),
        Statement::ExplainModel(text) => format!("EXPLAIN {text}"),
        Statement::UnitTest(text) => text.clone(),
        other => other.tag().to_string(),
    }
}

/// Ends the task that runs a query when its client has gone or it must stop. A task of its own: the client is told in
/// time even while an operator computes without a pause, and what the query holds is freed even if nobody reads on.
async fn watch(
    mut producer: JoinHandle<()>,
    sender: mpsc::Sender<Result<RecordBatch, Error>>,
    stop: Stop,
    deadline: Option<Instant>,
) {
    tokio::select! {
        biased;
        _ = &mut producer => {}
        () = sender.closed() => producer.abort(),
        error = stop.reason(deadline) => {
            producer.abort();
            let _ = sender.send(Err(error)).await;
        }
    }
}

fn terminated() -> Error {
    Error::new("57P01", "terminating connection due to administrator command")
}
