//! One reader's session, whatever the protocol.
//!
//! Comes in: statements, one at a time. Goes out: [`Answer`]s. Guarantee: a statement sees exactly one cut, the newest
//! when it began; between `BEGIN` and the end of the transaction all statements see the cut of the first one
//! (REPEATABLE READ). Failures carry a SQLSTATE and leave the session usable; in a transaction they fail it (25P02).

use super::functions::{self, Surroundings};
use super::query::{self, Planned, RowStream};
use super::search_path::SearchPath;
use super::settings::Settings;
use super::statement::{Discarded, Statement};
use super::{Error, Readers, explain};
use crate::catalog::cut::Cut;
use crate::engine::CutCatalog;
use crate::lake::TableName;
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::CatalogProviderList as _;
use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a statement waits for the epoch of `sluice.read_after` when no timeout is set.
const READ_AFTER_WAIT_MAX: Duration = Duration::from_secs(30);

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
    /// Done; carries the word that says so.
    Tag(&'static str),
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
    /// A protocol's own numbers of those types, kept for it.
    pub parameter_ids: Vec<u32>,
    /// The plan made while preparing, for the first execution, if that still sees the same cut.
    planned: Mutex<Option<(Weak<Cut>, Planned)>>,
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
    /// By `PREPARE`.
    prepared: HashMap<String, Arc<Prepared>>,
    /// An engine without tables, which each statement lays over its cut.
    engine: Option<Opaque<SessionState>>,
}

#[derive(Default)]
struct Transaction {
    cut: Option<Arc<Cut>>,
    failed: bool,
    settings: Settings,
    savepoints: Vec<String>,
}

impl Session {
    /// A session of a user who has proven to be one.
    pub fn new(readers: Readers, user: &str) -> Self {
        let mut settings = Settings::default();
        // The table's own defaults always fit.
        let _ = settings.set_initial("session_authorization", user);
        let _ = settings.set_initial("statement_timeout", &readers.limits.statement_timeout_ms.to_string());
        let _ = settings.set_initial("max_connections", &readers.limits.connections_max.to_string());
        let surroundings = Surroundings {
            user: user.to_string(),
            process_id: NEXT_PROCESS_ID.fetch_add(1, Ordering::Relaxed),
            settings: Mutex::new(settings),
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
        let text = |name: &str| Some(Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)])));
        let mut planned = None;
        let columns = match &statement {
            Statement::Query(query) => {
                let cut = self.cut(self.deadline()).await?;
                let found = query::plan(&self.engine_over(&cut), query, declared).await?;
                let columns = found.columns();
                planned = Some((Arc::downgrade(&cut), found));
                Some(columns)
            }
            Statement::Explain { .. } => text(explain::COLUMN),
            Statement::Show(name) => {
                let shown = super::settings::find(name).map_or(name.as_str(), |definition| definition.name);
                text(shown)
            }
            Statement::ShowAll => Some(show_all_schema()),
            Statement::Execute { name, .. } => self.kept(name)?.columns.clone(),
            _ => None,
        };
        let parameters = planned.as_ref().map(|(_, planned)| planned.parameters.clone()).unwrap_or_default();
        Ok(Prepared { statement, columns, parameters, parameter_ids: vec![], planned: Mutex::new(planned) })
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

    /// Keeps a prepared statement under a name; the name without letters may be taken again and again.
    pub fn keep(&self, name: &str, prepared: Prepared) -> Result<(), Error> {
        let mut state = self.state.lock();
        if !name.is_empty() && state.prepared.contains_key(name) {
            return Err(Error::new("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        if state.prepared.len() >= PREPARED_MAX {
            let message = format!("a session keeps at most {PREPARED_MAX} prepared statements");
            return Err(Error::new("54000", message).with_hint("DEALLOCATE what is not needed any more."));
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
        self.state.lock().prepared.remove(name);
    }

    async fn try_execute(&self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Answer, Error> {
        self.check_transaction(&prepared.statement)?;
        if values.len() != prepared.parameters.len() {
            let (given, wanted) = (values.len(), prepared.parameters.len());
            return Err(Error::new(
                "08P01",
                format!("{given} parameters are given, but the statement has {wanted}"),
            ));
        }
        let deadline = self.deadline();
        match &prepared.statement {
            Statement::Query(_) => within(deadline, self.query(prepared, values, deadline)).await,
            Statement::Explain { query, analyze, verbose } => {
                let explained = async {
                    let cut = self.cut(deadline).await?;
                    let engine = self.engine_over(&cut);
                    let planned = query::plan(&engine, query, &[]).await?;
                    let planned = explain::explain(planned, *analyze, *verbose)?;
                    let (_, rows) = query::run(&engine, planned, vec![]).await?;
                    let (schema, rows) = explain::lines(rows);
                    Ok(Answer::Rows { schema, rows, tag: "EXPLAIN", deadline })
                };
                within(deadline, explained).await
            }
            Statement::Execute { name, arguments } => {
                let inner = self.kept(name)?;
                let values = self.arguments(&inner, arguments, deadline).await?;
                within(deadline, self.query(&inner, values, deadline)).await
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
        let Statement::Query(query) = &prepared.statement else {
            return Err(Error::internal("a statement without rows was planned"));
        };
        let cut = self.cut(deadline).await?;
        let engine = self.engine_over(&cut);
        let same_cut = |planned: (Weak<Cut>, Planned)| {
            Weak::ptr_eq(&planned.0, &Arc::downgrade(&cut)).then_some(planned.1)
        };
        let kept = prepared.planned.lock().take().and_then(same_cut);
        let planned = match kept {
            Some(planned) => planned,
            None => {
                let declared: Vec<_> = prepared.parameters.iter().cloned().map(Some).collect();
                query::plan(&engine, query, &declared).await?
            }
        };
        // The client decodes by the columns it was told of.
        let same = |a: &Field, b: &Field| a.name() == b.name() && a.data_type() == b.data_type();
        if let Some(told) = &prepared.columns {
            let now = planned.columns();
            let fits = told.fields().len() == now.fields().len()
                && told.fields().iter().zip(now.fields()).all(|(a, b)| same(a, b));
            if !fits {
                return Err(Error::new("0A000", "cached plan must not change result type"));
            }
        }
        let (schema, rows) = query::run(&engine, planned, values).await?;
        Ok(Answer::Rows { schema, rows, tag: "SELECT", deadline })
    }

    /// Statements about the session itself.
    fn manage(&self, statement: &Statement) -> Result<Answer, Error> {
        match statement {
            Statement::Show(name) => {
                let value = self.settings().lock().get(name)?;
                let shown = super::settings::find(name).map_or(name.as_str(), |definition| definition.name);
                let schema = Arc::new(Schema::new(vec![Field::new(shown, DataType::Utf8, true)]));
                return one_batch(schema, vec![Arc::new(StringArray::from(vec![value]))]);
            }
            Statement::ShowAll => {
                let all = self.settings().lock().all();
                let names = StringArray::from_iter_values(all.iter().map(|(d, _)| d.name));
                let values = StringArray::from_iter_values(all.iter().map(|(_, value)| value));
                let descriptions = StringArray::from_iter_values(all.iter().map(|(d, _)| d.description));
                return one_batch(
                    show_all_schema(),
                    vec![Arc::new(names), Arc::new(values), Arc::new(descriptions)],
                );
            }
            Statement::Set { name, value, local } => {
                self.settings().lock().set(name, value.as_deref(), *local)?;
            }
            Statement::Reset(name) => {
                self.settings().lock().set(name, None, false)?;
            }
            Statement::ResetAll => self.settings().lock().reset_all(),
            Statement::SetUser(Some(user)) if user != self.user() => {
                return Err(Error::new("42501", format!("permission denied to become \"{user}\"")));
            }
            Statement::Deallocate(Some(name)) => {
                if self.state.lock().prepared.remove(name).is_none() {
                    return Err(no_such_statement(name));
                }
            }
            Statement::Deallocate(None) => self.state.lock().prepared.clear(),
            Statement::Discard(Discarded::All) => {
                if self.state.lock().transaction.is_some() {
                    return Err(Error::new("25001", "DISCARD ALL cannot run inside a transaction block"));
                }
                self.settings().lock().reset_all();
                self.state.lock().prepared.clear();
            }
            Statement::Close(Some(name)) => {
                return Err(Error::new("34000", format!("cursor \"{name}\" does not exist")));
            }
            Statement::Begin
            | Statement::Commit
            | Statement::Rollback
            | Statement::Savepoint(_)
            | Statement::RollbackTo(_)
            | Statement::Release(_) => return self.transact(statement),
            _ => {}
        }
        Ok(Answer::Tag(statement.tag()))
    }

    /// Nothing is ever written, so that a transaction is a pinned cut and the settings to go back to.
    fn transact(&self, statement: &Statement) -> Result<Answer, Error> {
        let mut state = self.state.lock();
        let no_transaction =
            |what: &str| Error::new("25P01", format!("{what} can only be used in transaction blocks"));
        let no_savepoint = |name: &str| Error::new("3B001", format!("savepoint \"{name}\" does not exist"));
        match statement {
            Statement::Begin => {
                let settings = self.settings().lock().clone();
                // As in PostgreSQL, a second BEGIN changes nothing.
                state.transaction.get_or_insert(Transaction { settings, ..Transaction::default() });
            }
            Statement::Commit | Statement::Rollback => {
                let Some(transaction) = state.transaction.take() else {
                    return Ok(Answer::Tag(statement.tag()));
                };
                if transaction.failed || *statement == Statement::Rollback {
                    self.settings().lock().restore(transaction.settings);
                    return Ok(Answer::Tag("ROLLBACK"));
                }
                self.settings().lock().end_local();
            }
            Statement::Savepoint(name) => match &mut state.transaction {
                Some(transaction) => transaction.savepoints.push(name.clone()),
                None => return Err(no_transaction("SAVEPOINT")),
            },
            Statement::RollbackTo(name) | Statement::Release(name) => {
                let Some(transaction) = &mut state.transaction else {
                    return Err(no_transaction(statement.tag()));
                };
                let Some(at) = transaction.savepoints.iter().rposition(|savepoint| savepoint == name) else {
                    return Err(no_savepoint(name));
                };
                if let Statement::Release(_) = statement {
                    transaction.savepoints.truncate(at);
                } else {
                    transaction.savepoints.truncate(at + 1);
                    transaction.failed = false;
                }
            }
            _ => {}
        }
        Ok(Answer::Tag(statement.tag()))
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

    /// The cut a statement that begins now sees.
    async fn cut(&self, deadline: Option<Instant>) -> Result<Arc<Cut>, Error> {
        if let Some(Transaction { cut: Some(cut), .. }) = &self.state.lock().transaction {
            return Ok(Arc::clone(cut));
        }
        let token = self.settings().lock().get("sluice.read_after")?;
        let cut = match token.is_empty() {
            true => self.readers.cuts.borrow().clone(),
            false => self.cut_after(&token, deadline).await?,
        };
        let (max, age) =
            (self.settings().lock().duration("sluice.staleness_max"), clock::now() - cut.wave_time);
        if let Some(max) = max
            && age.to_std().is_ok_and(|age| age > max)
        {
            let message = format!(
                "the newest epoch is {} ms old, older than sluice.staleness_max",
                age.num_milliseconds()
            );
            return Err(Error::new("55000", message));
        }
        if let Some(transaction) = &mut self.state.lock().transaction {
            transaction.cut = Some(Arc::clone(&cut));
        }
        Ok(cut)
    }

    /// Waits for the first cut that holds a push: `bronze.orders@17` is that table's version.
    async fn cut_after(&self, token: &str, deadline: Option<Instant>) -> Result<Arc<Cut>, Error> {
        let (table, version) = parse_token(token)?;
        let mut cuts = self.readers.cuts.clone();
        if !cuts.borrow().tables.contains_key(&table) {
            return Err(Error::new(
                "42P01",
                format!("relation \"{table}\" of sluice.read_after does not exist"),
            ));
        }
        let holds = |cut: &Arc<Cut>| cut.tables.get(&table).is_some_and(|found| found.version >= version);
        let wait = deadline.unwrap_or_else(|| clock::instant() + READ_AFTER_WAIT_MAX);
        match tokio::time::timeout_at(wait.into(), cuts.wait_for(holds)).await {
            Ok(Ok(cut)) => Ok(cut.clone()),
            Ok(Err(_)) => Err(Error::new("57P01", "the warehouse is shutting down")),
            Err(_) => Err(Error::new("57014", format!("no epoch holds {token} yet"))
                .with_hint("Ask again later, or RESET sluice.read_after.")),
        }
    }

    /// An engine whose names resolve in one cut, under this session's settings.
    fn engine_over(&self, cut: &Arc<Cut>) -> Opaque<SessionState> {
        let kept = self.state.lock().engine.clone();
        let kept = match kept {
            Some(engine) => engine,
            None => self.state.lock().engine.insert(Opaque::new(self.new_engine())).clone(),
        };
        let mut engine = SessionState::clone(&kept);
        let catalog = Arc::new(SearchPath::over(
            CutCatalog::new(Arc::clone(cut), self.readers.engine.clone()),
            &functions::search_path(&self.surroundings),
        ));
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        catalogs.register_catalog(crate::engine::DATABASE.to_string(), catalog);
        engine.register_catalog_list(catalogs);
        let options = engine.config_mut().options_mut();
        options.catalog.default_schema = super::search_path::SCHEMA.to_string();
        options.execution.time_zone = Some(self.settings().lock().time_zone());
        engine.mark_start_execution();
        Opaque::new(engine)
    }

    fn new_engine(&self) -> SessionState {
        let nothing = Arc::new(datafusion::catalog::MemoryCatalogProvider::new());
        let context = self.readers.engine.session(self.readers.engine.config(), nothing);
        for function in functions::all(&self.surroundings) {
            context.register_udf(function);
        }
        context.state()
    }

    /// `PREPARE name (types) AS query`.
    async fn sql_prepare(
        &self,
        name: &str,
        types: &Opaque<Vec<datafusion::sql::sqlparser::ast::DataType>>,
        query: &Opaque<datafusion::sql::sqlparser::ast::Query>,
    ) -> Result<Answer, Error> {
        let cut = self.cut(self.deadline()).await?;
        let declared = query::declared_types(&self.engine_over(&cut), types).await?;
        let prepared = Box::pin(self.prepare(Statement::Query(query.clone()), &declared)).await?;
        self.keep(name, prepared)?;
        Ok(Answer::Tag("PREPARE"))
    }

    /// The values of `EXECUTE name (expressions)`.
    async fn arguments(
        &self,
        prepared: &Prepared,
        arguments: &Opaque<Vec<datafusion::sql::sqlparser::ast::Expr>>,
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
        query::evaluate(&self.engine_over(&cut), arguments, &prepared.parameters).await
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

fn one_batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Answer, Error> {
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let rows = futures::stream::iter([Ok(batch)]).boxed();
    Ok(Answer::Rows { schema, rows, tag: "SHOW", deadline: None })
}

fn show_all_schema() -> SchemaRef {
    let fields = ["name", "setting", "description"].map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn no_such_statement(name: &str) -> Error {
    if name.is_empty() {
        return Error::new("26000", "unnamed prepared statement does not exist");
    }
    Error::new("26000", format!("prepared statement \"{name}\" does not exist"))
}

fn parse_token(token: &str) -> Result<(TableName, i64), Error> {
    let invalid = || {
        Error::new("22023", format!("invalid value for parameter \"sluice.read_after\": \"{token}\""))
            .with_hint("A push answers with a token of the form schema.table@version.")
    };
    let (table, version) = token.rsplit_once('@').ok_or_else(invalid)?;
    let (schema, name) = table.split_once('.').ok_or_else(invalid)?;
    Ok((TableName::new(schema, name), version.parse().map_err(|_| invalid())?))
}
