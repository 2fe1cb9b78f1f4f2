//! Wires the stages together; owns start order and stop order.
//!
//! ```text
//! start   listeners bound ─ lake locked ─ project read and planned ─ tables opened ─ last epoch's cut published
//!         ─ sources take pushes ─ READY ─ waves, lanes, upkeep run
//! stop    sources end ─ writers commit what was read ─ lanes end, a last wave publishes it ─ journals written
//!         ─ readers' connections drained
//! ```

mod backfills;
mod define;
mod deploy;
mod erasure;
pub(crate) mod foreign;
mod incidents;
mod listeners;
mod loaded;
mod quarantined;
mod reads;
mod relations;
mod reload;
mod rights;
mod secrets;
mod sources;
pub(crate) mod strict;
pub(crate) mod system;
mod unopened;
mod upkeep;

use crate::bronze::Stream;
use crate::catalog::access::Access;
use crate::catalog::cut::{Cut, Relation, RelationKind};
use crate::catalog::definer::Definer;
use crate::catalog::environment::Production;
use crate::catalog::files::{Texts, texts};
use crate::catalog::inputs::{by_name, inputs_of};
use crate::catalog::project::{Model as Definition, Project};
use crate::config::Settings;
use crate::deliver::alerts::{self, Alerts};
use crate::deliver::openlineage::Teller;
use crate::engine::Engine;
use crate::ingest::Inboxes;
use crate::lake::{Lake, TableName};
use crate::ops::clock;
use crate::ops::secret::Secrets;
use crate::ops::shutdown::Shutdown;
use crate::quality::Incidents;
use crate::refresh::{
    Control, EpochTable, Model, RefreshRecord, Shape, StatusBoard, Subject, WaveSettings, Waves, open_model,
    run_waves,
};
use crate::serve::audit::{AuditLog, Event};
use crate::serve::backends::Backends;
use crate::serve::logins::Logins;
use crate::serve::tls::Tls;
use crate::serve::{Readers, http};
use crate::sql;
use anyhow::{Context as _, anyhow, bail};
use arc_swap::ArcSwap;
use define::{Answer, Typing};
use deploy::Deployments;
pub use deploy::production;
use erasure::Erasures;
use foreign::{Others, RunningForeign};
use futures::future::join_all;
use listeners::Listeners;
pub(crate) use loaded::Planned;
use loaded::{Loaded, load};
use parking_lot::Mutex;
use reads::{depends_on_clock, reads};
use relations::{model_relation, quarantine_relation, relation, watermark_relation};
use rights::Rights;
use sources::{RunningSource, SourceTasks};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use system::Journals;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How often journals are written.
const JOURNAL_PERIOD: Duration = Duration::from_secs(1);

/// Runs the warehouse until the shutdown is requested; returns when it has drained. `ready` is told the addresses once
/// queries are answered.
pub async fn run(
    settings: Settings,
    production: Option<Production>,
    shutdown: Shutdown,
    ready: impl FnOnce(http::Addresses) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let tls = settings.tls.clone().map(Tls::load).transpose().map_err(anyhow::Error::msg)?.map(Arc::new);
    let listeners = Listeners::bind(&settings)?;
    let addresses = listeners.addresses()?;
    let engine = Engine::new(settings.limits.query_memory_bytes_max, processors())?;
    let root = settings.data.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let lake = Arc::new(Lake::open(Path::new(&root))?);
        let journals = Journals::open(&lake)?;
        let epochs = EpochTable::open(&lake)?;
        let (typing, deployments) = (Typing::open(&lake)?, Deployments::open(&lake)?);
        let rights = Rights::open(&lake)?;
        let incidents = Arc::new(Mutex::new(incidents::recall(&journals.incidents)?));
        let alerts = Arc::new(Alerts::recall(Arc::clone(&journals.alerts))?);
        anyhow::Ok((lake, journals, epochs, typing, deployments, rights, incidents, alerts))
    });
    let (lake, journals, epochs, typing, deployments, rights, incidents, alerts) =
        opened.await?.with_context(|| format!("could not open the lake at {}", settings.data))?;

    let kept = deployments.kept(&texts(&settings.project));
    let empty = Cut { epoch: 0, wave_time: clock::now(), tables: BTreeMap::new(), shape: 0 };
    let (cuts, mut published) = watch::channel(Arc::new(empty));
    let (inboxes, control) = (Inboxes::default(), Control::default());
    let (definer, mut requests) = Definer::new();
    let reload = Arc::new(Notify::new());
    let house = House {
        settings,
        tls,
        engine,
        lake,
        journals,
        backends: Arc::default(),
        incidents,
        alerts,
        epochs,
        cuts,
        inboxes,
        control,
        typing,
        deployments,
        kept: Mutex::new(kept.clone()),
        production: production.map(Arc::new),
        rights: Arc::new(rights),
        access: Arc::default(),
        secrets: Arc::default(),
        definer,
        erasures: Arc::default(),
        reload,
    };
    house.blot_definitions_of_all().await;
    let mut loaded = load(&house.written(), &house.typing.now(), &house.engine).await.map_err(all_errors)?;
    if kept.is_some() {
        tracing::warn!(
            "files of an earlier deployment run, as APPLY ROLLBACK said; APPLY takes the folder's"
        );
    } else {
        house.note_folder("start").await;
    }
    let stop_serving = Shutdown::new();
    let mut ready = Some(ready);
    let mut listeners = Some(listeners);
    let mut asked: Option<Answer> = None;
    loop {
        let stop = shutdown.token().child_token();
        let shape = house.cuts.borrow().shape;
        let (project, planned) = (Arc::clone(&loaded.project), loaded.planned.clone());
        let running = house.start(loaded, &stop).await?;
        if let (Some(ready), Some(listeners)) = (ready.take(), listeners.take()) {
            tokio::select! {
                changed = published.changed() => changed.context("the waves ended before the first cut")?,
                () = shutdown.requested() => {}
            }
            let inboxes: Vec<_> = house.inboxes.read().values().cloned().collect();
            join_all(inboxes.iter().map(|inbox| inbox.settled())).await;
            listeners.serve(house.readers(&stop_serving), addresses, &stop_serving);
            ready(addresses)?;
        }
        if let Some(asked) = asked.take() {
            // Who defined something reads it next.
            tokio::select! {
                _ = published.wait_for(|cut| cut.shape > shape) => asked(),
                () = shutdown.requested() => {}
            }
        }
        let reloaded = tokio::select! {
            () = shutdown.requested() => None,
            reloaded = house.changed(Arc::clone(&project), &planned, &mut requests) => Some(reloaded),
        };
        stop.cancel();
        let goes_on = reloaded.is_some();
        running
            .drain(async {
                if goes_on {
                    house.catch_up_to_erase(&project).await
                }
            })
            .await;
        house.journals.flush().await;
        match reloaded {
            Some((next, by)) => (loaded, asked) = (next, by),
            None => break,
        }
    }
    stop_serving.request();
    stop_serving.drained().await;
    house.journals.end().await;
    Ok(())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn all_errors(errors: Vec<sql::Error>) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let plural = if errors.len() == 1 { "" } else { "s" };
    anyhow!("the project has {} error{plural}\n{}", errors.len(), lines.join("\n"))
}

/// What stands while projects come and go.
struct House {
    settings: Settings,
    tls: Option<Arc<Tls>>,
    engine: Engine,
    lake: Arc<Lake>,
    journals: Journals,
    backends: Arc<Backends>,
    incidents: Arc<Mutex<Incidents>>,
    alerts: Arc<Alerts>,
    epochs: EpochTable,
    cuts: watch::Sender<Arc<Cut>>,
    inboxes: Inboxes,
    control: Control,
    typing: Typing,
    deployments: Deployments,
    /// The files that run in the place of the folder's, after a way back.
    kept: Mutex<Option<Arc<Texts>>>,
    /// The warehouse whose tables are read in the place of one's own.
    production: Option<Arc<Production>>,
    rights: Arc<Rights>,
    /// Roles and rights as they are now.
    access: Arc<ArcSwap<Access>>,
    secrets: Arc<Secrets>,
    definer: Definer,
    erasures: Arc<Erasures>,
    /// Rung when others have changed a table so that models must be planned anew, and when secrets can be had again.
    reload: Arc<Notify>,
}

/// A project's running tasks.
struct Running {
    sources: Vec<SourceTasks>,
    streams: Vec<Arc<Stream>>,
    followers: Vec<tokio::task::JoinHandle<()>>,
    waves: tokio::task::JoinHandle<()>,
    waves_stop: CancellationToken,
    upkeep: tokio::task::JoinHandle<()>,
    alerts: tokio::task::JoinHandle<()>,
    journals: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Sources first, so that what they read still joins an epoch; what is to be done once nothing new comes, before the last
    /// wave.
    async fn drain(self, once_nothing_comes: impl Future<Output = ()>) {
        join_all(self.sources.into_iter().map(SourceTasks::drain)).await;
        join_all(self.streams.iter().map(|stream| stream.close())).await;
        join_all(self.followers).await;
        once_nothing_comes.await;
        self.waves_stop.cancel();
        let _ = self.waves.await;
        let _ = self.upkeep.await;
        let _ = self.alerts.await;
        let _ = self.journals.await;
    }
}

impl House {
    fn readers(&self, shutdown: &Shutdown) -> Readers {
        let users = Arc::new(self.settings.users.clone());
        let (access, secrets) = (Arc::clone(&self.access), Arc::clone(&self.secrets));
        Readers {
            audit: {
                let journals = self.journals.clone();
                AuditLog::new(move |event| match event {
                    Event::Ended(record) => journals.note_statement(&record),
                    Event::FailedLogin(login) => journals.note_failed_login(login),
                })
            },
            logins: Arc::new(Logins::new(Arc::clone(&users), access, secrets)),
            cuts: self.cuts.subscribe(),
            engine: self.engine.clone(),
            users,
            access: Arc::clone(&self.access),
            catalogs: Arc::default(),
            tls: self.tls.clone(),
            limits: self.settings.limits.clone(),
            inboxes: Arc::clone(&self.inboxes),
            control: self.control.clone(),
            definer: self.definer.clone(),
            backends: Arc::clone(&self.backends),
            shutdown: shutdown.clone(),
        }
    }

    async fn start(&self, loaded: Loaded, stop: &CancellationToken) -> anyhow::Result<Running> {
        let Loaded { project, planned, others, left_out, unwatched } = loaded;
        if self.production.is_some() {
            let stored = project.models.iter().filter(|model| !matches!(model, Definition::View(_)));
            let here: Vec<String> = stored.map(|model| model.name().to_string()).collect();
            let (here, there) = (here.join(", "), project.foreign.len());
            tracing::info!("computed here: {here}; {there} tables are read from production");
        }
        self.secrets.place(secrets::places(&project));
        self.access.store(Arc::new(self.access_with(&project, self.rights.now())));
        self.go_on_erasing(&project, &planned).await;
        let values = secrets::values(&project, &self.secrets).await;
        let secrets = Arc::clone(&self.secrets);
        tokio::spawn(secrets::come_back(
            secrets,
            secrets::away(&values),
            Arc::clone(&self.reload),
            stop.clone(),
        ));
        let retries_max = self.settings.limits.retries_max;
        let open = |source| sources::open(&self.lake, source, &values, retries_max);
        let opened = join_all(project.sources.values().map(open)).await;
        let (running, resumes): (Vec<RunningSource>, Vec<_>) = opened.into_iter().unzip();
        let running = Arc::new(running);
        let board = StatusBoard::default();
        for (name, reason) in left_out {
            self.leave_out(&name, &board, reason);
        }
        for (name, reason) in &unwatched {
            tracing::error!(%name, error = reason, "what was defined over a connection does not stand any more");
        }
        let models = self.open_models(&project, planned.clone(), &others, &board).await?;
        let foreign = project.foreign.values();
        let foreign: Vec<Arc<RunningForeign>> =
            foreign.map(|f| Arc::new(RunningForeign::new(f, &others[&f.name], retries_max))).collect();
        let shape = self.shape(&project, &planned, &running, &foreign, &models, &board);
        self.follow_erasures(&project, &planned, shape.number, stop);

        let watch = incidents::Watch {
            board: board.clone(),
            sources: Arc::clone(&running),
            foreign: foreign.clone(),
            journals: self.journals.clone(),
            retries_max,
            incidents: Arc::clone(&self.incidents),
            alerts: Arc::clone(&self.alerts),
            unwatched,
        };
        let alerts = alerts::Run {
            alerts: project.alerts.values().cloned().collect(),
            connections: project.connections.clone(),
            engine: self.engine.clone(),
            cuts: self.cuts.subscribe(),
            shape: shape.number,
            secrets: Arc::clone(&self.secrets),
        };
        let alerts = Arc::clone(&self.alerts).run(alerts, stop.clone());
        let journal = Arc::clone(&self.journals.backfills);
        let left = tokio::task::spawn_blocking(move || backfills::recall(&journal)).await??;
        let teller = self.settings.openlineage.clone().map(|settings| {
            let models = project.models.iter().filter_map(|m| Some((m, planned.get(m.name())?)));
            Teller::start(settings, models, stop.clone())
        });
        let [journals, audits, loads, filled] = [(); 4].map(|()| self.journals.clone());
        let waves = Waves {
            lake: Arc::clone(&self.lake),
            engine: self.engine.clone(),
            shape,
            epochs: self.epochs.clone(),
            cuts: self.cuts.clone(),
            board,
            record: Arc::new(move |record| {
                journals.note_refresh(&record);
                if let Some(teller) = &teller {
                    teller.tell(&record);
                }
            }),
            audited: Arc::new(move |record| {
                audits.note_audit(&record.model, record.epoch, &record.audited, record.at)
            }),
            loaded: Arc::new(move |load| loads.note_load(&load)),
            backfilled: Arc::new(move |record| backfills::note(filled.clone(), record)),
            backfills: left,
            control: self.control.clone(),
            settings: WaveSettings {
                period_min: Duration::from_secs(1) / self.settings.limits.waves_per_second_max.max(1),
                // Two at least: a slow view holds up no other.
                lanes_max: (processors() / 2).max(2),
            },
        };
        let waves_stop = CancellationToken::new();
        let run = run_waves(waves, waves_stop.clone());
        let waves = tokio::spawn(async move {
            if let Err(error) = run.await {
                tracing::error!(error = crate::lake::chain(&error), "waves could not start");
            }
        });
        self.inboxes.write().clear();
        let flush_age = Duration::from_millis(self.settings.limits.flush_age_ms_max);
        let start = |(source, resume): (&RunningSource, _)| {
            let journals = self.journals.clone();
            let log = move |load: crate::bronze::LoadRecord| journals.note_load(&load);
            sources::start(
                source,
                resume,
                (&project, &values, &self.secrets),
                &self.inboxes,
                flush_age,
                log,
                stop,
            )
        };
        let sources = running.iter().zip(resumes).filter_map(start).collect();
        let follow = |foreign: &Arc<RunningForeign>| {
            let (foreign, reload) = (Arc::clone(foreign), Arc::clone(&self.reload));
            tokio::spawn(foreign::follow(foreign, Arc::clone(&project), reload, stop.clone()))
        };
        let followers = foreign.iter().map(follow).collect();
        let upkeep = upkeep::Upkeep {
            lake: Arc::clone(&self.lake),
            epochs: self.epochs.clone(),
            journals: self.journals.clone(),
            models,
            defined: project.models.iter().map(|model| model.name().to_string()).collect(),
            cuts: self.cuts.subscribe(),
            limits: self.settings.limits.clone(),
        };
        let upkeep = upkeep::run(upkeep, stop.clone());
        let journals = write_journals(self.journals.clone(), watch, stop.clone());
        Ok(Running {
            sources,
            streams: running.iter().filter_map(|source| source.stream.clone()).collect(),
            followers,
            waves,
            waves_stop,
            upkeep: tokio::spawn(upkeep),
            alerts: tokio::spawn(alerts),
            journals: tokio::spawn(journals),
        })
    }

    /// Opens the models' tables. A model that cannot be opened, or is not what it says, is shown as failed; the others
    /// go on.
    async fn open_models(
        &self,
        project: &Arc<Project>,
        mut planned: Planned,
        others: &Others,
        board: &StatusBoard,
    ) -> anyhow::Result<Vec<Arc<Model>>> {
        for (name, error) in strict::refused(project, &planned, &foreign::columns(others), &self.engine).await
        {
            planned.remove(&name);
            self.leave_out(&name, board, error.to_string());
        }
        let (lake, project, others) = (Arc::clone(&self.lake), Arc::clone(project), others.clone());
        let open = move || {
            let models = by_name(&project);
            let open = |definition: &Definition| {
                let plan = planned.get(definition.name())?;
                let audits = project.audits.get(definition.name()).cloned().unwrap_or_default();
                let opened = open_model(&lake, definition, plan, reads(&models, &others, definition), audits);
                Some((definition.name().clone(), opened))
            };
            project.models.iter().filter_map(open).collect::<Vec<_>>()
        };
        let mut models = Vec::new();
        for (name, opened) in tokio::task::spawn_blocking(open).await? {
            match opened {
                Ok(model) => models.extend(model.map(Arc::new)),
                Err(error) => self.leave_out(&name, board, unopened::reason("model", &error)),
            }
        }
        Ok(models)
    }

    fn leave_out(&self, name: &TableName, board: &StatusBoard, reason: String) {
        tracing::error!(model = %name, error = reason, "model could not be opened");
        let epoch = self.cuts.borrow().epoch;
        self.journals.note_refresh(&RefreshRecord::unopened(epoch, name, reason.clone()));
        board.leave_out(name, reason);
    }

    fn shape(
        &self,
        project: &Arc<Project>,
        planned: &Planned,
        sources: &Arc<Vec<RunningSource>>,
        foreign: &[Arc<RunningForeign>],
        models: &[Arc<Model>],
        board: &StatusBoard,
    ) -> Shape {
        let mut relations = BTreeMap::new();
        let mut quarantines = Vec::new();
        let mut add = |relation: Relation| {
            relations.insert(relation.name.clone(), Arc::new(relation));
        };
        for stream in sources.iter().filter_map(|s| s.stream.as_ref()) {
            let schema = Arc::clone(&stream.table().snapshot().schema);
            add(relation(project, &stream.definition.name, RelationKind::Source, schema));
            add(quarantine_relation(&stream.definition.name));
            quarantines.push(stream.definition.name.quarantine());
            if stream.definition.watermark.is_some() {
                add(watermark_relation(&stream.definition.name));
            }
        }
        for (name, table) in foreign.iter().filter_map(|f| Some((f.name(), f.table()?))) {
            add(relation(project, name, RelationKind::Foreign, Arc::clone(&table.snapshot().schema)));
        }
        for definition in &project.models {
            let name = definition.name();
            let Some(plan) = planned.get(name) else { continue };
            let is_open = matches!(definition, Definition::View(_)) || models.iter().any(|m| m.name == *name);
            if !is_open {
                continue;
            }
            add(model_relation(project, definition, plan));
        }
        for model in models.iter().filter(|m| m.quarantine.is_some()) {
            add(quarantine_relation(&model.name));
            quarantines.push(model.name.quarantine());
        }
        let system = system::tables(system::Shown {
            project,
            planned,
            models,
            lake: &self.lake,
            sources,
            foreign,
            board,
            epochs: &self.epochs,
            definitions: self.typing.table(),
            deployments: self.deployments.table(),
            rights: &self.rights,
            journals: &self.journals,
            alerts: &self.alerts,
            cuts: self.cuts.subscribe(),
            quarantines: &quarantines,
            backends: &self.backends,
        });
        let mut live = BTreeMap::new();
        for (name, (relation, provider)) in system {
            relations.insert(name.clone(), relation);
            live.extend(provider.map(|provider| (name, provider)));
        }
        let others = foreign.iter().filter_map(|f| Some((f.name().clone(), f.table()?)));
        let columns = others.map(|(name, table)| (name, Arc::clone(&table.snapshot().schema))).collect();
        let subject = |definition: &Definition| {
            let inputs = inputs_of(definition, project, planned, &columns);
            let planned = planned.get(definition.name())?.clone();
            Some((definition.name().clone(), Subject { definition: definition.clone(), planned, inputs }))
        };
        let subjects = Arc::new(project.models.iter().filter_map(subject).collect());
        let clock_models = project.models.iter().filter(|m| depends_on_clock(project, m));
        Shape {
            number: self.cuts.borrow().shape + 1,
            relations,
            live,
            streams: sources.iter().filter_map(|s| s.stream.clone()).collect(),
            foreign: foreign.iter().filter_map(|f| f.for_waves()).collect(),
            models: models.to_vec(),
            clock_models: clock_models.map(|m| m.name().clone()).collect(),
            subjects,
        }
    }
}

async fn write_journals(journals: Journals, watch: incidents::Watch, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return watch.log_failed_loads(true),
            () = tokio::time::sleep(JOURNAL_PERIOD) => {
                watch.look();
                watch.log_failed_loads(false);
                journals.flush().await;
            }
        }
    }
}

/// A project folder that is not there is said so before anything else is.
pub fn check_project(folder: &Path) -> anyhow::Result<()> {
    if !folder.is_dir() {
        bail!(
            "project folder {:?} is missing; give --project a folder, or make one with sluice init",
            folder
        );
    }
    Ok(())
}
