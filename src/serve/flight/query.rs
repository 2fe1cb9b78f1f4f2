//! From a statement's text to a stream of batches.
//!
//! Comes in: SQL, the newest cut. Goes out: a [`Query`] pinned to that cut, and from it batches that were never
//! collected: a task of its own runs the query and stays at most [`BATCHES_AHEAD_MAX`] batches ahead of the client.
//! It ends with the client, at the statement's timeout, when cancelled or at shutdown. Failure: an [`Error`] with its
//! SQLSTATE; a panic inside an operator is one too.

use super::outgoing::plain_schema;
use super::placeholders::numbered;
use crate::ops::clock;
use crate::serve::{Error, Readers};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::{FutureExt as _, StreamExt as _};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// How far a query may run ahead of the client that reads it.
const BATCHES_AHEAD_MAX: usize = 2;

/// A planned query over one cut.
#[derive(Clone)]
pub(super) struct Query {
    context: SessionContext,
    plan: LogicalPlan,
    /// The columns that clients see.
    pub(super) schema: SchemaRef,
    /// Fires when the client cancels.
    pub(super) cancelled: CancellationToken,
}

/// A placeholder of a statement: its number is its place in the list; the type if it can be inferred.
pub(super) type Parameter = Option<DataType>;

impl Query {
    /// Plans a statement against the newest cut; only queries are taken.
    pub(super) async fn plan(readers: &Readers, sql: &str) -> Result<Self, Error> {
        let cut = readers.cuts.borrow().clone();
        let context = readers.engine.session_over(&cut);
        let plan = context.state().create_logical_plan(&numbered(sql)).await.map_err(from_datafusion)?;
        let queries_only =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        queries_only.verify_plan(&plan).map_err(|_| not_a_query())?;
        Ok(Self::new(context, plan))
    }

    fn new(context: SessionContext, plan: LogicalPlan) -> Self {
        let schema = plain_schema(plan.schema().as_arrow());
        Self { context, plan, schema, cancelled: CancellationToken::new() }
    }

    /// The statement's placeholders, `$1` first.
    pub(super) fn parameters(&self) -> Result<Vec<Parameter>, Error> {
        let mut parameters = Vec::new();
        for (name, data_type) in self.plan.get_parameter_types().map_err(from_datafusion)? {
            let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
            let Some(number) = number.filter(|n| *n <= usize::from(u16::MAX)) else {
                return Err(Error::new("42P02", format!("there is no parameter {name}"))
                    .with_hint("Write placeholders as $1, $2 or as ?."));
            };
            if parameters.len() < number {
                parameters.resize(number, None);
            }
            parameters[number - 1] = data_type;
        }
        Ok(parameters)
    }

    /// The query with its placeholders filled in.
    pub(super) fn bind(self, values: Vec<ScalarValue>) -> Result<Self, Error> {
        let parameters = self.parameters()?;
        if parameters.len() != values.len() {
            return Err(Error::new(
                "08P01",
                format!("{} parameters were bound, the statement takes {}", values.len(), parameters.len()),
            ));
        }
        if values.is_empty() {
            return Ok(self);
        }
        let values: Vec<ScalarValue> = values
            .into_iter()
            .zip(parameters)
            .map(|(value, parameter)| typed(value, parameter.as_ref()))
            .collect::<Result<_, Error>>()?;
        let plan = self.plan.with_param_values(ParamValues::from(values)).map_err(from_datafusion)?;
        Ok(Self::new(self.context, plan))
    }

    /// Starts the query.
    pub(super) async fn run(
        &self,
        limits: RunLimits,
    ) -> Result<ReceiverStream<Result<RecordBatch, Error>>, Error> {
        if !self.parameters()?.is_empty() {
            return Err(Error::new("08P01", "the statement has parameters that are not bound")
                .with_hint("Prepare it and bind values."));
        }
        let stop = Stop::new(limits, self.cancelled.clone());
        let start =
            async { self.context.execute_logical_plan(self.plan.clone()).await?.execute_stream().await };
        let mut reason = Box::pin(stop.reason());
        let batches = tokio::select! {
            biased;
            error = &mut reason => return Err(error),
            started = AssertUnwindSafe(start).catch_unwind() => {
                started.map_err(|_| panicked())?.map_err(from_datafusion)?
            }
        };
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD_MAX);
        tokio::spawn(pump(batches, sender, reason));
        Ok(ReceiverStream::new(receiver))
    }
}

/// What ends a query early.
#[derive(Clone)]
pub(super) struct RunLimits {
    /// Longest run, sending included; `None` for no limit.
    pub(super) timeout: Option<Duration>,
    /// Fires when the server stops waiting for running queries.
    pub(super) server_stop: CancellationToken,
}

struct Stop {
    deadline: Option<std::time::Instant>,
    server_stop: CancellationToken,
    cancelled: CancellationToken,
}

impl Stop {
    fn new(limits: RunLimits, cancelled: CancellationToken) -> Self {
        let deadline = limits.timeout.and_then(|timeout| clock::instant().checked_add(timeout));
        Self { deadline, server_stop: limits.server_stop, cancelled }
    }

    /// Resolves when the query must end, with what the client is told.
    async fn reason(self) -> Error {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timeout => Error::new("57014", "canceling statement due to statement timeout"),
            () = self.cancelled.cancelled() => Error::new("57014", "canceling statement due to user request"),
            () = self.server_stop.cancelled() => Error::new("57P01", "the server is shutting down"),
        }
    }
}

/// Runs a query until it ends, its client goes, or `reason` resolves; whatever it holds is freed then.
async fn pump(
    mut batches: SendableRecordBatchStream,
    sender: mpsc::Sender<Result<RecordBatch, Error>>,
    mut reason: impl Future<Output = Error> + Unpin,
) {
    let last = loop {
        let item = tokio::select! {
            biased;
            error = &mut reason => break error,
            () = sender.closed() => return,
            item = AssertUnwindSafe(batches.next()).catch_unwind() => item,
        };
        let batch = match item {
            Ok(None) => return,
            Ok(Some(Ok(batch))) => batch,
            Ok(Some(Err(error))) => break from_datafusion(error),
            Err(_) => break panicked(),
        };
        tokio::select! {
            biased;
            error = &mut reason => break error,
            sent = sender.send(Ok(batch)) => if sent.is_err() { return },
        }
    };
    // Freed before the client has read up to here: it may never do so.
    drop(batches);
    let _ = sender.send(Err(last)).await;
}

/// A text value where the statement wants another type is read as PostgreSQL reads an untyped literal.
fn typed(value: ScalarValue, parameter: Option<&DataType>) -> Result<ScalarValue, Error> {
    match parameter {
        Some(wanted) if is_text(&value.data_type()) && !is_text(wanted) => {
            value.cast_to(wanted).map_err(|_| {
                Error::new("22P02", format!("invalid input for a parameter of type {wanted}: {value}"))
            })
        }
        _ => Ok(value),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn not_a_query() -> Error {
    Error::new("0A000", "only queries can be run over Flight SQL")
        .with_hint("Define sources and models as SQL files of the project; run other statements with psql.")
}

fn panicked() -> Error {
    tracing::error!("a query panicked");
    Error::new("XX000", "internal error: the query ended unexpectedly")
}

/// The SQLSTATE and the message of an engine's error.
pub(super) fn from_datafusion(error: DataFusionError) -> Error {
    use datafusion::common::SchemaError;
    let message = error.strip_backtrace();
    let root = error.find_root();
    let code = match root {
        DataFusionError::SQL(..) => "42601",
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::AmbiguousReference { .. } => "42702",
            SchemaError::FieldNotFound { .. } => "42703",
            SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. } => {
                "42701"
            }
        },
        DataFusionError::Plan(text) if text.starts_with("table '") && text.contains("' not found") => "42P01",
        DataFusionError::Plan(text) if text.contains("Invalid function") => "42883",
        DataFusionError::Plan(_) => "42601",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            arrow::error::ArrowError::DivideByZero => "22012",
            arrow::error::ArrowError::ArithmeticOverflow(_) => "22003",
            arrow::error::ArrowError::CastError(_) | arrow::error::ArrowError::ParseError(_) => "22P02",
            arrow::error::ArrowError::ComputeError(_) | arrow::error::ArrowError::InvalidArgumentError(_) => {
                "22000"
            }
            _ => "XX000",
        },
        DataFusionError::Execution(_) => "22000",
        _ => "XX000",
    };
    Error::new(code, message)
}
