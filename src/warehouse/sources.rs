//! Sources while they run: each in a task of its own, each with its writer.

use super::secrets::Values;
use super::unopened;
use crate::bronze::{FlushLimits, LoadRecord, SourceState, StatusCell, Stream, run_writer};
use crate::catalog::options::{doubt, value_of};
use crate::catalog::project::Project;
use crate::ingest::open::{Opened, Renew, open_source, unlocked};
use crate::ingest::{Inboxes, Outlet, Reporter, Resume, SourceError};
use crate::lake::Lake;
use crate::ops::clock;
use crate::ops::secret::Secrets;
use crate::sql::{ConnectionDefinition, OptionValue, SourceDefinition};
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Batches waiting between a source and its writer: the back-pressure.
const BATCHES_WAITING_MAX: usize = 8;

/// Payload bytes at which a commit is due before its age.
const FLUSH_BYTES_MAX: u64 = 32 << 20;

/// How long a writer may try to finish when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// A source as the rest of the warehouse sees it.
pub(super) struct RunningSource {
    pub(super) definition: Arc<SourceDefinition>,
    /// `None` when its tables could not be opened.
    pub(super) stream: Option<Arc<Stream>>,
    pub(super) status: StatusCell,
    pub(super) started_at: DateTime<Utc>,
}

/// A source's tasks.
pub(super) struct SourceTasks {
    source: JoinHandle<()>,
    writer: JoinHandle<()>,
    abandon: CancellationToken,
}

impl SourceTasks {
    /// Waits until what was read is committed. The stop must have been asked for.
    pub(super) async fn drain(self) {
        let _ = self.source.await;
        let mut writer = self.writer;
        if tokio::time::timeout(DRAIN_MAX, &mut writer).await.is_err() {
            self.abandon.cancel();
            let _ = writer.await;
        }
    }
}

/// Opens a source's tables. A source that cannot be opened is shown as failed; the others go on.
pub(super) async fn open(
    lake: &Arc<Lake>,
    definition: &Arc<SourceDefinition>,
    values: &Values,
    retries_max: u32,
) -> (RunningSource, Resume) {
    let status = StatusCell::new(retries_max);
    // Without its key a source opens and does not start: starting it says why.
    let unlocked = unlocked(definition, &|value| look_up(values, value));
    let definition = &unlocked.unwrap_or_else(|_| Arc::clone(definition));
    let opened = Stream::open(Arc::clone(lake), Arc::clone(definition)).await;
    let (stream, resume) = match opened {
        Ok((stream, resume)) => (Some(Arc::new(stream)), resume),
        Err(error) => {
            let reason = unopened::reason("source", &error);
            tracing::error!(source = %definition.name, error = reason, "source could not be opened");
            status.fail(reason);
            (None, Resume::default())
        }
    };
    let running =
        RunningSource { definition: Arc::clone(definition), stream, status, started_at: clock::now() };
    (running, resume)
}

/// Starts a source and its writer. `None` when it cannot start: its status says why.
pub(super) fn start(
    source: &RunningSource,
    resume: Resume,
    (project, values, secrets): (&Project, &Values, &Arc<Secrets>),
    inboxes: &Inboxes,
    flush_age_max: Duration,
    log: impl Fn(LoadRecord) + Send + Sync + 'static,
    stop: &CancellationToken,
) -> Option<SourceTasks> {
    let stream = Arc::clone(source.stream.as_ref()?);
    let resolve = |value: &OptionValue| look_up(values, value);
    let connection = source.definition.connection.as_ref().and_then(|name| project.connections.get(name));
    let renew = renew(&source.definition, connection, secrets);
    let connection = connection.map(Arc::as_ref);
    let opened = open_source(&source.definition, &project.folder, &resolve, connection, Some(renew));
    let Opened { source: reader, inbox } = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(source = %source.definition.name, %error, "source cannot start");
            source.status.fail(error.to_string());
            return None;
        }
    };
    if let Some(inbox) = inbox {
        inboxes.write().insert(source.definition.name.name.clone(), inbox);
    }
    let (batches, received) = mpsc::channel(BATCHES_WAITING_MAX);
    let abandon = CancellationToken::new();
    let limits = FlushLimits { age_max: flush_age_max, bytes_max: FLUSH_BYTES_MAX };
    let writer = run_writer(stream, received, limits, source.status.clone(), log, abandon.clone());
    let outlet = Outlet { batches, reporter: Arc::new(source.status.clone()), stop: stop.clone() };
    let (status, name, stop) = (source.status.clone(), source.definition.name.clone(), stop.clone());
    let run = async move {
        status.healthy();
        match reader.run(resume, outlet).await {
            Ok(()) if stop.is_cancelled() => status.end(SourceState::Stopped),
            Ok(()) => status.end(SourceState::Finished),
            Err(error) => {
                tracing::error!(source = %name, %error, "source stopped");
                status.fail(error.to_string());
            }
        }
    };
    Some(SourceTasks { source: tokio::spawn(run), writer: tokio::spawn(writer), abandon })
}

/// Reads a source's options once more: secrets as they are then.
fn renew(
    source: &Arc<SourceDefinition>,
    connection: Option<&Arc<ConnectionDefinition>>,
    secrets: &Arc<Secrets>,
) -> Renew {
    let (source, connection, secrets) = (Arc::clone(source), connection.cloned(), Arc::clone(secrets));
    Arc::new(move || {
        let (source, connection, secrets) = (Arc::clone(&source), connection.clone(), Arc::clone(&secrets));
        let read = async move {
            let given = connection.iter().flat_map(|connection| &connection.options).chain(&source.options);
            let mut options = BTreeMap::new();
            for (key, value) in given {
                doubt(value, &secrets);
                let value = value_of(value, &secrets).await.map_err(|error| error.to_string())?;
                options.insert(key.clone(), value);
            }
            Ok(options)
        };
        read.boxed()
    })
}

/// An option's value; secrets were read when the project started.
fn look_up(values: &Values, value: &OptionValue) -> Result<String, SourceError> {
    let name = match value {
        OptionValue::Text(text) => return Ok(text.clone()),
        OptionValue::Secret(name) => name,
    };
    match values.get(name) {
        Some(Ok(value)) => Ok(value.reveal().to_string()),
        Some(Err(error)) => Err(SourceError::Setting(error.to_string())),
        None => Err(SourceError::Setting(format!("secret \"{name}\" is not defined"))),
    }
}
