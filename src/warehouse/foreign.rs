//! Tables that others write, while they run: opened before the models are planned, then looked at for new versions.

use super::system::{optional_text, seconds_since, text, time};
use crate::bronze::StatusCell;
use crate::catalog::foreign::{column_errors, folder_of};
use crate::catalog::live::Row;
use crate::catalog::plan::ForeignColumns;
use crate::catalog::project::Project;
use crate::ingest::Reporter as _;
use crate::lake::{self, Followed, Table, TableName, chain};
use crate::ops::clock;
use crate::ops::retry::{backoff, spread};
use crate::refresh::ForeignTable;
use crate::sql::{Error, ForeignDefinition, word_origin};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Every table of others, or why it cannot be read.
pub(crate) type Others = BTreeMap<TableName, Result<Arc<Table>, Vec<Error>>>;

/// Opens every table of others that a project declares.
pub(crate) async fn open_all(project: &Arc<Project>) -> Others {
    let project = Arc::clone(project);
    let open = move || {
        let definitions = project.foreign.values();
        definitions.map(|definition| (definition.name.clone(), open(&project, definition))).collect()
    };
    tokio::task::spawn_blocking(open).await.unwrap_or_default()
}

/// The columns of those that could be opened.
pub(crate) fn columns(others: &Others) -> ForeignColumns {
    let opened = others.iter().filter_map(|(name, table)| Some((name, table.as_ref().ok()?)));
    opened.map(|(name, table)| (name.clone(), Arc::clone(&table.snapshot().schema))).collect()
}

/// What tells the tables of others among a model's inputs from what stood there before. Other columns of the same table
/// are changes like any other.
pub(super) fn identity(others: &Others, inputs: &[TableName]) -> Vec<String> {
    let opened = inputs.iter().filter_map(|name| Some((name, others.get(name)?.as_ref().ok()?)));
    opened.map(|(name, table)| format!("{name} {}", table.snapshot().id())).collect()
}

fn open(project: &Project, definition: &ForeignDefinition) -> Result<Arc<Table>, Vec<Error>> {
    let folder = folder_of(project, definition);
    let name = &definition.name;
    let error = |code, message: String| {
        let place = word_origin(&definition.sql, &definition.origin, "path");
        Error::new(code, place.unwrap_or_else(|| definition.origin.clone()), message)
    };
    let hint = "Write the path of a Delta table's folder; relative paths start at the project folder.";
    if !folder.is_dir() {
        let message = format!("folder {} of \"{name}\" does not exist", folder.display());
        return Err(vec![error("58P01", message).with_hint(hint)]);
    }
    let table = Table::open_foreign(name, &folder).map_err(|found| {
        vec![match found {
            lake::Error::Missing { .. } => {
                let message = format!(
                    "folder {} of \"{name}\" is no Delta table: it has no _delta_log",
                    folder.display()
                );
                error("58P01", message).with_hint(hint)
            }
            lake::Error::Unsupported { .. } => error("0A000", chain(&found)),
            other => error("58030", format!("\"{name}\" cannot be read: {}", chain(&other))),
        }]
    })?;
    match column_errors(project, definition, &table.snapshot().schema) {
        errors if errors.is_empty() => Ok(table),
        errors => Err(errors),
    }
}

/// A table of others as the rest of the warehouse sees it.
pub(super) struct RunningForeign {
    definition: Arc<ForeignDefinition>,
    /// `None` when it cannot be read.
    table: Option<Arc<Table>>,
    status: StatusCell,
    started_at: DateTime<Utc>,
    moved: watch::Sender<i64>,
}

impl RunningForeign {
    pub(super) fn new(
        definition: &Arc<ForeignDefinition>,
        opened: &Result<Arc<Table>, Vec<Error>>,
        retries_max: u32,
    ) -> Self {
        let status = StatusCell::new(retries_max);
        match opened {
            Ok(_) => status.healthy(),
            Err(errors) => {
                let reason = said(errors);
                tracing::error!(source = %definition.name, error = reason, "table of others cannot be read");
                status.trouble(&reason);
            }
        }
        let table = opened.as_ref().ok().cloned();
        let version = table.as_ref().map_or(0, |table| table.snapshot().version);
        Self {
            definition: Arc::clone(definition),
            table,
            status,
            started_at: clock::now(),
            moved: watch::Sender::new(version),
        }
    }

    /// As the waves see it; `None` when it cannot be read.
    pub(super) fn for_waves(&self) -> Option<ForeignTable> {
        Some(ForeignTable { table: Arc::clone(self.table.as_ref()?), moved: self.moved.subscribe() })
    }

    pub(super) fn name(&self) -> &TableName {
        &self.definition.name
    }

    /// How it is doing.
    pub(super) fn status(&self) -> &StatusCell {
        &self.status
    }

    pub(super) fn table(&self) -> Option<&Arc<Table>> {
        self.table.as_ref()
    }

    /// Its row of `sluice.sources`.
    pub(super) fn row(&self) -> Row {
        let status = self.status.get();
        let rows = self.table.as_ref().and_then(|table| table.snapshot().rows());
        let since = status.last_commit_at.unwrap_or(self.started_at);
        vec![
            text(&self.definition.name.to_string()),
            text("delta"),
            text(status.state.as_str()),
            optional_text(status.error.as_deref()),
            rows.and_then(|rows| i64::try_from(rows).ok()).into(),
            ScalarValue::Int64(None),
            ScalarValue::Float64(None),
            ScalarValue::Int64(None),
            seconds_since(since).into(),
            time(None),
            time(status.last_commit_at),
        ]
    }
}

/// Looks at a table again and again until stopped. `reload` is told when models must be planned anew: the table has come
/// to be there, or it is not what they were planned over.
pub(super) async fn follow(
    foreign: Arc<RunningForeign>,
    project: Arc<Project>,
    reload: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut told = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(foreign.pause()) => {}
        }
        let (looked_at, its_project) = (Arc::clone(&foreign), Arc::clone(&project));
        let look = tokio::task::spawn_blocking(move || looked_at.look(&its_project)).await;
        let is_due = look.unwrap_or(false);
        if is_due && !told {
            reload.notify_one();
        }
        told = is_due;
    }
}

impl RunningForeign {
    /// How long it is left alone: where it cannot be read, ever longer.
    fn pause(&self) -> Duration {
        match self.status.get().failures {
            0 => self.definition.poll,
            failures => self.definition.poll.max(spread(backoff(failures), rand::random())),
        }
    }

    /// Takes over what is new; true when models must be planned anew. Blocks.
    fn look(&self, project: &Project) -> bool {
        let Some(table) = &self.table else {
            let opened = open(project, &self.definition);
            opened.as_ref().inspect_err(|errors| self.status.trouble(&said(errors))).ok();
            return opened.is_ok();
        };
        match table.follow() {
            Ok(Followed::Rests) => self.status.healthy(),
            Ok(Followed::Moved) => {
                self.status.healthy();
                self.status.committed(0, 0, None, clock::now(), clock::instant());
                self.moved.send_replace(table.snapshot().version);
            }
            Ok(Followed::Changed) => return true,
            Err(error) => self.status.trouble(&chain(&error)),
        }
        false
    }
}

fn said(errors: &[Error]) -> String {
    errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
}
