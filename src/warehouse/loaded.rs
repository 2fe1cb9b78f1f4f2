//! A project, ready to run: its definitions, the tables of others that it reads, its models planned over both.
//!
//! A project with errors is refused whole. What may come to be wrong although the project is right, since others change
//! their tables, leaves out the models that it touches; the rest runs.

use super::foreign::{self, Others};
use crate::catalog::foreign::depending_on_others;
use crate::catalog::plan::{PlannedModel, Plans, plan_each};
use crate::catalog::project::Project;
use crate::engine::Engine;
use crate::lake::TableName;
use crate::sql::Error;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) type Planned = BTreeMap<TableName, PlannedModel>;

/// A project, ready to run.
pub(super) struct Loaded {
    pub(super) project: Arc<Project>,
    pub(super) planned: Planned,
    pub(super) others: Others,
    /// Models that others' tables keep from running, and why.
    pub(super) left_out: BTreeMap<TableName, String>,
}

/// Reads a project folder.
pub(super) async fn load(folder: &Path, engine: &Engine) -> Result<Loaded, Vec<Error>> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let (loaded, errors) = prepare(Arc::new(Project::load(&folder)?), engine).await;
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

/// Looks at the tables of others and plans the models over them; the errors of models that read none of these tables.
pub(super) async fn prepare(project: Arc<Project>, engine: &Engine) -> (Loaded, Vec<Error>) {
    let others = foreign::open_all(&project).await;
    let plans = plan_each(&project, &foreign::columns(&others), engine).await;
    let depending = depending_on_others(&project);
    let ours = plans.errors.iter().filter(|(name, _)| !depending.contains(name));
    let ours: Vec<Error> = ours.flat_map(|(_, errors)| errors.clone()).collect();
    let left_out = left_out(&plans);
    (Loaded { project, planned: plans.planned, others, left_out }, ours)
}

fn left_out(plans: &Plans) -> BTreeMap<TableName, String> {
    let wrong = plans.errors.iter().map(|(name, errors)| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        (name.clone(), errors.join("\n"))
    });
    let unread = plans.unread.iter();
    let unread =
        unread.map(|(name, input)| (name.clone(), format!("{input}, which it reads, cannot be read")));
    wrong.chain(unread).collect()
}
