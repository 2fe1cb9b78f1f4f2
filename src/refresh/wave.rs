//! Waves: the newest sources, the streaming tables that follow from them, one epoch.

use super::auditor::{AuditRecord, Auditor};
use super::control::{Ask, Asked, Asks, Control, Extent, Running, mailbox};
use super::epochs::{EpochRow, EpochTable};
use super::lane::{Lane, LaneReport};
use super::model::{Model, ModelStatus, RefreshRecord, StatusBoard};
use super::standing::{Showcase, Standing, watermarked};
use super::streaming::{self, Ground, Refreshed};
use super::unit_test::Subject;
use super::waits::Maintained;
use super::{Error, trigger};
use crate::bronze::Stream;
use crate::catalog::cut::{Cut, Freshness, Relation};
use crate::engine::Engine;
use crate::lake::{Lake, Table, TableName, chain};
use crate::ops::clock;
use crate::quality::Verdict;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Bounds of the waves.
#[derive(Clone, Copy, Debug)]
pub struct WaveSettings {
    /// Shortest time between the starts of two waves.
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
    let lanes = run.lanes(&reports, asker, &lanes_stop);
    // Who sees this cut may ask its models for a refresh; the lanes themselves start from it.
    run.publish_cut(run.epoch);
    tasks.extend(lanes.into_iter().map(|lane| tokio::spawn(lane.run())));
    tasks.push(tokio::spawn(run.auditor(&lanes_stop).run()));
    bell.notify_one();
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
            () = tokio::time::sleep(wait) => None,
        };
        let started = clock::instant();
        run.take_report(report);
        while let Ok(report) = reported.try_recv() {
            run.take_report(Some(report));
        }
        run.wave().await;
        let rest = run.waves.settings.period_min.saturating_sub(started.elapsed());
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
    /// Something stands that no epoch names yet.
    unpublished: bool,
}

impl Run {
    async fn open(waves: Waves) -> Result<Self, Error> {
        let latest = waves.epochs.latest().await?;
        let (epoch, wave_time, rows) =
            latest.unwrap_or_else(|| (waves.epochs.last(), clock::now(), Vec::new()));
        let named: HashMap<TableName, EpochRow> = rows.into_iter().map(|r| (r.table.clone(), r)).collect();
        let mut tables = BTreeMap::new();
        for stream in &waves.shape.streams {
            tables.insert(stream.definition.name.clone(), Arc::clone(stream.table()));
            tables.insert(stream.definition.name.quarantine(), Arc::clone(stream.quarantine()));
        }
        for foreign in &waves.shape.foreign {
            tables.insert(foreign.table.name().clone(), Arc::clone(&foreign.table));
        }
        for model in &waves.shape.models {
            tables.insert(model.name.clone(), Arc::clone(&model.table));
            if let Some(quarantine) = &model.quarantine {
                tables.insert(model.name.quarantine(), Arc::clone(quarantine));
            }
            streaming::recover(model).await?;
        }
        let mut standing = BTreeMap::new();
        for (name, table) in &tables {
            let computed = waves.shape.models.iter().any(|m| m.name == *name);
            standing.insert(name.clone(), Standing::of(table, named.get(name), computed, wave_time).await);
        }
        // What others have done meanwhile is in no epoch yet.
        let is_unnamed = |foreign: &ForeignTable| {
            let name = foreign.table.name();
            named.get(name).map(|row| row.version) != standing.get(name).map(|s| s.snapshot.version)
        };
        let mut unpublished = named.is_empty() || waves.shape.foreign.iter().any(is_unnamed);
        for model in waves.shape.models.iter().filter(|m| m.is_streaming) {
            let standing = standing.get_mut(&model.name);
            unpublished |= standing.is_some_and(|standing| standing.catch_up(model.table.snapshot()));
        }
        let levels = streaming::levels(&waves.shape.models);
        let showcase = Showcase::of(&waves.shape);
        let maintained = Arc::new(Maintained::of(waves.shape.models.iter().map(Arc::as_ref)));
        Ok(Self {
            waves,
            epoch,
            wave_time,
            standing,
            tables,
            showcase,
            maintained,
            levels,
            setbacks: HashMap::new(),
            held_back: BTreeSet::new(),
            last_refresh: HashMap::new(),
            records: Vec::new(),
            asked: Asked::default(),
            unpublished,
        })
    }

    fn ring_on_commits(
        &self,
        bell: &Arc<Notify>,
        stop: &CancellationToken,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let streams = self.waves.shape.streams.iter().map(|s| ring_on(s.cuts(), bell, stop));
        let foreign = self.waves.shape.foreign.iter().map(|f| ring_on(f.moved.clone(), bell, stop));
        streams.chain(foreign).collect()
    }

    /// The lanes, not running yet; tells the control how they, and the waves, are asked.
    fn lanes(
        &self,
        reports: &mpsc::Sender<LaneReport>,
        waves: mpsc::Sender<Ask>,
        stop: &CancellationToken,
    ) -> Vec<Lane> {
        let permits = Arc::new(Semaphore::new(self.waves.settings.lanes_max));
        let tables = Arc::new(self.tables.clone());
        let in_lanes = || self.waves.shape.models.iter().filter(|m| !m.is_streaming);
        let mut lanes = BTreeMap::new();
        let lane = |model: &Arc<Model>| {
            let (asker, asked) = mailbox();
            lanes.insert(model.name.clone(), asker);
            Lane {
                model: Arc::clone(model),
                lake: Arc::clone(&self.waves.lake),
                tables: Arc::clone(&tables),
                maintained: Arc::clone(&self.maintained),
                engine: self.waves.engine.clone(),
                cuts: self.waves.cuts.subscribe(),
                permits: Arc::clone(&permits),
                reports: reports.clone(),
                asks: Asks::new(asked),
                depends_on_clock: self.waves.shape.clock_models.contains(&model.name),
                stop: stop.clone(),
            }
        };
        let made = in_lanes().map(lane).collect();
        self.waves.control.run(Running {
            lake: Arc::clone(&self.waves.lake),
            engine: self.waves.engine.clone(),
            models: self.waves.shape.models.clone(),
            clock_models: self.waves.shape.clock_models.clone(),
            subjects: Arc::clone(&self.waves.shape.subjects),
            tables,
            lanes,
            waves,
        });
        made
    }

    /// Who judges what readers see.
    fn auditor(&self, stop: &CancellationToken) -> Auditor {
        let audited = |model: &&Arc<Model>| model.audits.iter().any(|audit| !audit.blocking);
        Auditor {
            models: self.waves.shape.models.iter().filter(audited).cloned().collect(),
            engine: self.waves.engine.clone(),
            cuts: self.waves.cuts.subscribe(),
            record: Arc::clone(&self.waves.audited),
            stop: stop.clone(),
        }
    }

    /// How long until the clock owes something.
    fn next_wake(&self) -> Duration {
        let now = clock::now();
        let retries = self.setbacks.values().map(|s| s.retry_at);
        let due = self
            .levels
            .iter()
            .flatten()
            .filter(|m| self.has_moved(m))
            .filter_map(|m| trigger::next_due(&m.trigger, self.last_refresh.get(&m.name).copied()));
        let next = retries.chain(due).min();
        match next {
            Some(time) => (time - now).to_std().unwrap_or(self.waves.settings.period_min),
            None if self.unpublished => self.waves.settings.period_min,
            None => Duration::from_secs(60),
        }
    }

    fn has_moved(&self, model: &Model) -> bool {
        let consumed = &self.standing.get(&model.name).map(|s| s.inputs.clone()).unwrap_or_default();
        model.streams.iter().any(|s| {
            self.standing.get(s).is_some_and(|standing| consumed.get(s) != Some(&standing.snapshot.version))
        })
    }

    /// Takes the newest sources, refreshes what follows from them, and publishes an epoch if anything changed.
    async fn wave(&mut self) {
        self.wave_time = clock::now();
        self.take_sources();
        self.hold_back();
        for level in 0..self.levels.len() {
            let is_due = |m: &&Arc<Model>| {
                let is_asked = self.asked.of(&m.name) || self.is_due(m);
                let is_full = self.asked.extent(&m.name) > Extent::Changes;
                (is_full || is_asked && self.has_moved(m)) && !self.held_back.contains(&m.name)
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
        if self.unpublished {
            self.publish().await;
        }
        // What could not be published is answered with the epoch that can.
        if !self.unpublished {
            self.asked.answer();
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
        let is_rejected = |input: &TableName| {
            self.standing.get(input).is_some_and(|standing| standing.freshness == Freshness::Rejected)
        };
        for model in self.levels.iter().flatten() {
            let name = || model.name.clone();
            let remade = self.maintained.remade(model, stored).cloned();
            let error = match remade {
                Some(input) => Error::NotComputed { model: name(), input },
                None => match self.maintained.behind(model, is_rejected).cloned() {
                    Some(input) => Error::Waits { model: name(), input },
                    None => continue,
                },
            };
            self.held_back.insert(name());
            self.asked.refuse(&model.name, &Arc::new(error));
        }
    }

    fn is_due(&self, model: &Model) -> bool {
        let now = self.wave_time;
        let retry = self.setbacks.get(&model.name).is_none_or(|s| s.retry_at <= now);
        let last = self.last_refresh.get(&model.name).copied();
        retry && trigger::next_due(&model.trigger, last).is_none_or(|due| due <= now)
    }

    async fn refresh_all(&mut self, models: Vec<Arc<Model>>) -> Vec<Outcome> {
        let cut = Arc::new(self.cut(self.epoch));
        let snapshots: BTreeMap<_, _> =
            self.standing.iter().map(|(name, s)| (name.clone(), Arc::clone(&s.snapshot))).collect();
        let ground = Ground {
            lake: &self.waves.lake,
            engine: &self.waves.engine,
            cut: &cut,
            snapshots: &snapshots,
            tables: &self.tables,
            time: self.wave_time,
        };
        let asked = &self.asked;
        join_all(models.into_iter().map(|model| async {
            let started = clock::instant();
            let outcome = streaming::refresh(&model, &ground, asked.extent(&model.name)).await;
            (model, started.elapsed().as_secs_f64(), outcome)
        }))
        .await
    }

    fn take_outcome(&mut self, model: &Arc<Model>, seconds: f64, outcome: Result<Option<Refreshed>, Error>) {
        match outcome {
            Ok(done) => {
                self.setbacks.remove(&model.name);
                self.last_refresh.insert(model.name.clone(), self.wave_time);
                match done {
                    Some(done) => self.take_refreshed(&model.name, done, self.wave_time),
                    None => self.rest(model),
                }
            }
            // Only who asked is told: what stands is as good as it was.
            Err(error @ Error::HistoryLost { .. }) if self.asked.extent(&model.name) > Extent::Changes => {
                self.asked.refuse(&model.name, &Arc::new(error));
            }
            Err(error) => {
                let failures = self.setbacks.get(&model.name).map_or(0, |s| s.failures) + 1;
                let pause = chrono::Duration::from_std(trigger::backoff(failures)).unwrap_or_default();
                self.setbacks
                    .insert(model.name.clone(), Setback { failures, retry_at: self.wave_time + pause });
                let error = Arc::new(error);
                self.take_failure(&model.name, "append", seconds, &error);
                self.asked.refuse(&model.name, &error);
            }
        }
    }

    /// Only empty commits (folds, positions) came in: nothing to do but to note that they were seen.
    fn rest(&mut self, model: &Model) {
        let seen: Vec<_> = model
            .streams
            .iter()
            .filter_map(|s| Some((s.clone(), self.standing.get(s)?.snapshot.version)))
            .collect();
        if let Some(standing) = self.standing.get_mut(&model.name) {
            standing.inputs.extend(seen);
        }
    }

    fn take_report(&mut self, report: Option<LaneReport>) {
        let Some(report) = report else { return };
        self.asked.extend(report.asks);
        match report.result {
            Ok(done) => self.take_refreshed(&report.model, done, report.as_of),
            Err(error) => {
                let error = Arc::new(error);
                self.take_failure(&report.model, "recompute", report.seconds, &error);
                self.asked.refuse(&report.model, &error);
            }
        }
    }

    fn take_refreshed(&mut self, name: &TableName, done: Refreshed, as_of: DateTime<Utc>) {
        let before = self.standing.get(name);
        let moved = before
            .is_none_or(|s| s.snapshot.version != done.snapshot.version || s.freshness != Freshness::Fresh);
        // Who asked for it reads what was done, also when nothing was to do.
        let shows = moved || self.asked.of(name);
        // Unchanged rows of newer inputs: what they were computed from is told, too.
        let stands_on = |(input, version): (&TableName, &i64)| {
            before.is_some_and(|standing| standing.inputs.get(input) == Some(version))
        };
        self.unpublished |= shows || !done.inputs.iter().all(stands_on);
        if shows || done.record.verdict.rules.iter().any(|r| r.failed > 0) {
            self.records.push(done.record);
        }
        if let Some(quarantine) = done.quarantine {
            self.standing.insert(name.quarantine(), Standing::fresh(quarantine, BTreeMap::new(), as_of));
        }
        let status = ModelStatus { freshness: Freshness::Fresh, fresh_as_of: Some(as_of), error: None };
        self.waves.board.set(name, status);
        self.standing.insert(name.clone(), Standing::fresh(done.snapshot, done.inputs, as_of));
    }

    fn take_failure(&mut self, name: &TableName, mode: &'static str, seconds: f64, error: &Error) {
        let reason = chain(error);
        tracing::error!(model = %name, error = reason, "refresh failed; the last good version stands");
        let mut as_of = None;
        if let Some(standing) = self.standing.get_mut(name) {
            let freshness = match error {
                Error::Rejected { .. } => Freshness::Rejected,
                _ => Freshness::Failed,
            };
            self.unpublished |= standing.freshness != freshness;
            standing.freshness = freshness;
            as_of = standing.fresh_as_of;
        }
        self.waves.board.fail(name, as_of, reason.clone());
        let verdict = match error {
            Error::Rejected { verdict, .. } => Verdict::clone(verdict),
            _ => Verdict::default(),
        };
        let failure = RefreshRecord::failure(self.epoch, name, mode, seconds, reason);
        (self.waves.record)(RefreshRecord { verdict, ..failure });
    }

    /// A view whose inputs or definition have changed since it was computed is stale until its lane comes round.
    fn mark_stale(&mut self) {
        for model in self.waves.shape.models.iter().filter(|m| !m.is_streaming) {
            let Some(standing) = self.standing.get(&model.name) else { continue };
            let current = |input: &TableName| {
                self.standing
                    .get(input)
                    .or_else(|| watermarked(&self.standing, input))
                    .map(|s| s.snapshot.version)
            };
            let moved =
                model.inputs.iter().any(|input| standing.inputs.get(input).copied() != current(input));
            let freshness = match standing.freshness {
                failure if failure.is_failure() => failure,
                _ if moved || !model.is_of(&standing.snapshot) => Freshness::Stale,
                _ => Freshness::Fresh,
            };
            if let Some(standing) = self.standing.get_mut(&model.name) {
                standing.freshness = freshness;
            }
        }
    }

    async fn publish(&mut self) {
        let epoch = self.epoch + 1;
        self.mark_stale();
        let rows: Vec<EpochRow> = self.standing.iter().map(|(name, standing)| standing.row(name)).collect();
        match self.waves.epochs.append(epoch, clock::now(), self.wave_time, &rows).await {
            Ok(()) => {
                self.unpublished = false;
                self.publish_cut(epoch);
                for record in std::mem::take(&mut self.records) {
                    (self.waves.record)(RefreshRecord { epoch, ..record });
                }
            }
            Err(error) => {
                // Readers keep the last cut; the tables' new versions wait for the next try.
                tracing::error!(epoch, error = chain(&error), "could not publish an epoch; will try again");
            }
        }
    }

    fn publish_cut(&mut self, epoch: i64) {
        self.epoch = epoch;
        for (name, standing) in &self.standing {
            if !standing.freshness.is_failure() {
                let status = ModelStatus {
                    freshness: standing.freshness,
                    fresh_as_of: standing.fresh_as_of,
                    error: None,
                };
                self.waves.board.set(name, status);
            }
        }
        let cut = Arc::new(self.cut(epoch));
        self.waves.cuts.send_replace(cut);
    }

    /// What stands now, as a cut.
    fn cut(&mut self, epoch: i64) -> Cut {
        let Waves { shape, lake, .. } = &self.waves;
        self.showcase.cut(shape, &self.standing, lake, epoch, self.wave_time)
    }
}

/// Rings each time that something has changed.
fn ring_on<T: Send + Sync + 'static>(
    mut changes: watch::Receiver<T>,
    bell: &Arc<Notify>,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<()> {
    let (bell, stop) = (Arc::clone(bell), stop.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => match changed {
                    Ok(()) => bell.notify_one(),
                    Err(_) => return,
                },
            }
        }
    })
}
