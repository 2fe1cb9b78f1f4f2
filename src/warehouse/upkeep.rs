//! Upkeep beside ingest: folding, checkpoints, log cleanup, vacuum, never past what an epoch or a consumer still names;
//! hidden tables that no view uses any more.

use super::system::Journals;
use crate::catalog::cut::Cut;
use crate::config::LimitSettings;
use crate::lake::{Lake, Table, TableName, UpkeepSettings, chain, plan_folds};
use crate::ops::clock;
use crate::refresh::{EpochTable, Model, hidden_tables};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How often files are looked at for folding.
const FOLD_PERIOD: Duration = Duration::from_secs(1);

/// How often logs and removed files are looked at, in fold periods.
const TIDY_EVERY: u32 = 15;

/// How often files that no version names are looked for, in fold periods: at the start, then hourly.
const SWEEP_EVERY: u32 = 3600;

/// Versions that a view may lag behind an input and still find its changes; past that it is recomputed.
const VIEW_LAG_MAX: i64 = 1_000;

/// Cuts as they were: what the retention floor is made of.
#[derive(Default)]
struct History {
    cuts: VecDeque<(Instant, BTreeMap<TableName, i64>)>,
}

impl History {
    fn note(&mut self, now: Instant, cut: &Cut, keep: Duration) {
        let versions = cut.tables.iter().map(|(name, table)| (name.clone(), table.version)).collect();
        self.cuts.push_back((now, versions));
        while self.cuts.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > keep) {
            self.cuts.pop_front();
        }
    }

    /// The oldest version of a table that a kept cut names; `None` when no cut names it.
    fn oldest(&self, table: &TableName) -> Option<i64> {
        self.cuts.iter().filter_map(|(_, versions)| versions.get(table)).copied().min()
    }
}

/// What upkeep looks after, and for how long things are kept.
pub(super) struct Upkeep {
    pub(super) lake: Arc<Lake>,
    pub(super) epochs: EpochTable,
    pub(super) journals: Journals,
    pub(super) models: Vec<Arc<Model>>,
    /// Every model that the project defines, those too that could not be opened.
    pub(super) defined: BTreeSet<String>,
    pub(super) cuts: watch::Receiver<Arc<Cut>>,
    pub(super) limits: LimitSettings,
}

/// Runs until stopped.
pub(super) async fn run(upkeep: Upkeep, stop: CancellationToken) {
    let Upkeep { lake, epochs, journals, models, defined, cuts, limits } = upkeep;
    let (models, defined) = (Arc::new(models), Arc::new(defined));
    let keep = Duration::from_secs(limits.epochs_keep_seconds);
    let settings = UpkeepSettings { keep, ..UpkeepSettings::default() };
    let mut history = History::default();
    let mut round = 0u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FOLD_PERIOD) => {}
        }
        let tables = lake.open_tables();
        for table in &tables {
            for group in plan_folds(&table.snapshot(), &settings) {
                if stop.is_cancelled() {
                    return;
                }
                warn(table, "fold", table.fold(group).await);
            }
        }
        if round.is_multiple_of(TIDY_EVERY) {
            history.note(clock::instant(), &cuts.borrow(), keep);
            for table in &tables {
                let floor = floor(table, &history, &models);
                warn(table, "tidy", table.tidy(floor, settings).await);
            }
            if let Err(error) = epochs.forget(ago(limits.epochs_keep_seconds)).await {
                tracing::warn!(error = chain(&error), "could not forget old epochs");
            }
            journals.forget(ago(limits.journals_keep_seconds)).await;
            let (lake, models, defined) = (Arc::clone(&lake), Arc::clone(&models), Arc::clone(&defined));
            let dropped = spawn_blocking(move || drop_hidden(&lake, &models, &defined, keep)).await;
            if let Ok(Err(error)) = dropped {
                tracing::warn!(error = chain(&error), "upkeep: could not drop a hidden table");
            }
        }
        if round.is_multiple_of(SWEEP_EVERY) {
            for table in &tables {
                warn(table, "sweep", table.sweep_orphans(keep).await);
            }
        }
        round = round.wrapping_add(1);
    }
}

/// Drops the hidden tables that no view needs: those of views that the project has no more, and those that a view's
/// definition does without. Readers and epochs do not name hidden tables, so only refreshes can need them. A project
/// with a file that cannot be read does not run, and a view that cannot be opened is defined all the same: what a mistake
/// hides keeps its tables. What goes is left alone for as long as epochs are kept, so that a file put back in time finds
/// them.
fn drop_hidden(
    lake: &Lake,
    models: &[Arc<Model>],
    defined: &BTreeSet<String>,
    keep: Duration,
) -> Result<(), crate::lake::Error> {
    for (table, owner) in hidden_tables(lake)? {
        if lake.idle(&table)?.is_none_or(|idle| idle < keep) {
            continue;
        }
        let dropped = match models.iter().find(|model| model.name.to_string() == owner) {
            Some(model) => model.let_go(&table, || lake.drop_table(&table)),
            None => (!defined.contains(&owner)).then(|| lake.drop_table(&table)),
        };
        if let Some(dropped) = dropped {
            dropped?;
            tracing::info!(%table, "dropped a hidden table that no view uses any more");
        }
    }
    lake.clear_dropped()
}

fn ago(seconds: u64) -> DateTime<Utc> {
    let ago = chrono::Duration::from_std(Duration::from_secs(seconds)).unwrap_or_default();
    clock::now() - ago
}

/// The oldest version of a table that something still names.
fn floor(table: &Table, history: &History, models: &[Arc<Model>]) -> i64 {
    let newest = table.snapshot().version;
    let consumed = models.iter().filter_map(|model| {
        let consumed = model.consumed_version(table.name());
        match model.streams.contains(table.name()) {
            true => Some(consumed.unwrap_or(0)),
            false => consumed.filter(|version| newest - version <= VIEW_LAG_MAX),
        }
    });
    consumed.chain(history.oldest(table.name())).min().unwrap_or(newest).min(newest)
}

fn warn(table: &Table, what: &str, outcome: Result<(), crate::lake::Error>) {
    if let Err(error) = outcome {
        tracing::warn!(table = %table.name(), error = chain(&error), "upkeep: could not {what}");
    }
}
