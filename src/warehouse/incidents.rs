//! `sluice.incidents`: sources, models, alerts and whom these tell, when in trouble which does not pass by itself; noted
//! while the project runs.

use super::foreign::RunningForeign;
use super::sources::RunningSource;
use super::system::{Journals, optional_text, text, time};
use crate::bronze::{LoadRecord, SourceState, StatusCell};
use crate::catalog::cut::Freshness;
use crate::catalog::definitions::WatchName;
use crate::catalog::live::Journal;
use crate::deliver::alerts::Alerts;
use crate::lake::{self, TableName};
use crate::ops::clock;
use crate::quality::{Health, Incident, Incidents};
use crate::refresh::{ModelStatus, StatusBoard};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked, and journals are written.
const PERIOD: Duration = Duration::from_secs(1);

/// The query behind `sluice.incidents`: an incident is noted when it opens, when there is news of it, when it closes.
pub(super) const QUERY: &str = "SELECT id, object, kind, opened_at, max(closed_at) AS closed_at, max(attempts) AS attempts, \
     last_value(error ORDER BY at) AS error, \
     CASE WHEN max(closed_at) IS NULL THEN 'open' ELSE 'closed' END AS state \
     FROM sluice.incident_log GROUP BY id, object, kind, opened_at";

/// Looks after incidents.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) board: StatusBoard,
    pub(super) sources: Arc<Vec<RunningSource>>,
    pub(super) foreign: Vec<Arc<RunningForeign>>,
    pub(super) journals: Journals,
    pub(super) retries_max: u32,
    pub(super) incidents: Arc<Mutex<Incidents>>,
    pub(super) alerts: Arc<Alerts>,
    /// Typed audits and alerts that do not stand any more, and why.
    pub(super) unwatched: BTreeMap<WatchName, String>,
}

impl Watch {
    /// Looks, and writes the journals, until stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.log_failed_loads(true),
                () = tokio::time::sleep(PERIOD) => {
                    self.look();
                    self.log_failed_loads(false);
                    self.journals.flush().await;
                }
            }
        }
    }

    /// Notes what has changed.
    fn look(&self) {
        let models = self.board.all().into_iter();
        let models = models.map(|(name, status)| (name.to_string(), health_of_model(status)));
        let sources = self.statuses();
        let sources = sources.map(|(name, status)| (name.to_string(), health_of_source(status)));
        // A source's table is on the board, too: what is known of the source says more.
        let sources: Vec<_> = sources.collect();
        let is_source = |name: &String| sources.iter().any(|(source, _)| source == name);
        let seen = models.filter(|(name, _)| !is_source(name)).chain(sources.clone());
        let unwatched = self.unwatched.iter().map(|(name, error)| {
            let (kind, attempts, is_lasting) = ("definition", 1, true);
            // A file may define another one of the same name, which is well.
            (format!("typed {name}"), Health::Troubled { kind, attempts, is_lasting, error: error.clone() })
        });
        let seen: Vec<_> = seen.chain(self.alerts.healths()).chain(unwatched).collect();
        let name = || uuid::Uuid::new_v4().to_string();
        for incident in self.incidents.lock().observe(&seen, self.retries_max, clock::now(), name) {
            match incident.closed_at {
                None => {
                    tracing::warn!(
                        object = incident.object,
                        kind = incident.kind,
                        error = incident.error,
                        "incident"
                    )
                }
                Some(_) => tracing::info!(object = incident.object, kind = incident.kind, "incident is over"),
            }
            note(&self.journals.incidents, &incident);
        }
    }

    /// Notes loads that failed before there was anything to commit; all of them before nothing more is noted.
    fn log_failed_loads(&self, is_last: bool) {
        for (name, status) in self.statuses() {
            for load in status.take_failed_loads(is_last) {
                self.journals.note_load(&LoadRecord::failed(name, load));
            }
        }
    }

    /// How sources and tables of others are doing.
    fn statuses(&self) -> impl Iterator<Item = (&TableName, &StatusCell)> {
        let sources = self.sources.iter().map(|source| (&source.definition.name, &source.status));
        sources.chain(self.foreign.iter().map(|foreign| (foreign.name(), foreign.status())))
    }
}

fn health_of_model(status: ModelStatus) -> Health {
    match status.freshness {
        Freshness::Fresh => Health::Well,
        Freshness::Stale | Freshness::Awaited => Health::Unknown,
        Freshness::Failed | Freshness::Rejected => Health::Troubled {
            kind: if status.freshness == Freshness::Rejected { "rejected" } else { "refresh" },
            attempts: status.failures,
            is_lasting: status.is_lasting,
            error: status.error.unwrap_or_default(),
        },
    }
}

fn health_of_source(status: &StatusCell) -> Health {
    let status = status.get();
    match status.state {
        SourceState::Starting | SourceState::Stopped => Health::Unknown,
        SourceState::Running | SourceState::Finished => Health::Well,
        SourceState::Troubled | SourceState::Paused | SourceState::Failed => Health::Troubled {
            kind: "ingest",
            attempts: status.failures,
            is_lasting: status.state == SourceState::Failed,
            error: status.error.unwrap_or_default(),
        },
    }
}

fn note(journal: &Journal, incident: &Incident) {
    journal.note(vec![
        text(&incident.id),
        text(&incident.object),
        text(&incident.kind),
        time(Some(incident.opened_at)),
        time(incident.closed_at),
        i64::from(incident.attempts).into(),
        optional_text(Some(&incident.error)),
        time(Some(clock::now())),
    ]);
}

/// The incidents that an earlier process has left open. Blocks.
pub(super) fn recall(journal: &Journal) -> Result<Incidents, lake::Error> {
    let mut noted = Vec::new();
    for rows in journal.written()? {
        noted.extend((0..rows.num_rows()).filter_map(|row| incident_of(&rows, row)));
    }
    noted.sort_by_key(|(at, _)| *at);
    Ok(Incidents::recall(noted.into_iter().map(|(_, incident)| incident)))
}

fn incident_of(rows: &RecordBatch, row: usize) -> Option<(i64, Incident)> {
    let text = |name: &str| {
        let column = rows.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_string())
    };
    let micros = |name: &str| {
        let column = rows.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let attempts = rows.column_by_name("attempts")?.as_primitive_opt::<Int64Type>()?.value(row);
    let incident = Incident {
        id: text("id")?,
        object: text("object")?,
        kind: text("kind")?,
        opened_at: DateTime::from_timestamp_micros(micros("opened_at")?)?,
        closed_at: micros("closed_at").and_then(DateTime::from_timestamp_micros),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        error: text("error").unwrap_or_default(),
    };
    Some((micros("at")?, incident))
}
