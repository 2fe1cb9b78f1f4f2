//! One reader's session, whatever the protocol.
//!
//! Comes in: statements, one at a time. Goes out: [`Answer`]s. Guarantee: a statement sees exactly one cut, the newest
//! when it began; between `BEGIN` and the end of the transaction all statements see the cut of the first one
//! (REPEATABLE READ). Failures carry a SQLSTATE and leave the session usable; in a transaction they fail it (25P02).

mod access;
mod cursors;
mod cut;
mod define;
mod deploy;
mod erase;
mod incoming;
mod insert;
mod manage;
mod models;
mod place;
mod plans;
mod prepared;
mod replay;
mod scope;
mod search_path;
mod shared;
mod unit_tests;
mod watches;

pub use cursors::Cursors;
pub(super) use define::DRAFT_SHAPES;
pub use incoming::{Target, null_violation, too_large};
pub use prepared::{Listed, Prepared};
pub(super) use scope::{Room, Scope};
pub(super) use search_path::SCHEMA as SEARCH_PATH;
pub use shared::SharedPlans;

use super::audit::AuditLog;
use super::backends::{Activity, Peer};
use super::functions::Surroundings;
use super::postgres::catalog::Catalog;
use super::query::{self, RowStream};
use super::settings::Settings;
use super::statement::Statement;
use super::{Error, ParameterType, Parts, Readers, explain};
use crate::catalog::access::Access;
use crate::catalog::cut::Cut;
use crate::catalog::definer::{Files, Purpose};
use crate::catalog::definitions::Change;
use crate::lake::TableName;
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;
use plans::SimpleQueries;
use shared::Kept;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

/// Numbers of sessions, as `pg_backend_pid()` tells them.
static NEXT_PROCESS_ID: AtomicI32 = AtomicI32::new(1);

/// What a statement gives.
pub enum Answer {
    /// Rows, to be streamed.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The rows; dropping the stream stops the query.
        rows: RowStream,
        /// The word that ends them: `SELECT` is followed by the number of rows, others stand alone.
        tag: &'static str,
        /// When the statement's time is over, sending included.
        deadline: Option<Instant>,
    },
    /// The client is to send rows for a source.
    CopyIn(Target),
    /// Done; carries the words that say so.
    Tag(Cow<'static, str>),
    /// There was no statement.
    Empty,
}

/// How a session stands to transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Every statement stands alone.
    Idle,
    /// Between `BEGIN` and its end.
    Open,
    /// A statement failed; only the end is awaited.
    Failed,
}

/// One reader's session.
pub struct Session {
    readers: Readers,
    surroundings: Arc<Surroundings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    transaction: Option<Transaction>,
    /// Between statements that are a transaction of their own if no other is open.
    batch: Option<Batch>,
    /// The settings to go back to if one of these fails.
    before: Option<Settings>,
    /// The rows that these have for sources.
    gathered: Vec<(TableName, RecordBatch)>,
    /// By name: those of `PREPARE` and of a protocol's own.
    prepared: HashMap<String, Arc<Prepared>>,
    /// Queries of the simple protocol, by their text without constants.
    simple: SimpleQueries,
    /// What is to be told beside the answer.
    notices: Vec<Error>,
    /// An engine without tables, which each statement lays over its cut, and the catalogs that it was equipped by.
    engine: Option<(Arc<Catalog>, Opaque<SessionState>)>,
}

/// Statements that are a transaction without saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Those of one simple query.
    Message,
    /// Those of the extended protocol up to `Sync`.
    Pipeline,
}

#[derive(Default)]
struct Transaction {
    cut: Option<Arc<Cut>>,
    failed: bool,
    settings: Settings,
    savepoints: Vec<Savepoint>,
    /// What it has defined so far.
    changes: Vec<Change>,
    /// The rows that it has for sources.
    rows: Vec<(TableName, RecordBatch)>,
    /// The cut that all others see, once it has one of its own.
    undrafted: Option<Arc<Cut>>,
}

/// A place in a transaction to go back to.
struct Savepoint {
    name: String,
    /// How much was defined then, and the cut in which that is seen.
    changes: usize,
    /// How many batches of rows there were.
    rows: usize,
    cut: Option<Arc<Cut>>,
    settings: Settings,
}

impl Session {
    /// A session of a user who has proven to be one.
    pub fn new(readers: Readers, user: &str, peer: Peer) -> Self {
        let mut settings = Settings::default();
        // The table's own defaults always fit.
        let _ = settings.set_initial("session_authorization", user);
        let is_superuser = readers.access.load().is_superuser(user);
        let _ = settings.set_initial("is_superuser", if is_superuser { "on" } else { "off" });
        let _ = settings.set_initial("statement_timeout", &readers.limits.statement_timeout_ms.to_string());
        let _ = settings.set_initial("ssl", if readers.tls.is_some() { "on" } else { "off" });
        let _ = settings.set_initial("max_connections", &readers.limits.connections_max.to_string());
        let surroundings = Surroundings {
            user: user.to_string(),
            process_id: NEXT_PROCESS_ID.fetch_add(1, Ordering::Relaxed),
            settings: Mutex::new(settings),
            cursors: Mutex::default(),
            statements: Mutex::default(),
            peer,
            activity: Arc::default(),
            access: Arc::clone(&readers.access),
            backends: Arc::clone(&readers.backends),
        };
        let surroundings = Arc::new(surroundings);
        readers.backends.enter(&surroundings);
        Self { readers, surroundings, state: Mutex::default() }
    }

    /// What the session is doing, and the signals that it gets.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.surroundings.activity
    }

    /// Over which protocol statements come.
    pub(super) fn protocol(&self) -> &'static str {
        self.surroundings.peer.protocol
    }

    /// From where, and of which program.
    pub(super) fn client(&self) -> String {
        let program = self.settings().lock().get("application_name").unwrap_or_default();
        let address = self.surroundings.peer.address.map(|address| address.ip().to_string());
        format!("{} {program}", address.unwrap_or_default()).trim().to_string()
    }

    /// Where records of statements go.
    pub(super) fn audit_log(&self) -> &AuditLog {
        &self.readers.audit
    }

    /// The cut that was published last.
    pub(super) fn newest_cut(&self) -> Arc<Cut> {
        self.readers.cuts.borrow().clone()
    }

    /// Who asks.
    pub fn user(&self) -> &str {
        &self.surroundings.user
    }

    /// Roles and rights as they are now.
    pub(super) fn access(&self) -> Arc<Access> {
        self.readers.access.load_full()
    }

    /// By whose rights statements run.
    pub fn role(&self) -> String {
        self.surroundings.role()
    }

    /// The number of the session.
    pub fn process_id(&self) -> i32 {
        self.surroundings.process_id
    }

    /// The session's settings.
    pub fn settings(&self) -> &Mutex<Settings> {
        &self.surroundings.settings
    }

    /// How the session stands to transactions.
    pub fn transaction_status(&self) -> TransactionStatus {
        match &self.state.lock().transaction {
            None => TransactionStatus::Idle,
            Some(transaction) if transaction.failed => TransactionStatus::Failed,
            Some(_) => TransactionStatus::Open,
        }
    }

    /// Statements follow that are a transaction of their own if no other is open.
    pub fn begin_batch(&self, batch: Batch) {
        let mut state = self.state.lock();
        state.batch = Some(batch);
        state.before = Some(self.settings().lock().clone());
    }

    /// They are done, or one of them failed: what was not committed is gone.
    pub fn end_batch(&self, failed: bool) {
        let mut state = self.state.lock();
        if state.batch == Some(Batch::Message) && state.transaction.is_none() {
            self.cursors().lock().end_transaction(!failed);
        }
        if let Some(before) = state.before.take().filter(|_| failed && state.transaction.is_none()) {
            self.settings().lock().restore(before);
        }
        state.batch = None;
        state.gathered.clear();
    }

    /// The session's cursors.
    pub fn cursors(&self) -> &Mutex<Cursors> {
        &self.surroundings.cursors
    }

    fn notice(&self, notice: Error) {
        self.state.lock().notices.push(notice);
    }

    /// What is to be told beside the answer of the last statement.
    pub fn take_notices(&self) -> Vec<Error> {
        std::mem::take(&mut self.state.lock().notices)
    }

    /// To be called when a statement failed outside [`Session::execute`], while its rows were sent for instance.
    pub fn fail(&self) {
        if let Some(transaction) = &mut self.state.lock().transaction {
            transaction.failed = true;
        }
    }

    /// Finds the columns and parameters of a statement. `declared` are the parameter types that the client told.
    pub async fn prepare(
        &self,
        statement: Statement,
        declared: &[Option<ParameterType>],
    ) -> Result<Prepared, Error> {
        self.check_transaction(&statement)?;
        let statement = self.as_assigned(statement, declared).await?;
        let (mut planned, mut kept) = (None, Kept::default());
        if let Some(query) = statement.query() {
            let cut = self.cut(self.deadline()).await?;
            let shared = match &statement {
                Statement::Query(query) => Some((self.meaning(&cut)?, format!("{} {declared:?}", **query))),
                _ => None,
            };
            if let Some((meaning, text)) = &shared
                && let Some(known) = self.readers.plans.prepared(meaning, text, &statement)
            {
                return Ok(known);
            }
            let found = query::plan(&self.scope(&cut)?, query, declared).await?;
            if let Some((meaning, text)) = shared {
                kept = self.readers.plans.note(meaning, text, &found);
            }
            planned = Some((self.seen(&cut), found));
        }
        let columns = match &statement {
            Statement::Query(_) => planned.as_ref().map(|(_, planned)| planned.columns.clone()),
            Statement::Fetch { cursor, moves: false, .. } => self.cursors().lock().columns(cursor),
            Statement::Explain { .. } | Statement::ExplainModel(_) => Some(explain::columns()),
            Statement::Verify(_) => Some(models::verify_columns()),
            Statement::Plan | Statement::Apply(_) => Some(deploy::columns()),
            Statement::Erase { .. } => Some(erase::columns()),
            Statement::Replay { .. } => Some(replay::columns()),
            Statement::UnitTest(_) => Some(unit_tests::columns()),
            Statement::Show(name) => Some(manage::show_columns(name)),
            Statement::ShowAll => Some(manage::show_all_columns()),
            Statement::Execute { name, .. } => self.kept(name)?.columns.clone(),
            _ => None,
        };
        let parameters = planned.as_ref().map(|(_, found)| (found.parameters.clone(), found.spelt.clone()));
        Ok(Prepared::new(statement, columns, parameters.unwrap_or_default(), planned, kept))
    }

    /// Executes a prepared statement with one value for each of its parameters. Rows end with 57014 when the statement's
    /// time is over.
    pub async fn execute(&self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Answer, Error> {
        Ok(match self.open(prepared, values).await? {
            Answer::Rows { schema, rows, tag, deadline } => {
                Answer::Rows { schema, rows: query::until(rows, deadline), tag, deadline }
            }
            other => other,
        })
    }

    /// As [`Session::execute`], for who fetches rows in steps and holds each step to its own deadline.
    pub async fn open(&self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Answer, Error> {
        let answer = self.try_execute(prepared, values).await;
        if answer.is_err() {
            self.fail();
        }
        answer
    }

    /// The rows of a prepared query in parts that can be read side by side, where it has such.
    pub async fn parts(&self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Option<Parts>, Error> {
        let Statement::Query(_) = prepared.statement else { return Ok(None) };
        let parts_max = self.settings().lock().get("sluice.endpoints_max")?.parse().unwrap_or(1);
        let cut = self.cut(self.deadline()).await?;
        let (scope, planned, values) = self.ready_over(&cut, prepared, values).await?;
        let parts = Parts::plan(&scope, &planned, values, parts_max).await?;
        if parts.is_none() && !planned.is_optimized {
            // For the execution that follows.
            *prepared.planned.lock() = Some((self.seen(&cut), planned));
        }
        Ok(parts)
    }

    async fn try_execute(&self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Answer, Error> {
        self.check_transaction(&prepared.statement)?;
        if self.transaction_status() == TransactionStatus::Idle {
            // What `set_config` set for the transaction was for the one statement before.
            self.settings().lock().end_local();
        }
        if values.len() != prepared.parameters.len() {
            let (given, wanted) = (values.len(), prepared.parameters.len());
            return Err(Error::new(
                "08P01",
                format!("{given} parameters are given, but the statement has {wanted}"),
            ));
        }
        self.settle(&prepared.statement).await?;
        let deadline = self.deadline();
        match &prepared.statement {
            Statement::Query(_) | Statement::Copy(_) => {
                within(deadline, self.query(prepared, values, deadline)).await
            }
            Statement::Declare(declaration) => {
                within(deadline, self.declare(declaration, prepared, values, deadline)).await
            }
            Statement::Fetch { cursor, direction, moves } => {
                within(deadline, self.fetch(cursor, *direction, *moves, deadline)).await
            }
            Statement::Explain { query, analyze, verbose } => {
                let explained = async {
                    let cut = self.cut(deadline).await?;
                    let scope = self.scope(&cut)?;
                    let planned = query::plan(&scope, query, &[]).await?;
                    let planned = explain::explain(planned, *analyze, *verbose)?;
                    let (_, rows) = query::run(&scope, planned, vec![]).await?;
                    let (schema, rows) = explain::lines(rows);
                    Ok(Answer::Rows { schema, rows, tag: "EXPLAIN", deadline })
                };
                within(deadline, explained).await
            }
            Statement::ExplainModel(text) => within(deadline, self.explain_model(text, deadline)).await,
            Statement::Verify(name) => within(deadline, self.verify(name, deadline)).await,
            Statement::Replay { name, predicate } => {
                within(deadline, self.replay(name, predicate.clone(), deadline)).await
            }
            Statement::Backfill { name, range, history_may_be_lost } => {
                within(deadline, self.backfill(name, *range, *history_may_be_lost, deadline)).await
            }
            Statement::UnitTest(text) => within(deadline, self.unit_test(text, deadline)).await,
            Statement::Erase { subject, tag, dry_run } => {
                within(deadline, self.erase((subject, tag), *dry_run, deadline)).await
            }
            Statement::Plan => within(deadline, self.deploy(Files::Folder, Purpose::Check, deadline)).await,
            Statement::Apply(files) => within(deadline, self.deploy(*files, Purpose::Apply, deadline)).await,
            Statement::Refresh { name, extent, only_view } => {
                within(deadline, self.refresh(name, *extent, *only_view, deadline)).await
            }
            Statement::Execute { name, arguments } => {
                let inner = self.kept(name)?;
                let values = self.arguments(name, &inner, arguments, deadline).await?;
                match inner.statement() {
                    Statement::Insert(insert) => {
                        within(deadline, self.insert(insert, &inner, values, deadline)).await
                    }
                    _ => within(deadline, self.query(&inner, values, deadline)).await,
                }
            }
            Statement::CopyIn(copy) => {
                let target = async {
                    let target = self.target(&copy.table, copy.columns.as_deref(), deadline).await?;
                    Ok(Answer::CopyIn(target))
                };
                within(deadline, target).await
            }
            Statement::Insert(insert) => {
                within(deadline, self.insert(insert, prepared, values, deadline)).await
            }
            Statement::Define(ddl) => within(deadline, self.define(ddl, deadline)).await,
            Statement::Access(access) => within(deadline, self.change_access(access, deadline)).await,
            Statement::Commit { chain } => {
                let mut defined = self.commit_definitions().await;
                if defined.is_ok() {
                    defined = self.commit_rows().await;
                }
                let ended = self.manage(&match defined {
                    Ok(_) => Statement::Commit { chain: *chain },
                    Err(_) => Statement::Rollback { chain: *chain },
                });
                defined.and(ended)
            }
            Statement::Empty => Ok(Answer::Empty),
            Statement::Prepare { name, types, statement, text } => {
                self.sql_prepare(name, types, statement, text).await
            }
            statement => self.manage(statement),
        }
    }

    async fn query(
        &self,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let (scope, planned, values) = self.ready(prepared, values, deadline).await?;
        let (schema, rows) = query::run(&scope, planned, values).await?;
        Ok(Answer::Rows { schema, rows, tag: prepared.statement.tag(), deadline })
    }

    fn check_transaction(&self, statement: &Statement) -> Result<(), Error> {
        match self.transaction_status() {
            TransactionStatus::Failed if !statement.ends_failure() => Err(Error::new(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            )),
            _ => Ok(()),
        }
    }

    /// When a statement that begins now has to be done.
    pub fn deadline(&self) -> Option<Instant> {
        self.settings().lock().duration("statement_timeout").map(|timeout| clock::instant() + timeout)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.readers.backends.leave(self.process_id());
        // A cursor's query holds the functions of the session, and these hold its cursors.
        self.cursors().lock().close_all();
    }
}

/// Planning has to end in time, too.
async fn within<F>(deadline: Option<Instant>, work: F) -> Result<Answer, Error>
where
    F: Future<Output = Result<Answer, Error>>,
{
    match deadline {
        Some(deadline) => {
            tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(Error::timed_out()))
        }
        None => work.await,
    }
}
