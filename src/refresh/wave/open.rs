//! Waves before they run: what the last epoch names, who rings, who is asked.

use super::super::auditor::Auditor;
use super::super::control::{Ask, Asked, Asks, BackfillAsk, ReplayAsk, Replays, Running, mailbox};
use super::super::epochs::EpochRow;
use super::super::lane::{Lane, LaneReport};
use super::super::model::Model;
use super::super::standing::{Showcase, Standing};
use super::super::waits::Maintained;
use super::super::{Error, streaming};
use super::drafts::Drafts;
use super::{ForeignTable, Run, Shape, Waves};
use crate::lake::{Table, TableName};
use crate::ops::clock;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

impl Run {
    pub(super) async fn open(waves: Waves) -> Result<Self, Error> {
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
        for model in &waves.shape.models {
            let (newest, Some(standing)) = (model.table.snapshot(), standing.get_mut(&model.name)) else {
                continue;
            };
            // A view that was given columns is shown in them.
            if model.is_streaming || newest.schema.fields() != standing.snapshot.schema.fields() {
                unpublished |= standing.catch_up(newest);
            }
        }
        let levels = streaming::levels(&waves.shape.models);
        let showcase = Showcase::of(&waves.shape);
        let drafts = Drafts::of(&waves.shape, &standing);
        let lane_cuts = watch::Sender::new(waves.cuts.borrow().clone());
        let maintained = Arc::new(Maintained::of(waves.shape.models.iter().map(Arc::as_ref)));
        Ok(Self {
            waves,
            epoch,
            wave_time,
            standing,
            tables,
            showcase,
            drafts,
            lane_cuts,
            maintained,
            levels,
            setbacks: HashMap::new(),
            held_back: BTreeSet::new(),
            last_refresh: HashMap::new(),
            records: Vec::new(),
            asked: Asked::default(),
            replays: Replays::default(),
            backfills: Vec::new(),
            slicing: None,
            backfills_noted: Vec::new(),
            unpublished,
        })
    }

    /// Takes the newest sources at once, in an epoch of its own, where one has other columns than its version in the last
    /// epoch: models that name new ones are computed over versions that have them.
    pub(super) async fn take_columns(&mut self) {
        let Shape { streams, foreign, .. } = &self.waves.shape;
        let of_streams = streams.iter().map(|stream| stream.table());
        let sources = of_streams.chain(foreign.iter().map(|foreign| &foreign.table));
        let has_others = |table: &Arc<Table>| {
            let standing = self.standing.get(table.name());
            standing.is_some_and(|s| s.snapshot.schema.fields() != table.snapshot().schema.fields())
        };
        if sources.into_iter().any(has_others) {
            self.wave_time = clock::now();
            self.take_sources();
            self.publish().await;
        }
    }

    pub(super) fn ring_on_commits(
        &self,
        bell: &Arc<Notify>,
        stop: &CancellationToken,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let streams = self.waves.shape.streams.iter().map(|s| ring_on(s.cuts(), bell, stop));
        let foreign = self.waves.shape.foreign.iter().map(|f| ring_on(f.moved.clone(), bell, stop));
        streams.chain(foreign).collect()
    }

    /// The lanes, not running yet; tells the control how they, and the waves, are asked.
    pub(super) fn lanes(
        &self,
        reports: &mpsc::Sender<LaneReport>,
        (waves, replays, backfills): (mpsc::Sender<Ask>, mpsc::Sender<ReplayAsk>, mpsc::Sender<BackfillAsk>),
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
                cuts: self.lane_cuts.subscribe(),
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
            replays,
            backfills,
            streams: self.waves.shape.streams.clone(),
            loaded: Arc::clone(&self.waves.loaded),
        });
        made
    }

    /// Who judges what readers see.
    pub(super) fn auditor(&self, stop: &CancellationToken) -> Auditor {
        let audited = |model: &&Arc<Model>| model.audits.iter().any(|audit| !audit.blocking);
        Auditor {
            models: self.waves.shape.models.iter().filter(audited).cloned().collect(),
            engine: self.waves.engine.clone(),
            cuts: self.waves.cuts.subscribe(),
            record: Arc::clone(&self.waves.audited),
            stop: stop.clone(),
        }
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
