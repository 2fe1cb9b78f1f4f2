//! Projects of tests, from texts.

use super::definitions::Definitions;
use super::plan::{ForeignColumns, PlannedModel, plan};
use super::project::Project;
use crate::engine::Engine;
use crate::lake::TableName;
use crate::sql::Error;
use std::collections::BTreeMap;
use std::path::Path;

/// The project of these files, by their paths.
pub(super) fn project(files: impl IntoIterator<Item = (String, String)>) -> Project {
    let texts = files.into_iter().map(|(path, text)| (path.into(), text)).collect();
    Project::load_with(Path::new("."), Some(&texts), &Definitions::default()).unwrap()
}

/// Its models, planned.
pub(super) fn planned(project: Project) -> Result<BTreeMap<TableName, PlannedModel>, Vec<Error>> {
    let engine = Engine::new(64 << 20, 2).unwrap();
    // Unoptimised planning needs more stack than a test thread has.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_stack_size(16 << 20).build();
    runtime.unwrap().block_on(async move {
        tokio::spawn(async move { plan(&project, &ForeignColumns::new(), &engine).await }).await.unwrap()
    })
}
