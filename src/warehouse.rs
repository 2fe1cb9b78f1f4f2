//! Wires the stages together; owns start order and stop order.
//!
//! ```text
//! start   listeners bound ─ lake locked ─ project read and planned ─ tables opened ─ last epoch's cut published
//!         ─ sources take pushes ─ READY ─ waves, lanes, upkeep run
//! stop    sources end ─ writers commit what was read ─ lanes end, a last wave publishes it ─ journals written
//!         ─ readers' connections drained
//! ```

mod sources;
pub(crate) mod strict;
mod system;
mod upkeep;

use crate::catalog::cut::{Cut, Relation, RelationKind};
use crate::catalog::plan::{PlannedModel, plan};
use crate::catalog::project::{Model as Definition, Project};
use crate::config::Settings;
use crate::engine::Engine;
use crate::ingest::Inboxes;
use crate::lake::{Lake, TableName};
use crate::ops::clock;
use crate::ops::shutdown::Shutdown;
use crate::refresh::{
    Control, EpochTable, Model, RefreshRecord, Shape, StatusBoard, WaveSettings, Waves, open_model, run_waves,
};
use crate::serve::{Readers, flight, http, postgres};
use crate::sql;
use crate::sql::quarantine_schema;
use anyhow::{Context as _, anyhow, bail};
use futures::future::join_all;
use sources::{RunningSource, SourceTasks};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use system::Journals;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a watched project's files are looked at.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// How often journals are written.
const JOURNAL_PERIOD: Duration = Duration::from_secs(1);

/// Runs the warehouse until the shutdown is requested; returns when it has drained. `ready` is told the addresses once
/// queries are answered.
pub async fn run(
    settings: Settings,
    shutdown: Shutdown,
    ready: impl FnOnce(http::Addresses) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let listeners = Listeners::bind(&settings).await?;
    let addresses = listeners.addresses()?;
    let engine = Engine::new(settings.limits.query_memory_bytes_max, processors())?;
    let (mut project, mut planned) = load(&settings.project, &engine).await.map_err(all_errors)?;
    let root = settings.data.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let lake = Arc::new(Lake::open(Path::new(&root))?);
        let journals = Journals::open(&lake)?;
        let epochs = EpochTable::open(&lake)?;
        anyhow::Ok((lake, journals, epochs))
    });
    let (lake, journals, epochs) =
        opened.await?.with_context(|| format!("could not open the lake at {}", settings.data))?;

    let empty = Cut { epoch: 0, wave_time: clock::now(), tables: BTreeMap::new(), shape: 0 };
    let (cuts, mut published) = watch::channel(Arc::new(empty));
    let (inboxes, control) = (Inboxes::default(), Control::default());
    let house = House { settings, engine, lake, journals, epochs, cuts, inboxes, control };
    let stop_serving = Shutdown::new();
    let mut ready = Some(ready);
    let mut listeners = Some(listeners);
    loop {
        let stop = shutdown.token().child_token();
        let running = house.start(project, planned, &stop).await?;
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
        let reloaded = tokio::select! {
            () = shutdown.requested() => None,
            reloaded = house.changed_project() => Some(reloaded),
        };
        stop.cancel();
        running.drain().await;
        house.journals.flush().await;
        match reloaded {
            Some(next) => (project, planned) = next,
            None => break,
        }
    }
    stop_serving.request();
    stop_serving.drained().await;
    Ok(())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

pub(crate) type Planned = BTreeMap<TableName, PlannedModel>;

async fn load(folder: &Path, engine: &Engine) -> Result<(Arc<Project>, Planned), Vec<sql::Error>> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let project = Arc::new(Project::load(&folder)?);
    let planned = plan(&project, engine).await?;
    Ok((project, planned))
}

fn all_errors(errors: Vec<sql::Error>) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow!("the project has {} errors\n{}", errors.len(), lines.join("\n"))
}

/// The three bound sockets.
struct Listeners {
    pg: TcpListener,
    flight: TcpListener,
    http: TcpListener,
}

impl Listeners {
    async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            pg: bind("Postgres", "--pg-listen", settings.pg_listen).await?,
            flight: bind("Flight SQL", "--flight-listen", settings.flight_listen).await?,
            http: bind("HTTP", "--http-listen", settings.http_listen).await?,
        })
    }

    fn addresses(&self) -> std::io::Result<http::Addresses> {
        Ok(http::Addresses {
            pg: self.pg.local_addr()?,
            flight: self.flight.local_addr()?,
            http: self.http.local_addr()?,
        })
    }

    fn serve(self, readers: Readers, addresses: http::Addresses, stop: &Shutdown) {
        stop.spawn(postgres::listen(self.pg, readers.clone()));
        let flight = flight::listen(self.flight, readers.clone());
        stop.spawn(async move {
            if let Err(error) = flight.await {
                tracing::error!(%error, "Flight SQL stopped");
            }
        });
        let http = http::listen(self.http, readers, addresses);
        stop.spawn(async move {
            if let Err(error) = http.await {
                tracing::error!(%error, "HTTP stopped");
            }
        });
    }
}

async fn bind(what: &str, flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!(
                "{what} address {address} is in use; stop what listens there or choose another with {flag}"
            )
        }
        _ => anyhow!("could not listen on {what} address {address}: {error}; choose another with {flag}"),
    })
}

/// What stands while projects come and go.
struct House {
    settings: Settings,
    engine: Engine,
    lake: Arc<Lake>,
    journals: Journals,
    epochs: EpochTable,
    cuts: watch::Sender<Arc<Cut>>,
    inboxes: Inboxes,
    control: Control,
}

/// A project's running tasks.
struct Running {
    sources: Vec<SourceTasks>,
    waves: tokio::task::JoinHandle<()>,
    waves_stop: CancellationToken,
    upkeep: tokio::task::JoinHandle<()>,
    journals: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Sources first, so that what they read still joins an epoch.
    async fn drain(self) {
        join_all(self.sources.into_iter().map(SourceTasks::drain)).await;
        self.waves_stop.cancel();
        let _ = self.waves.await;
        let _ = self.upkeep.await;
        let _ = self.journals.await;
    }
}

impl House {
    fn readers(&self, shutdown: &Shutdown) -> Readers {
        Readers {
            cuts: self.cuts.subscribe(),
            engine: self.engine.clone(),
            users: Arc::new(self.settings.users.clone()),
            catalogs: Arc::default(),
            limits: self.settings.limits.clone(),
            inboxes: Arc::clone(&self.inboxes),
            control: self.control.clone(),
            shutdown: shutdown.clone(),
        }
    }

    async fn start(
        &self,
        project: Arc<Project>,
        planned: Planned,
        stop: &CancellationToken,
    ) -> anyhow::Result<Running> {
        let opened = join_all(project.sources.values().map(|source| sources::open(&self.lake, source))).await;
        let (running, resumes): (Vec<RunningSource>, Vec<_>) = opened.into_iter().unzip();
        let running = Arc::new(running);
        let board = StatusBoard::default();
        let models = self.open_models(&project, planned.clone(), &board).await?;
        let shape = self.shape(&project, &planned, &running, &models, &board);

        let journals = self.journals.clone();
        let waves = Waves {
            lake: Arc::clone(&self.lake),
            engine: self.engine.clone(),
            shape,
            epochs: self.epochs.clone(),
            cuts: self.cuts.clone(),
            board,
            record: Arc::new(move |record| journals.note_refresh(&record)),
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
            sources::start(source, resume, &project, &self.inboxes, flush_age, log, stop)
        };
        let sources = running.iter().zip(resumes).filter_map(start).collect();
        let upkeep = upkeep::Upkeep {
            lake: Arc::clone(&self.lake),
            epochs: self.epochs.clone(),
            journals: self.journals.clone(),
            models,
            cuts: self.cuts.subscribe(),
            limits: self.settings.limits.clone(),
        };
        let upkeep = upkeep::run(upkeep, stop.clone());
        let journals = write_journals(self.journals.clone(), stop.clone());
        Ok(Running {
            sources,
            waves,
            waves_stop,
            upkeep: tokio::spawn(upkeep),
            journals: tokio::spawn(journals),
        })
    }

    /// Opens the models' tables. A model that cannot be opened, or is not what it says, is shown as failed; the others
    /// go on.
    async fn open_models(
        &self,
        project: &Arc<Project>,
        mut planned: Planned,
        board: &StatusBoard,
    ) -> anyhow::Result<Vec<Arc<Model>>> {
        for (name, error) in strict::refused(project, &planned, &self.engine).await {
            planned.remove(&name);
            self.leave_out(&name, board, error.to_string());
        }
        let (lake, project) = (Arc::clone(&self.lake), Arc::clone(project));
        let open = move || {
            let open = |definition: &Definition| {
                let plan = planned.get(definition.name())?;
                let inputs = stored_inputs(&project, definition);
                let opened = open_model(&lake, definition, plan, inputs);
                Some((definition.name().clone(), opened))
            };
            project.models.iter().filter_map(open).collect::<Vec<_>>()
        };
        let mut models = Vec::new();
        for (name, opened) in tokio::task::spawn_blocking(open).await? {
            match opened {
                Ok(model) => models.extend(model.map(Arc::new)),
                Err(error) => {
                    let reason = format!(
                        "{}; if its definition has changed, give it another name or move its folder away",
                        crate::lake::chain(&error)
                    );
                    self.leave_out(&name, board, reason);
                }
            }
        }
        Ok(models)
    }

    fn leave_out(&self, name: &TableName, board: &StatusBoard, reason: String) {
        tracing::error!(model = %name, error = reason, "model could not be opened");
        let epoch = self.cuts.borrow().epoch;
        self.journals.note_refresh(&RefreshRecord::unopened(epoch, name, reason.clone()));
        board.fail(name, None, reason);
    }

    fn shape(
        &self,
        project: &Arc<Project>,
        planned: &Planned,
        sources: &Arc<Vec<RunningSource>>,
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
        }
        for definition in &project.models {
            let name = definition.name();
            let Some(plan) = planned.get(name) else { continue };
            let is_open = matches!(definition, Definition::View(_)) || models.iter().any(|m| m.name == *name);
            if !is_open {
                continue;
            }
            let (kind, primary_key) = match definition {
                Definition::StreamingTable(d) => (RelationKind::StreamingTable, d.primary_key.clone()),
                Definition::MaterializedView(d) => (RelationKind::MaterializedView, d.primary_key.clone()),
                Definition::View(_) => (RelationKind::View, Vec::new()),
            };
            let query = Some(plan.query.clone());
            let described = relation(project, name, kind, Arc::clone(&plan.schema));
            add(Relation { primary_key, query, ..described });
        }
        for model in models.iter().filter(|m| m.quarantine.is_some()) {
            add(quarantine_relation(&model.name));
            quarantines.push(model.name.quarantine());
        }
        let system = system::tables(system::Shown {
            project,
            models,
            lake: &self.lake,
            sources,
            board,
            epochs: &self.epochs,
            journals: &self.journals,
            cuts: self.cuts.subscribe(),
            quarantines: &quarantines,
        });
        let mut live = BTreeMap::new();
        for (name, (relation, provider)) in system {
            relations.insert(name.clone(), relation);
            live.extend(provider.map(|provider| (name, provider)));
        }
        let clock_models = project.models.iter().filter(|m| depends_on_clock(project, m));
        Shape {
            number: self.cuts.borrow().shape + 1,
            relations,
            live,
            streams: sources.iter().filter_map(|s| s.stream.clone()).collect(),
            models: models.to_vec(),
            clock_models: clock_models.map(|m| m.name().clone()).collect(),
        }
    }

    /// Resolves when the watched project has changed and is sound again; never when it is not watched.
    async fn changed_project(&self) -> (Arc<Project>, Planned) {
        let mut known = fingerprint(&self.settings.project);
        loop {
            tokio::time::sleep(WATCH_PERIOD).await;
            if !self.settings.watch {
                continue;
            }
            let now = fingerprint(&self.settings.project);
            if now == known {
                continue;
            }
            known = now;
            match load(&self.settings.project, &self.engine).await {
                Ok(next) => {
                    tracing::info!("the project has changed and is reloaded");
                    return next;
                }
                Err(errors) => {
                    tracing::error!(
                        "the changed project has errors; the old one goes on\n{:#}",
                        all_errors(errors)
                    );
                }
            }
        }
    }
}

async fn write_journals(journals: Journals, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(JOURNAL_PERIOD) => journals.flush().await,
        }
    }
}

fn relation(
    project: &Project,
    name: &TableName,
    kind: RelationKind,
    schema: arrow::datatypes::SchemaRef,
) -> Relation {
    let column_comments: HashMap<String, String> = project
        .column_comments
        .iter()
        .filter(|((table, _), _)| table == name)
        .map(|((_, column), text)| (column.clone(), text.clone()))
        .collect();
    Relation {
        name: name.clone(),
        kind,
        schema,
        comment: project.comments.get(name).cloned(),
        column_comments,
        primary_key: Vec::new(),
        query: None,
    }
}

fn quarantine_relation(beside: &TableName) -> Relation {
    Relation {
        name: beside.quarantine(),
        kind: RelationKind::Source,
        schema: quarantine_schema(),
        comment: Some(format!("Rows set apart from {beside}, with rule and reason")),
        column_comments: HashMap::new(),
        primary_key: Vec::new(),
        query: None,
    }
}

/// The stored tables that a model reads, views looked through.
fn stored_inputs(project: &Project, definition: &Definition) -> Vec<TableName> {
    let mut stored = BTreeSet::new();
    let mut open: Vec<&TableName> = definition.query().inputs.iter().collect();
    while let Some(name) = open.pop() {
        match project.models.iter().find(|m| m.name() == name) {
            Some(Definition::View(view)) => open.extend(&view.query.inputs),
            _ => {
                stored.insert(name.clone());
            }
        }
    }
    stored.into_iter().collect()
}

/// True when a query, or a view that it reads, asks for the time.
fn depends_on_clock(project: &Project, definition: &Definition) -> bool {
    let asks = |definition: &Definition| sql::asks_for_time(&*definition.query().ast);
    asks(definition)
        || definition.query().inputs.iter().any(|input| {
            project.models.iter().any(|m| {
                m.name() == input && matches!(m, Definition::View(_)) && depends_on_clock(project, m)
            })
        })
}

/// Changes when a file of the project does.
fn fingerprint(folder: &Path) -> Vec<(std::path::PathBuf, Option<std::time::SystemTime>, u64)> {
    let mut files = Vec::new();
    let mut open = vec![folder.join("catalog"), folder.join("sql")];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(path),
                Ok(meta) => files.push((path, meta.modified().ok(), meta.len())),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
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
