//! The conversation with a client who has logged in.
//!
//! One message after the other is answered. While a statement runs, three things end it at once: a cancel request, the
//! client's going away, and the end of the shutdown's grace; its own time limit is a fourth. Each drops the statement's
//! future, and with it the query.

mod copying;

use super::SHUTDOWN_GRACE;
use super::cancel::CancelKey;
use super::encode::{Format, Style};
use super::extended::Portal;
use super::frame::{Broken, Inbox, Message};
use super::outbox::{Outbox, Severity};
use super::rows::{self, Rows, SendFailure};
use crate::ops::panics::caught;
use crate::ops::shutdown::Shutdown;
use crate::serve::backends::Doing;
use crate::serve::session::{Answer, Batch, Session, TransactionStatus};
use crate::serve::statement::{self, Discarded, Statement};
use crate::serve::{Error, settings};
use copying::Copying;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{EmptyQueryResponse, ReadyForQuery, TransactionStatus as Status};
use pgwire::messages::startup::{BackendKeyData, ParameterStatus, SecretKey};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A client's connection.
pub(super) struct Connection<'a> {
    inbox: &'a mut Inbox,
    pub(super) talk: Talk<'a>,
    key: CancelKey,
    shutdown: Shutdown,
    /// After an error of the extended protocol everything up to `Sync` is skipped.
    skipping: bool,
}

/// What answering a message needs: everything but the reading half, which is watched meanwhile.
pub(super) struct Talk<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) session: Session,
    pub(super) portals: HashMap<String, Portal>,
    /// While the client copies rows in.
    pub(super) copying: Option<Copying>,
    /// The settings that the client was told of, and the generation they are of.
    reported: HashMap<&'static str, String>,
    generation: u64,
}

/// The error of a server that stops.
pub(super) fn shutting_down() -> Error {
    Error::new("57P01", "terminating connection due to administrator command")
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        inbox: &'a mut Inbox,
        outbox: &'a mut Outbox,
        session: Session,
        key: CancelKey,
        shutdown: Shutdown,
    ) -> Self {
        let (portals, reported) = (HashMap::new(), HashMap::new());
        let talk = Talk { outbox, session, portals, copying: None, reported, generation: 0 };
        Self { inbox, talk, key, shutdown, skipping: false }
    }

    /// Talks until one of the two has had enough.
    pub(super) async fn run(mut self) -> Result<(), Broken> {
        self.talk.report_settings();
        let key = BackendKeyData::new(self.key.process_id, SecretKey::Bytes(self.key.secret.clone()));
        self.talk.outbox.add(PgWireBackendMessage::BackendKeyData(key));
        self.talk.ready().await?;
        // Only who was told that it is its turn can be idle.
        let mut awaited = true;
        loop {
            if let Some(extended) = self.talk.copying.as_ref().map(|copying| copying.extended) {
                if let Some(ended) = self.copy_message().await {
                    awaited = self.answered(ended, extended).await?;
                }
                continue;
            }
            let idle = self.talk.idle_limit().filter(|_| awaited);
            let message = tokio::select! {
                biased;
                () = self.ended() => return Err(Broken::Fatal(shutting_down())),
                message = self.inbox.next() => message,
                error = idle_too_long(idle) => return Err(Broken::Fatal(error)),
            };
            awaited = false;
            let (extended, answered) = match message {
                Ok(Message::Terminate) => return Ok(()),
                Ok(Message::Sync) => {
                    if self.talk.session.has_gathered() {
                        let committed = self.answer(Message::Sync).await;
                        self.answered(committed, true).await?;
                    }
                    self.skipping = false;
                    self.talk.end_batch();
                    self.talk.ready().await?;
                    awaited = true;
                    continue;
                }
                Ok(_) if self.skipping => continue,
                Ok(message) => {
                    let extended = !matches!(message, Message::Query(_) | Message::FunctionCall);
                    (extended, self.answer(message).await)
                }
                Err(Broken::Message(kind, error)) => {
                    (!matches!(kind, b'Q' | b'F'), Err(Broken::Message(kind, error)))
                }
                Err(broken) => return Err(broken),
            };
            awaited = self.answered(answered, extended).await?;
        }
    }

    /// Tells the client how a message was answered; true when it is the client's turn.
    async fn answered(&mut self, answered: Result<(), Broken>, extended: bool) -> Result<bool, Broken> {
        match answered {
            // The client has to be told that it may send.
            Ok(()) if self.talk.copying.is_some() => {
                self.talk.outbox.flush().await?;
                return Ok(false);
            }
            Ok(()) => {}
            Err(Broken::Message(_, error)) => {
                self.talk.session.fail();
                self.talk.session.end_batch(true);
                self.talk.portals.clear();
                self.talk.copying = None;
                self.talk.outbox.error(&error, false);
                // Who sent `Flush` behind what failed waits for this, and it is skipped.
                self.talk.outbox.flush().await?;
                self.skipping = extended;
            }
            Err(broken) => return Err(broken),
        }
        if !extended {
            self.talk.ready().await?;
        }
        Ok(!extended)
    }

    /// Resolves when the server stops, or this session is to end.
    fn ended(&self) -> impl Future<Output = ()> + use<> {
        let (shutdown, signals) = (self.shutdown.clone(), self.talk.session.activity().signals());
        async move {
            tokio::select! {
                () = shutdown.requested() => {}
                () = signals.terminated() => {}
            }
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Broken> {
        let Self { inbox, talk, shutdown, .. } = self;
        let signals = talk.session.activity().signals();
        let grace_over = async {
            shutdown.requested().await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        // A panic of an operator ends the statement, not the connection.
        let work = caught(talk.answer(message));
        tokio::select! {
            biased;
            () = signals.terminated() => Err(Broken::Fatal(shutting_down())),
            () = signals.cancelled() => Err(Error::cancelled().into()),
            () = inbox.gone() => Err(Broken::Gone),
            () = grace_over => Err(Broken::Fatal(shutting_down())),
            done = work => done.unwrap_or_else(|panic| Err(Error::internal(panic).into())),
        }
    }
}

/// A statement and its text.
pub(super) type Said = (Statement, String);

/// What a statement failed by.
pub(super) fn error_in<T>(done: &Result<T, Broken>) -> Option<&Error> {
    match done {
        Err(Broken::Message(_, error) | Broken::Fatal(error)) => Some(error),
        _ => None,
    }
}

impl Talk<'_> {
    async fn answer(&mut self, message: Message) -> Result<(), Broken> {
        match message {
            Message::Query(sql) => {
                self.session.activity().begin(&sql);
                self.simple(&sql).await.map_err(|broken| located(broken, &sql))
            }
            Message::Parse { name, sql, types } => {
                self.session.activity().begin(&sql);
                self.parse(name, &sql, &types).await.map_err(|broken| located(broken, &sql))
            }
            Message::Bind { portal, statement, formats, values, results } => {
                self.bind(portal, &statement, &formats, &values, &results).await
            }
            Message::Describe { target, name } => self.describe(target, &name).map_err(Broken::from),
            Message::Execute { portal, rows_max } => {
                self.session.begin_batch(Batch::Pipeline);
                self.execute(&portal, rows_max).await
            }
            Message::Close { target, name } => {
                self.close(target, &name);
                Ok(())
            }
            Message::Flush => Ok(self.outbox.flush().await?),
            Message::FunctionCall => {
                Err(Error::new("0A000", "function calls of the protocol are not supported").into())
            }
            Message::Password(_) => Err(Broken::Fatal(Error::new("08P01", "unexpected password message"))),
            Message::CopyDone => self.copied().await,
            Message::Sync => self.commit_batch().await,
            Message::CopyData(_) | Message::CopyFail(_) | Message::Terminate => Ok(()),
        }
    }

    /// Every statement of a text, one after the other; the first that fails ends it.
    async fn simple(&mut self, sql: &str) -> Result<(), Broken> {
        let statements = statement::parse_said(sql)?;
        if statements.is_empty() {
            self.outbox.add(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        // The unnamed statement and portal end with a simple query.
        self.session.forget("");
        self.portals.remove("");
        if statements.len() > 1 {
            self.session.begin_batch(Batch::Message);
        }
        self.statements(statements.into()).await
    }

    /// The statements of a simple query, up to one that copies in: what follows it waits.
    async fn statements(&mut self, mut statements: VecDeque<Said>) -> Result<(), Broken> {
        while let Some((statement, text)) = statements.pop_front() {
            let audited = self.session.audited(&statement, &text);
            let deadline = self.session.deadline();
            let done = within(deadline, self.one(statement)).await;
            audited.end(error_in(&done));
            done?;
            if let Some(copying) = &mut self.copying {
                copying.then = statements;
                return Ok(());
            }
        }
        if self.session.has_gathered() {
            self.commit_batch().await?;
        }
        self.session.end_batch(false);
        Ok(())
    }

    /// The rows that the statements of a message or a pipeline have for sources become durable.
    async fn commit_batch(&mut self) -> Result<(), Broken> {
        let committing = async { Ok(self.session.commit_rows().await?) };
        within(self.session.deadline(), committing).await?;
        self.tell_notices();
        Ok(())
    }

    async fn one(&mut self, statement: Statement) -> Result<(), Broken> {
        let (prepared, values) = self.session.prepare_simple(statement).await?;
        if prepared.parameters.len() != values.len() {
            return Err(Error::new("42P02", "there is no parameter $1")
                .with_hint("Parameters need the extended protocol, or PREPARE and EXECUTE.")
                .into());
        }
        let before = self.session.transaction_status();
        match self.session.open(&prepared, values).await? {
            Answer::Rows { schema, rows, .. } if let Statement::Copy(copy) = prepared.statement() => {
                self.copy_out(&copy.options, &schema, rows).await?;
            }
            Answer::Rows { schema, rows, tag, .. } => {
                let formats = vec![self.format_of(prepared.statement()); schema.fields().len()];
                self.outbox.add(rows::description(&schema, &formats));
                let mut rows = Rows::new(&schema, rows, formats, self.style()?);
                let sent = rows.send(self.outbox, None).await.map_err(stopped)?;
                self.outbox.complete(tag_of(tag, sent.rows));
            }
            Answer::CopyIn(target) => {
                if let Statement::CopyIn(copy) = prepared.statement() {
                    self.copy_in(target, &copy.options, false)?;
                }
            }
            Answer::Tag(tag) => self.done(prepared.statement(), tag, before),
            Answer::Empty => {}
        }
        Ok(())
    }

    /// How values are printed now.
    pub(super) fn style(&self) -> Result<Style, Error> {
        Style::of(&self.session.settings().lock())
    }

    /// The format of rows that the simple protocol did not ask for.
    fn format_of(&self, statement: &Statement) -> Format {
        match statement {
            Statement::Fetch { cursor, .. } if self.session.cursors().lock().is_binary(cursor) => {
                Format::Binary
            }
            _ => Format::Text,
        }
    }

    /// A statement without rows is done; `before` is how the session stood to transactions.
    pub(super) fn done(&mut self, statement: &Statement, tag: Cow<'static, str>, before: TransactionStatus) {
        match (statement, before) {
            (Statement::Begin(_), TransactionStatus::Open) => {
                self.warn(&Error::new("25001", "there is already a transaction in progress"));
            }
            (Statement::Commit { .. } | Statement::Rollback { .. }, TransactionStatus::Idle) => {
                self.warn(&Error::new("25P01", "there is no transaction in progress"));
            }
            (Statement::SetTransaction { session: false, .. }, TransactionStatus::Idle) => {
                let message = "SET TRANSACTION can only be used in transaction blocks";
                self.warn(&Error::new("25P01", message));
            }
            (
                Statement::Commit { .. }
                | Statement::Rollback { .. }
                | Statement::Discard(Discarded::All)
                | Statement::Close(None),
                _,
            ) => {
                self.portals.clear();
            }
            _ => {}
        }
        self.tell_notices();
        self.report_settings();
        self.outbox.complete(tag.into_owned());
    }

    /// What the session has to say beside its answer.
    fn tell_notices(&mut self) {
        for notice in self.session.take_notices() {
            self.tell(&notice, Severity::of(&notice));
        }
    }

    fn warn(&mut self, warning: &Error) {
        self.tell(warning, Severity::Warning);
    }

    /// Says something if the client wants to hear it.
    fn tell(&mut self, said: &Error, severity: Severity) {
        let least = self.session.settings().lock().get("client_min_messages").unwrap_or_default();
        if severity.is_told(&least) {
            self.outbox.notice(said, severity);
        }
    }

    fn is_idle(&self) -> bool {
        self.session.transaction_status() == TransactionStatus::Idle
    }

    /// How long the client may say nothing now, and the error when it does.
    fn idle_limit(&self) -> Option<(Duration, Error)> {
        let (setting, code, what) = match self.session.transaction_status() {
            TransactionStatus::Idle => ("idle_session_timeout", "57P05", "idle-session timeout"),
            _ => ("idle_in_transaction_session_timeout", "25P03", "idle-in-transaction timeout"),
        };
        let limit = self.session.settings().lock().duration(setting)?;
        Some((limit, Error::new(code, format!("terminating connection due to {what}"))))
    }

    /// `Sync`: outside of a transaction nothing stays open.
    fn end_batch(&mut self) {
        self.session.end_batch(false);
        if self.is_idle() {
            self.portals.clear();
            self.session.end_portals();
        }
    }

    /// `ReadyForQuery`, and everything before it goes out.
    async fn ready(&mut self) -> Result<(), Broken> {
        self.report_settings();
        let (status, doing) = match self.session.transaction_status() {
            TransactionStatus::Idle => (Status::Idle, Doing::Idle),
            TransactionStatus::Open => (Status::Transaction, Doing::InTransaction),
            TransactionStatus::Failed => (Status::Error, Doing::InFailedTransaction),
        };
        self.session.activity().rest(doing);
        self.outbox.add(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status)));
        Ok(self.outbox.flush().await?)
    }

    /// Tells the client of reported settings that are not as it knows them.
    fn report_settings(&mut self) {
        let settings = self.session.settings().lock();
        if settings.generation() == self.generation {
            return;
        }
        self.generation = settings.generation();
        for definition in settings::DEFINITIONS.iter().filter(|definition| definition.reported) {
            let value = settings.get(definition.name).unwrap_or_default();
            if self.reported.get(definition.name) != Some(&value) {
                let status = ParameterStatus::new(definition.name.to_string(), value.clone());
                self.outbox.add(PgWireBackendMessage::ParameterStatus(status));
                self.reported.insert(definition.name, value);
            }
        }
    }
}

/// Resolves when a limit has passed; never without one.
async fn idle_too_long(limit: Option<(Duration, Error)>) -> Error {
    let Some((limit, error)) = limit else { return std::future::pending().await };
    tokio::time::sleep(limit).await;
    error
}

/// An error of a text, with its position in the text.
pub(super) fn located(broken: Broken, sql: &str) -> Broken {
    match broken {
        Broken::Message(kind, error) => Broken::Message(kind, error.located(sql)),
        other => other,
    }
}

/// The tag of rows: queries and what reads cursors count them.
pub(super) fn tag_of(tag: &str, rows: u64) -> String {
    if matches!(tag, "SELECT" | "FETCH") { format!("{tag} {rows}") } else { tag.to_string() }
}

pub(super) fn stopped(failure: SendFailure) -> Broken {
    match failure {
        SendFailure::Statement(error) => error.into(),
        SendFailure::Gone => Broken::Gone,
    }
}

/// Holds a statement to its time, sending included.
pub(super) async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    match deadline {
        Some(deadline) => {
            let done = tokio::time::timeout_at(deadline.into(), work).await;
            done.unwrap_or_else(|_| Err(Error::timed_out().into()))
        }
        None => work.await,
    }
}
