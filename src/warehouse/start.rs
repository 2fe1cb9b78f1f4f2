//! An opened project's tasks run: sources, waves and lanes, upkeep, alerts, journals.

use super::foreign;
use super::loaded::Loaded;
use super::open::Opened;
use super::reads::depends_on_clock;
use super::sources::{self, SourceTasks};
use super::{House, backfills, incidents, processors, upkeep};
use crate::bronze::{LoadRecord, Stream};
use crate::deliver::alerts;
use crate::deliver::openlineage::Teller;
use crate::refresh::{BackfillRecord, Shape, WaveSettings, Waves, run_waves};
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A project's running tasks.
pub(super) struct Running {
    sources: Vec<SourceTasks>,
    streams: Vec<Arc<Stream>>,
    followers: Vec<JoinHandle<()>>,
    waves: JoinHandle<()>,
    waves_stop: CancellationToken,
    upkeep: JoinHandle<()>,
    alerts: JoinHandle<()>,
    journals: JoinHandle<()>,
}

impl Running {
    /// Sources first, so that what they read still joins an epoch; what is to be done once nothing new comes, before the last
    /// wave.
    pub(super) async fn drain(self, once_nothing_comes: impl Future<Output = ()>) {
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
    /// Opens a project and runs it until `stop`.
    pub(super) async fn start(&self, loaded: Loaded, stop: &CancellationToken) -> anyhow::Result<Running> {
        let mut opened = self.open(loaded, stop).await?;
        let shape = self.shape(&opened);
        let alerts = self.alerts_of(&opened, shape.number);
        self.follow_erasures(&opened.project, &opened.planned, shape.number, stop);
        let journal = Arc::clone(&self.journals.backfills);
        let backfills = tokio::task::spawn_blocking(move || backfills::recall(&journal)).await??;
        let waves = self.waves(&opened, shape, backfills, stop);
        let waves_stop = CancellationToken::new();
        let run = run_waves(waves, waves_stop.clone());
        let waves = tokio::spawn(async move {
            if let Err(error) = run.await {
                tracing::error!(error = crate::lake::chain(&error), "waves could not start");
            }
        });
        Ok(Running {
            sources: self.start_sources(&mut opened, stop),
            streams: opened.sources.iter().filter_map(|source| source.stream.clone()).collect(),
            followers: self.follow_foreign(&opened, stop),
            waves,
            waves_stop,
            upkeep: tokio::spawn(upkeep::run(self.upkeep(&opened), stop.clone())),
            alerts: tokio::spawn(Arc::clone(&self.alerts).run(alerts, stop.clone())),
            journals: tokio::spawn(self.watch(opened).run(stop.clone())),
        })
    }

    fn alerts_of(&self, opened: &Opened, shape: u64) -> alerts::Run {
        let project = &opened.project;
        let alerts = project.alerts.values();
        let of_clock = alerts.clone().filter(|alert| depends_on_clock(project, &alert.query, &alert.inputs));
        alerts::Run {
            of_clock: of_clock.map(|alert| alert.name.clone()).collect(),
            alerts: alerts.cloned().collect(),
            connections: project.connections.clone(),
            engine: self.engine.clone(),
            cuts: self.cuts.subscribe(),
            shape,
            secrets: Arc::clone(&self.secrets),
        }
    }

    fn waves(
        &self,
        opened: &Opened,
        shape: Shape,
        backfills: Vec<BackfillRecord>,
        stop: &CancellationToken,
    ) -> Waves {
        let teller = self.settings.openlineage.clone().map(|settings| {
            let Opened { project, planned, .. } = opened;
            let models = project.models.iter().filter_map(|m| Some((m, planned.get(m.name())?)));
            Teller::start(settings, models, stop.clone())
        });
        let [journals, audits, loads, filled] = [(); 4].map(|()| self.journals.clone());
        Waves {
            lake: Arc::clone(&self.lake),
            engine: self.engine.clone(),
            shape,
            epochs: self.epochs.clone(),
            cuts: self.cuts.clone(),
            board: opened.board.clone(),
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
            backfills,
            control: self.control.clone(),
            settings: WaveSettings {
                period_min: Duration::from_secs(1) / self.settings.limits.waves_per_second_max.max(1),
                // Two at least: a slow view holds up no other.
                lanes_max: (processors() / 2).max(2),
            },
        }
    }

    /// Those that can: the status of the others says why not.
    fn start_sources(&self, opened: &mut Opened, stop: &CancellationToken) -> Vec<SourceTasks> {
        self.inboxes.write().clear();
        let flush_age = Duration::from_millis(self.settings.limits.flush_age_ms_max);
        let resumes = std::mem::take(&mut opened.resumes);
        let start = |(source, resume)| {
            let journals = self.journals.clone();
            let log = move |load: LoadRecord| journals.note_load(&load);
            let with = (&*opened.project, &opened.values, &self.secrets);
            sources::start(source, resume, with, &self.inboxes, flush_age, log, stop)
        };
        opened.sources.iter().zip(resumes).filter_map(start).collect()
    }

    /// Each table of others is looked at for new versions.
    fn follow_foreign(&self, opened: &Opened, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let follow = |foreign: &Arc<_>| {
            let (project, reload) = (Arc::clone(&opened.project), Arc::clone(&self.reload));
            tokio::spawn(foreign::follow(Arc::clone(foreign), project, reload, stop.clone()))
        };
        opened.foreign.iter().map(follow).collect()
    }

    fn upkeep(&self, opened: &Opened) -> upkeep::Upkeep {
        upkeep::Upkeep {
            lake: Arc::clone(&self.lake),
            epochs: self.epochs.clone(),
            journals: self.journals.clone(),
            models: opened.models.clone(),
            defined: opened.project.models.iter().map(|model| model.name().to_string()).collect(),
            cuts: self.cuts.subscribe(),
            limits: self.settings.limits.clone(),
        }
    }

    fn watch(&self, opened: Opened) -> incidents::Watch {
        incidents::Watch {
            board: opened.board,
            sources: opened.sources,
            foreign: opened.foreign,
            journals: self.journals.clone(),
            retries_max: self.settings.limits.retries_max,
            incidents: Arc::clone(&self.incidents),
            alerts: Arc::clone(&self.alerts),
            unwatched: opened.unwatched,
        }
    }
}
