//! A project folder, read and planned for a command that touches no data.

use super::check::rendered;
use crate::catalog::plan::{ForeignColumns, PlannedModel, plan};
use crate::catalog::project::Project;
use crate::engine::Engine;
use crate::lake::TableName;
use crate::sql::Error;
use crate::warehouse::foreign;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Memory for plans over empty tables, bytes.
pub(super) const PLAN_MEMORY_BYTES_MAX: usize = 256 << 20;

/// A project whose models stand.
pub(super) struct PlannedProject {
    pub(super) project: Arc<Project>,
    pub(super) models: BTreeMap<TableName, PlannedModel>,
    /// The columns of tables that others write.
    pub(super) foreign: ForeignColumns,
}

/// Reads and plans a folder. Of tables that others write the log is read. Needs a deep stack: see [`on_deep_stack`].
pub(super) async fn plan_folder(folder: &Path, engine: &Engine) -> Result<PlannedProject, Vec<Error>> {
    let project = Arc::new(Project::load(folder)?);
    let others = foreign::open_all(&project).await;
    let foreign = foreign::columns(&others);
    let models = plan(&project, &foreign, engine).await?;
    Ok(PlannedProject { project, models, foreign })
}

/// As [`plan_folder`], for a command that has nothing to do where the project has errors: they are printed.
pub(super) fn planned(folder: &Path) -> anyhow::Result<PlannedProject> {
    crate::warehouse::check_project(folder)?;
    let engine = Engine::new(PLAN_MEMORY_BYTES_MAX, 1).context("the query engine did not start")?;
    let path = folder.to_path_buf();
    on_deep_stack(1, async move { plan_folder(&path, &engine).await })?
        .or_else(|errors| refuse(folder, &errors))
}

/// Prints a project's errors, and fails.
pub(super) fn refuse<T>(folder: &Path, errors: &[Error]) -> anyhow::Result<T> {
    errors.iter().for_each(|error| eprintln!("{}", rendered(folder, error)));
    let plural = if errors.len() == 1 { "" } else { "s" };
    bail!("the project has {} error{plural}", errors.len());
}

/// Runs to the end on threads that have the stack that planning needs.
pub(super) fn on_deep_stack<T: Send + 'static>(
    threads: usize,
    work: impl Future<Output = T> + Send + 'static,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .thread_stack_size(super::STACK_BYTES)
        .build()
        .context("no thread could be started")?;
    // On a worker, which has the stack.
    runtime.block_on(runtime.spawn(work)).context("planning stopped")
}
