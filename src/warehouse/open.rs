//! A loaded project's tables are opened. What cannot be opened is shown as failed; the rest goes on.

use super::foreign::{self, Others, RunningForeign};
use super::loaded::{Loaded, Planned};
use super::reads::reads;
use super::secrets::{self, Values};
use super::shape::relations;
use super::sources::{self, RunningSource};
use super::{House, strict, unopened};
use crate::catalog::definitions::WatchName;
use crate::catalog::inputs::by_name;
use crate::catalog::project::{Model as Definition, Project};
use crate::ingest::Resume;
use crate::lake::{TableName, chain};
use crate::refresh::{Model, RefreshRecord, StatusBoard, open_model, take_columns};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A project whose tables are open.
pub(super) struct Opened {
    pub(super) project: Arc<Project>,
    pub(super) planned: Planned,
    /// What its secrets are.
    pub(super) values: Values,
    pub(super) sources: Arc<Vec<RunningSource>>,
    /// Where each source goes on.
    pub(super) resumes: Vec<Resume>,
    pub(super) foreign: Vec<Arc<RunningForeign>>,
    pub(super) models: Vec<Arc<Model>>,
    pub(super) board: StatusBoard,
    /// Typed audits and alerts that do not stand any more, and why.
    pub(super) unwatched: BTreeMap<WatchName, String>,
}

impl House {
    /// Opens a project. Erasures that a stop cut short are finished before anything is read; secrets that are away are
    /// asked for until `stop`.
    pub(super) async fn open(&self, loaded: Loaded, stop: &CancellationToken) -> anyhow::Result<Opened> {
        let Loaded { project, planned, others, left_out, unwatched } = loaded;
        self.say_what_is_computed(&project);
        self.secrets.place(secrets::places(&project));
        self.access.store(Arc::new(self.access_with(&project, self.rights.now())));
        self.go_on_erasing(&project, &planned).await;
        let values = secrets::values(&project, &self.secrets).await;
        let (secrets, reload) = (Arc::clone(&self.secrets), Arc::clone(&self.reload));
        tokio::spawn(secrets::come_back(secrets, secrets::away(&values), reload, stop.clone()));

        let retries_max = self.settings.limits.retries_max;
        let open = |source| sources::open(&self.lake, source, &values, retries_max);
        let (sources, resumes) = join_all(project.sources.values().map(open)).await.into_iter().unzip();
        let board = StatusBoard::default();
        for (name, reason) in left_out {
            self.leave_out(&name, &board, reason);
        }
        for (name, reason) in &unwatched {
            tracing::error!(%name, error = reason, "what was defined over a connection does not stand any more");
        }
        let models = self.open_models(&project, planned.clone(), &others, &board).await?;
        let foreign = project.foreign.values();
        let foreign =
            foreign.map(|f| Arc::new(RunningForeign::new(f, &others[&f.name], retries_max))).collect();
        let sources = Arc::new(sources);
        let opened = Opened { project, planned, values, sources, resumes, foreign, models, board, unwatched };
        self.take_columns(&opened).await;
        Ok(opened)
    }

    /// Gives views the new columns of what they read, inputs first. Those that cannot have them so are computed anew.
    async fn take_columns(&self, opened: &Opened) {
        let (relations, _) = relations(opened);
        let definitions = by_name(&opened.project);
        for model in &opened.models {
            let flow = definitions.get(&model.name).and_then(|definition| definition.auto_cdc());
            let taken = take_columns(model, flow, &relations, &self.lake, &self.engine).await;
            if let Err(error) = taken {
                tracing::warn!(model = %model.name, error = chain(&error), "is computed anew for its new columns");
            }
        }
    }

    fn say_what_is_computed(&self, project: &Project) {
        if self.production.is_none() {
            return;
        }
        let stored = project.models.iter().filter(|model| !matches!(model, Definition::View(_)));
        let here: Vec<String> = stored.map(|model| model.name().to_string()).collect();
        let (here, there) = (here.join(", "), project.foreign.len());
        tracing::info!("computed here: {here}; {there} tables are read from production");
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
}
