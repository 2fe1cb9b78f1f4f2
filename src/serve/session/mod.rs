//! One reader's session, whatever the protocol.
//!
//! Comes in: statements, one at a time. Goes out: [`Answer`]s. Guarantee: a statement sees exactly one cut, the newest
//! when it began; between `BEGIN` and the end of the transaction all statements see the cut of the first one
//! (REPEATABLE READ). Failures carry a SQLSTATE and leave the session usable; in a transaction they fail it (25P02).

mod cursors;
mod cut;
mod define;
mod incoming;
mod manage;
mod models;
mod plans;
mod scope;
mod search_path;
mod unit_tests;

use plans::{KeptPlan, SimpleQueries};

pub use cursors::Cursors;
pub(super) use define::DRAFT_SHAPES;
pub use incoming::{Target, null_violation, too_large};
pub(super) use scope::Scope;
pub(super) use search_path::SCHEMA as SEARCH_PATH;

use super::functions::Surroundings;
use super::postgres::catalog::Catalog;
use super::postgres::catalog::types::data_column_type;
use super::query::{self, Planned, RowStream};
use super::settings::Settings;
use super::statement::Statement;
use super::{Error, Parts, Readers, explain};
use crate::catalog::cut::Cut;
use crate::catalog::definitions::Change;
use crate::lake::TableName;
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Prepared statements of one session.
const PREPARED_MAX: usize = 10_000;

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

/// A statement with its types known, ready to be executed any number of times.
#[derive(Debug)]
pub struct Prepared {
    statement: Statement,
    /// The columns of its rows; `None` if it gives none.
    pub columns: Option<SchemaRef>,
    /// The types of its parameters.
    pub parameters: Vec<DataType>,
    /// Its text, where a protocol has it.
    pub text: String,
    /// A protocol's own numbers of those types, kept for it.
    pub parameter_ids: Vec<u32>,
    /// The types that parameters are cast to, as SQL spells them.
    pub parameters_spelt: Vec<Option<String>>,
    /// The plan made while preparing, for the first execution, if that still sees the same cut.
    planned: Mutex<Option<(Weak<Cut>, Planned)>>,
    /// The plan for all executions after it.
    kept: Mutex<Option<KeptPlan>>,
}

/// What others are told of a prepared statement.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its text.
    pub text: String,
    /// When it was prepared.
    pub since: DateTime<Utc>,
    /// The types of its parameters, by PostgreSQL's numbers.
    pub parameters: Vec<u32>,
    /// It came by `PREPARE`, not by a protocol's message.
    pub from_sql: bool,
}

impl Prepared {
    /// What was prepared.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
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
    /// Between the statements of one message, which are a transaction of their own if no other is open.
    batch: bool,
    /// By name: those of `PREPARE` and of a protocol's own.
    prepared: HashMap<String, Arc<Prepared>>,
    /// Queries of the simple protocol, by their text without numbers.
    simple: SimpleQueries,
    /// What is to be told beside the answer.
    notices: Vec<Error>,
    /// An engine without tables, which each statement lays over its cut, and the catalogs that it was equipped by.
    engine: Option<(Arc<Catalog>, Opaque<SessionState>)>,
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
}

impl Session {
    /// A session of a user who has proven to be one.
    pub fn new(readers: Readers, user: &str) -> Self {
        let mut settings = Settings::default();
        // The table's own defaults always fit.
        let _ = settings.set_initial("session_authorization", user);
        let _ = settings.set_initial("statement_timeout", &readers.limits.statement_timeout_ms.to_string());
        let _ = settings.set_initial("ssl", if readers.tls.is_some() { "on" } else { "off" });
        let _ = settings.set_initial("max_connections", &readers.limits.connections_max.to_string());
        let surroundings = Surroundings {
            user: user.to_string(),
            process_id: NEXT_PROCESS_ID.fetch_add(1, Ordering::Relaxed),
            settings: Mutex::new(settings),
            cursors: Mutex::default(),
            statements: Mutex::default(),
        };
        Self { readers, surroundings: Arc::new(surroundings), state: Mutex::default() }
    }

    /// Who asks.
    pub fn user(&self) -> &str {
        &self.surroundings.user
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

    /// Several statements of one message follow: a transaction of their own if no other is open.
    pub fn begin_batch(&self) {
        self.state.lock().batch = true;
    }

    /// They are done, or one of them failed.
    pub fn end_batch(&self, failed: bool) {
        let mut state = self.state.lock();
        if state.batch && state.transaction.is_none() {
            self.cursors().lock().end_transaction(!failed);
        }
        state.batch = false;
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
        declared: &[Option<DataType>],
    ) -> Result<Prepared, Error> {
        self.check_transaction(&statement)?;
        let mut planned = None;
        if let Some(query) = statement.query() {
            let cut = self.cut(self.deadline()).await?;
            let found = query::plan(&self.scope(&cut)?, query, declared).await?;
            planned = Some((Arc::downgrade(&cut), found));
        }
        let columns = match &statement {
            Statement::Query(_) => planned.as_ref().map(|(_, planned)| planned.columns.clone()),
            Statement::Fetch { cursor, moves: false, .. } => self.cursors().lock().columns(cursor),
            Statement::Explain { .. } | Statement::ExplainModel(_) => Some(explain::columns()),
            Statement::Verify(_) => Some(models::verify_columns()),
            Statement::UnitTest(_) => Some(unit_tests::columns()),
            Statement::Show(name) => Some(manage::show_columns(name)),
            Statement::ShowAll => Some(manage::show_all_columns()),
            Statement::Execute { name, .. } => self.kept(name)?.columns.clone(),
            _ => None,
        };
        let (parameters, parameters_spelt) = match &planned {
            Some((_, planned)) => (planned.parameters.clone(), planned.spelt.clone()),
            None => (vec![], vec![]),
        };
        let (parameter_ids, planned) = (vec![], Mutex::new(planned));
        let text = String::new();
        let kept = Mutex::default();
        Ok(Prepared { statement, columns, parameters, text, parameter_ids, parameters_spelt, planned, kept })
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
        let (cut, planned) = self.planned(prepared, &values, self.deadline()).await?;
        let parts = Parts::plan(&self.scope(&cut)?, &planned, values, parts_max).await?;
        if parts.is_none() {
            // For the execution that follows.
            *prepared.planned.lock() = Some((Arc::downgrade(&cut), planned));
        }
        Ok(parts)
    }

    /// Keeps a prepared statement under a name; the name without letters may be taken again and again.
    pub fn keep(&self, name: &str, prepared: Prepared) -> Result<(), Error> {
        self.keep_from(name, prepared, false)
    }

    fn keep_from(&self, name: &str, prepared: Prepared, from_sql: bool) -> Result<(), Error> {
        let mut state = self.state.lock();
        if !name.is_empty() && state.prepared.contains_key(name) {
            return Err(Error::new("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        if state.prepared.len() >= PREPARED_MAX {
            let message = format!("a session keeps at most {PREPARED_MAX} prepared statements");
            return Err(Error::new("54000", message).with_hint("DEALLOCATE what is not needed any more."));
        }
        // The one without a name is nobody's to see.
        if !name.is_empty() {
            let (text, since, parameters) =
                (prepared.text.clone(), clock::now(), prepared.parameter_ids.clone());
            let listed = Listed { text, since, parameters, from_sql };
            self.surroundings.statements.lock().insert(name.to_string(), listed);
        }
        state.prepared.insert(name.to_string(), Arc::new(prepared));
        Ok(())
    }

    /// A statement that is kept.
    pub fn kept(&self, name: &str) -> Result<Arc<Prepared>, Error> {
        self.state.lock().prepared.get(name).cloned().ok_or_else(|| no_such_statement(name))
    }

    /// Keeps it no longer; no matter if it was.
    pub fn forget(&self, name: &str) {
        let _ = self.drop_prepared(name);
    }

    /// True if there was one.
    fn drop_prepared(&self, name: &str) -> bool {
        self.surroundings.statements.lock().remove(name);
        self.state.lock().prepared.remove(name).is_some()
    }

    fn drop_all_prepared(&self) {
        self.surroundings.statements.lock().clear();
        self.state.lock().prepared.clear();
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
            Statement::UnitTest(text) => within(deadline, self.unit_test(text, deadline)).await,
            Statement::Refresh { name, extent, only_view } => {
                within(deadline, self.refresh(name, *extent, *only_view, deadline)).await
            }
            Statement::Execute { name, arguments } => {
                let inner = self.kept(name)?;
                let values = self.arguments(&inner, arguments, deadline).await?;
                within(deadline, self.query(&inner, values, deadline)).await
            }
            Statement::CopyIn(copy) => {
                let target = async {
                    let target = self.target(&copy.table, copy.columns.as_deref(), deadline).await?;
                    Ok(Answer::CopyIn(target))
                };
                within(deadline, target).await
            }
            Statement::Define(ddl) => within(deadline, self.define(ddl, deadline)).await,
            Statement::Commit => {
                let mut defined = self.commit_definitions().await;
                if defined.is_ok() {
                    defined = self.commit_rows().await;
                }
                let ended =
                    self.manage(if defined.is_ok() { &Statement::Commit } else { &Statement::Rollback });
                defined.and(ended)
            }
            Statement::Empty => Ok(Answer::Empty),
            Statement::Prepare { name, types, query } => self.sql_prepare(name, types, query).await,
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

    /// A prepared query's plan, with the values that are still to be put in, and what to run it in.
    async fn ready(
        &self,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        deadline: Option<Instant>,
    ) -> Result<(Scope, Planned, Vec<ScalarValue>), Error> {
        let cut = self.cut(deadline).await?;
        let meaning = self.meaning(&cut)?;
        if let Some(kept) = &*prepared.kept.lock()
            && let Some((planned, scope)) =
                kept.over(&meaning, &cut, &types_now(prepared, &values), &values)?
        {
            return Ok((scope, planned, vec![]));
        }
        let is_again = prepared.planned.lock().is_none();
        let (cut, planned) = self.planned(prepared, &values, deadline).await?;
        let scope = self.scope(&cut)?;
        if is_again {
            *prepared.kept.lock() = KeptPlan::of(meaning, &planned, &scope, &cut);
        }
        Ok((scope, planned, values))
    }

    /// The cut that a prepared query sees now, and its plan there. A decimal's type is its value's: how many digits there
    /// are is known only now.
    async fn planned(
        &self,
        prepared: &Prepared,
        values: &[ScalarValue],
        deadline: Option<Instant>,
    ) -> Result<(Arc<Cut>, Planned), Error> {
        let Some(query) = prepared.statement.query() else {
            return Err(Error::internal("a statement without rows was planned"));
        };
        let cut = self.cut(deadline).await?;
        let types = types_now(prepared, values);
        let fits = |planned: &Planned| types == planned.parameters;
        let same_cut = |planned: (Weak<Cut>, Planned)| {
            Weak::ptr_eq(&planned.0, &Arc::downgrade(&cut)).then_some(planned.1)
        };
        let kept = prepared.planned.lock().take().and_then(same_cut).filter(fits);
        let planned = match kept {
            Some(planned) => planned,
            None => {
                let declared: Vec<_> = types.into_iter().map(Some).collect();
                query::plan(&self.scope(&cut)?, query, &declared).await?
            }
        };
        // The client decodes by the columns it was told of.
        let same = |a: &Field, b: &Field| a.name() == b.name() && alike(a.data_type(), b.data_type());
        if let Some(told) = &prepared.columns {
            let now = &planned.columns;
            let fits = told.fields().len() == now.fields().len()
                && told.fields().iter().zip(now.fields()).all(|(a, b)| same(a, b));
            if !fits {
                return Err(Error::new("0A000", "cached plan must not change result type"));
            }
        }
        Ok((cut, planned))
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

    /// `PREPARE name (types) AS query`.
    async fn sql_prepare(
        &self,
        name: &str,
        types: &Opaque<Vec<ast::DataType>>,
        query: &Opaque<ast::Query>,
    ) -> Result<Answer, Error> {
        let cut = self.cut(self.deadline()).await?;
        let declared = query::declared_types(&self.scope(&cut)?, types).await?;
        let mut prepared = Box::pin(self.prepare(Statement::Query(query.clone()), &declared)).await?;
        let spelt: Vec<String> = types.iter().map(ToString::to_string).collect();
        let spelt = if spelt.is_empty() { String::new() } else { format!(" ({})", spelt.join(", ")) };
        prepared.text = format!("PREPARE {name}{spelt} AS {}", **query);
        prepared.parameter_ids = prepared.parameters.iter().map(type_number).collect();
        self.keep_from(name, prepared, true)?;
        Ok(Answer::Tag("PREPARE".into()))
    }

    /// The values of `EXECUTE name (expressions)`.
    async fn arguments(
        &self,
        prepared: &Prepared,
        arguments: &Opaque<Vec<ast::Expr>>,
        deadline: Option<Instant>,
    ) -> Result<Vec<ScalarValue>, Error> {
        let (given, wanted) = (arguments.len(), prepared.parameters.len());
        if given != wanted {
            let message = format!("wrong number of parameters: {given} given, {wanted} expected");
            return Err(Error::new("42601", message));
        }
        if arguments.is_empty() {
            return Ok(vec![]);
        }
        let cut = self.cut(deadline).await?;
        query::evaluate(&self.scope(&cut)?, arguments, &prepared.parameters).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A cursor's query holds the functions of the session, and these hold its cursors.
        self.cursors().lock().close_all();
    }
}

fn type_number(data_type: &DataType) -> u32 {
    data_column_type(data_type).oid.cast_unsigned()
}

/// The types of parameters that have their values.
fn types_now(prepared: &Prepared, values: &[ScalarValue]) -> Vec<DataType> {
    let parameters = prepared.parameters.iter().zip(values);
    parameters.map(|(declared, value)| type_now(declared, value)).collect()
}

/// The type of a parameter that has its value.
fn type_now(declared: &DataType, value: &ScalarValue) -> DataType {
    let is_decimal =
        matches!(value, ScalarValue::Decimal128(Some(_), ..) | ScalarValue::Decimal256(Some(_), ..));
    if is_decimal { value.data_type() } else { declared.clone() }
}

/// Whether clients decode both alike.
fn alike(a: &DataType, b: &DataType) -> bool {
    let is_decimal = |ty: &DataType| matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..));
    a == b || is_decimal(a) && is_decimal(b)
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

fn no_such_statement(name: &str) -> Error {
    if name.is_empty() {
        return Error::new("26000", "unnamed prepared statement does not exist");
    }
    Error::new("26000", format!("prepared statement \"{name}\" does not exist"))
}
