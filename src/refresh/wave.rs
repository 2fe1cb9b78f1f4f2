//! Waves: the newest sources, the streaming tables that follow from them, one epoch.

mod backfills;
mod drafts;
mod open;
mod outcome;
mod publish;
mod replays;

use super::auditor::AuditRecord;
use super::backfill::BackfillRecord;
use super::control::{Asked, Control, Extent, Replays, mailbox};
use super::epochs::EpochTable;
use super::model::{Model, REFRESH, RefreshRecord, StatusBoard};
use super::pace::Pace;
use super::standing::{Showcase, Standing};
use super::streaming::{self, Ground, Refreshed};
use super::unit_test::Subject;
use super::waits::Maintained;
use super::{Error, settled, trigger};
use crate::bronze::{LoadRecord, Stream};
use crate::catalog::cut::{Cut, Freshness, Relation};
use crate::engine::Engine;
use crate::lake::{Lake, Snapshot, Table, TableName};
use crate::ops::clock;
use backfills::{Backfill, Slicing, slice_done};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use drafts::Drafts;
use futures::future::{BoxFuture, join_all};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Replays, and backfills, that wait for the next wave at most; more wait to be sent.
const REPLAYS_WAITING_MAX: usize = 64;

/// Bounds of the waves.
#[derive(Clone, Copy, Debug)]
pub struct WaveSettings {
    /// Time between the starts of two waves, at least and over time.
    pub period_min: Duration,
    /// Materialized views computed at once.
    pub lanes_max: usize,
}

/// A table that others write.
#[derive(Clone)]
pub struct ForeignTable {
    /// The table, which another task follows.
    pub table: Arc<Table>,
    /// Its newest version: a wave is due when that moves.
    pub moved: watch::Receiver<i64>,
}

/// What a project looks like to the waves: everything that does not change while it runs.
#[derive(Clone)]
pub struct Shape {
    /// Changes when the project does.
    pub number: u64,
    /// Every relation that readers see.
    pub relations: BTreeMap<TableName, Arc<Relation>>,
    /// Providers of relations that are not Delta tables (system tables).
    pub live: BTreeMap<TableName, Arc<dyn TableProvider>>,
    /// Sources.
    pub streams: Vec<Arc<Stream>>,
    /// Tables that others write.
    pub foreign: Vec<ForeignTable>,
    /// Stored models, inputs first.
    pub models: Vec<Arc<Model>>,
    /// Views whose query depends on the time.
    pub clock_models: Vec<TableName>,
    /// Models and views as unit tests take them.
    pub subjects: Arc<BTreeMap<TableName, Subject>>,
}

/// Everything a run of waves is given.
pub struct Waves {
    /// The lake.
    pub lake: Arc<Lake>,
    /// The engine.
    pub engine: Engine,
    /// The project.
    pub shape: Shape,
    /// Where epochs are kept.
    pub epochs: EpochTable,
    /// Where cuts are published.
    pub cuts: watch::Sender<Arc<Cut>>,
    /// Where states are shown.
    pub board: StatusBoard,
    /// Where refreshes are recorded.
    pub record: Arc<dyn Fn(RefreshRecord) + Send + Sync>,
    /// Where audits are recorded that look at what readers see.
    pub audited: Arc<dyn Fn(AuditRecord) + Send + Sync>,
    /// Where loads are recorded that come of records decoded again.
    pub loaded: Arc<dyn Fn(LoadRecord) + Send + Sync>,
    /// Where backfills are recorded, for good once it resolves.
    pub backfilled: Arc<dyn Fn(BackfillRecord) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Backfills that an earlier run has left.
    pub backfills: Vec<BackfillRecord>,
    /// Through which models are asked to refresh.
    pub control: Control,
    /// Bounds.
    pub settings: WaveSettings,
}

/// Publishes the last epoch's cut at once, then runs waves until `stop`, then one last wave over what was committed
/// before.
pub async fn run_waves(waves: Waves, stop: CancellationToken) -> Result<(), Error> {
    let mut run = Run::open(waves).await?;
    run.mark_stale();
    let bell = Arc::new(Notify::new());
    let (reports, mut reported) = mpsc::channel(64);
    let lanes_stop = stop.child_token();
    let mut tasks = run.ring_on_commits(&bell, &lanes_stop);
    let (asker, mut asked) = mailbox();
    let (replayer, mut replays) = mpsc::channel(REPLAYS_WAITING_MAX);
    let (backfiller, mut backfills) = mpsc::channel(REPLAYS_WAITING_MAX);
    run.recall_backfills();
    let lanes = run.lanes(&reports, (asker, replayer, backfiller), &lanes_stop);
    // Who sees this cut may ask its models for a refresh; the lanes themselves start from it.
    run.publish_cut(run.epoch);
    run.take_columns().await;
    tasks.extend(lanes.into_iter().map(|lane| tokio::spawn(lane.run())));
    tasks.push(tokio::spawn(run.auditor(&lanes_stop).run()));
    bell.notify_one();
    let mut pace = Pace::new(run.waves.settings.period_min, clock::instant());
    loop {
        let wait = run.next_wake();
        let report = tokio::select! {
            () = stop.cancelled() => break,
            () = bell.notified() => None,
            report = reported.recv() => report,
            Some(ask) = asked.recv() => {
                run.asked.extend([ask]);
                None
            }
            Some(ask) = replays.recv() => {
                run.replays.waiting.push(ask);
                None
            }
            Some(ask) = backfills.recv() => {
                run.begin_backfill(ask).await;
                None
            }
            done = slice_done(&mut run.slicing) => {
                run.take_slice(done);
                None
            }
            () = tokio::time::sleep(wait) => None,
        };
        let started = clock::instant();
        run.take_report(report);
        while let Ok(report) = reported.try_recv() {
            run.take_report(Some(report));
        }
        run.wave().await;
        run.begin_slice();
        let rest = pace.rest(started, clock::instant());
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(rest) => {}
        }
    }
    for task in tasks {
        let _ = task.await;
    }
    while let Ok(report) = reported.try_recv() {
        run.take_report(Some(report));
    }
    run.finish_slice().await;
    run.wave().await;
    Ok(())
}

/// A streaming table that failed: when it may try again.
#[derive(Clone, Copy)]
struct Setback {
    failures: u32,
    retry_at: DateTime<Utc>,
}

type Outcome = (Arc<Model>, f64, Result<Option<Refreshed>, Error>);

struct Run {
    waves: Waves,
    epoch: i64,
    wave_time: DateTime<Utc>,
    standing: BTreeMap<TableName, Standing>,
    tables: BTreeMap<TableName, Arc<Table>>,
    showcase: Showcase,
    /// What is computed by new definitions and shown to nobody yet.
    drafts: Option<Drafts>,
    /// What lanes go by: what readers see, and drafts.
    lane_cuts: watch::Sender<Arc<Cut>>,
    maintained: Arc<Maintained>,
    /// Streaming tables, those that read each other's rows in later levels.
    levels: Vec<Vec<Arc<Model>>>,
    setbacks: HashMap<TableName, Setback>,
    /// Streaming tables that wait for an input: to be computed by its new definition, or to be good again.
    held_back: BTreeSet<TableName>,
    last_refresh: HashMap<TableName, DateTime<Utc>>,
    /// Records waiting for the epoch that they join.
    records: Vec<RefreshRecord>,
    /// Who asked for a refresh and waits for the epoch that holds it.
    asked: Asked,
    /// Who asked for rows that were set apart to be taken again.
    replays: Replays,
    backfills: Vec<Backfill>,
    /// The slice that is computed beside the waves.
    slicing: Option<Slicing>,
    /// How far they have come with an epoch that is to be.
    backfills_noted: Vec<BackfillRecord>,
    /// Something stands that no epoch names yet.
    unpublished: bool,
}

impl Run {
    /// How long until the clock owes something.
    fn next_wake(&self) -> Duration {
        let now = clock::now();
        let due = self.levels.iter().flatten().filter(|model| self.has_moved(model)).filter_map(|model| {
            // What is held back goes on when something else moves, and that wakes the waves.
            let is_free = !self.held_back.contains(&model.name) && !self.is_sliced(&model.name);
            let last = self.last_refresh.get(&model.name).copied();
            let retry = self.setbacks.get(&model.name).map(|setback| setback.retry_at);
            trigger::next_try(&model.trigger, last, retry).filter(|_| is_free)
        });
        let next = due.chain(self.slice_due()).min();
        match next {
            Some(time) => (time - now).to_std().unwrap_or(self.waves.settings.period_min),
            None if self.unpublished => self.waves.settings.period_min,
            None => Duration::from_secs(60),
        }
    }

    /// True when there is something to take, or what was taken is shown to nobody: a kill kept it out of the last epoch.
    fn has_moved(&self, model: &Model) -> bool {
        let Some(standing) = self.standing.get(&model.name) else { return true };
        let is_shown = standing.snapshot.transaction(REFRESH) == model.table.snapshot().transaction(REFRESH);
        let is_taken = |stream: &TableName| {
            self.standing
                .get(stream)
                .is_none_or(|input| standing.inputs.get(stream) == Some(&input.snapshot.version))
        };
        !is_shown || !model.streams.iter().all(is_taken)
    }

    /// Takes the newest sources, refreshes what follows from them, and publishes an epoch if anything changed.
    async fn wave(&mut self) {
        self.wave_time = clock::now();
        self.take_sources();
        self.hold_back();
        for level in 0..self.levels.len() {
            self.replay(level).await;
            let is_due = |m: &&Arc<Model>| {
                let is_asked = self.asked.of(&m.name) || self.is_due(m);
                let is_full = self.asked.extent(&m.name) > Extent::Changes;
                let is_free = !self.held_back.contains(&m.name) && !self.is_sliced(&m.name);
                (is_full || is_asked && self.has_moved(m)) && is_free
            };
            let due: Vec<_> = self.levels[level].iter().filter(is_due).cloned().collect();
            if due.is_empty() {
                continue;
            }
            let outcomes = self.refresh_all(due).await;
            for (model, seconds, outcome) in outcomes {
                self.take_outcome(&model, seconds, outcome);
            }
        }
        self.settle_drafts();
        if self.unpublished {
            self.publish().await;
        }
        self.show_drafts();
        // What could not be published is answered with the epoch that can.
        if !self.unpublished {
            let (slicing, drafts) = (self.slicing.as_ref().map(Slicing::table), self.drafts.as_ref());
            let waits = |model: &TableName| {
                Some(model) == slicing || drafts.is_some_and(|drafts| drafts.contain(model))
            };
            self.asked.answer(waits);
            self.replays.answer();
            self.note_backfills().await;
        }
    }

    fn take_sources(&mut self) {
        for stream in self.waves.shape.streams.clone() {
            let cut = stream.cuts().borrow().clone();
            let name = &stream.definition.name;
            for (name, snapshot) in [(name.clone(), cut.main), (name.quarantine(), cut.quarantine)] {
                let moved = self.standing.get(&name).is_none_or(|s| s.snapshot.version != snapshot.version);
                if moved {
                    self.unpublished = true;
                    self.standing.insert(name, Standing::fresh(snapshot, BTreeMap::new(), self.wave_time));
                }
            }
        }
        for foreign in self.waves.shape.foreign.clone() {
            let (name, snapshot) = (foreign.table.name().clone(), foreign.table.snapshot());
            if self.standing.get(&name).is_none_or(|s| s.snapshot.version != snapshot.version) {
                self.unpublished = true;
                self.standing.insert(name, Standing::fresh(snapshot, BTreeMap::new(), self.wave_time));
            }
        }
    }

    /// Finds the streaming tables whose definition reads columns that an input does not have yet, and those behind one
    /// whose newest rows were rejected.
    fn hold_back(&mut self) {
        self.held_back.clear();
        let stored = |input: &TableName| Some(Arc::clone(&self.standing.get(input)?.snapshot.schema));
        for model in self.levels.iter().flatten() {
            let name = || model.name.clone();
            let remade = self.maintained.remade(model, stored).cloned();
            let error = match remade {
                Some(input) => Error::NotComputed { model: name(), input },
                None => match self.behind_rejected(model).cloned() {
                    Some(input) => Error::Waits { model: name(), input },
                    None => continue,
                },
            };
            self.held_back.insert(name());
            let error = Arc::new(error);
            self.asked.refuse(&model.name, &error);
            self.replays.take(&model.name).into_iter().for_each(|ask| ask.refuse(&error));
        }
    }

    /// What a model reads, itself or through others, whose newest rows were rejected.
    fn behind_rejected<'a>(&'a self, model: &'a Model) -> Option<&'a TableName> {
        let is_rejected = |input: &TableName| {
            self.standing.get(input).is_some_and(|standing| standing.freshness == Freshness::Rejected)
        };
        self.maintained.behind(model, is_rejected)
    }

    fn is_due(&self, model: &Model) -> bool {
        let now = self.wave_time;
        let retry = self.setbacks.get(&model.name).is_none_or(|s| s.retry_at <= now);
        let last = self.last_refresh.get(&model.name).copied();
        retry && trigger::next_due(&model.trigger, last).is_none_or(|due| due <= now)
    }

    async fn refresh_all(&mut self, models: Vec<Arc<Model>>) -> Vec<Outcome> {
        let cut = Arc::new(self.cut(self.epoch));
        let snapshots = self.snapshots();
        let ground = self.ground(&cut, &snapshots);
        let asked = &self.asked;
        join_all(models.into_iter().map(|model| async {
            let started = clock::instant();
            let outcome = settled(streaming::refresh(&model, &ground, asked.extent(&model.name))).await;
            (model, started.elapsed().as_secs_f64(), outcome)
        }))
        .await
    }

    fn snapshots(&self) -> BTreeMap<TableName, Arc<Snapshot>> {
        let shown = |(name, standing): (&TableName, &Standing)| {
            let snapshot = match self.waves.shape.relations.get(name) {
                Some(defined) => standing.shown(defined),
                None => Arc::clone(&standing.snapshot),
            };
            (name.clone(), snapshot)
        };
        self.standing.iter().map(shown).collect()
    }

    /// What streaming tables are refreshed over.
    fn ground<'a>(
        &'a self,
        cut: &'a Arc<Cut>,
        snapshots: &'a BTreeMap<TableName, Arc<Snapshot>>,
    ) -> Ground<'a> {
        Ground {
            lake: &self.waves.lake,
            engine: &self.waves.engine,
            cut,
            snapshots,
            tables: &self.tables,
            time: self.wave_time,
        }
    }
}
