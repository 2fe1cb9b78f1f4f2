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
mod open;
mod quarantined;
mod reads;
mod relations;
mod reload;
mod rights;
mod secrets;
mod shape;
mod sources;
mod start;
pub(crate) mod strict;
pub(crate) mod system;
mod unopened;
mod upkeep;

use crate::catalog::access::Access;
use crate::catalog::cut::Cut;
use crate::catalog::definer::Definer;
use crate::catalog::environment::Production;
use crate::catalog::files::{Texts, texts};
use crate::config::Settings;
use crate::deliver::alerts::Alerts;
use crate::engine::Engine;
use crate::ingest::Inboxes;
use crate::lake::Lake;
use crate::ops::clock;
use crate::ops::secret::Secrets;
use crate::ops::shutdown::Shutdown;
use crate::quality::Incidents;
use crate::refresh::{Control, EpochTable};
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
use futures::future::join_all;
use listeners::Listeners;
pub(crate) use loaded::Planned;
use loaded::load;
use parking_lot::Mutex;
use rights::Rights;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use system::Journals;
use tokio::sync::{Notify, watch};

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
            plans: Arc::default(),
            tls: self.tls.clone(),
            limits: self.settings.limits.clone(),
            inboxes: Arc::clone(&self.inboxes),
            control: self.control.clone(),
            definer: self.definer.clone(),
            backends: Arc::clone(&self.backends),
            shutdown: shutdown.clone(),
        }
    }
}
