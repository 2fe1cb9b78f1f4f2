//! A project, ready to run: its definitions, the tables of others that it reads, its models planned over both.
//!
//! A project with errors is refused whole. What may come to be wrong although the project is right, since others change
//! their tables, leaves out the models that it touches; the rest runs.

use super::foreign::{self, Others};
use super::system;
use crate::catalog::definitions::{Definitions, TypedName, WatchName};
use crate::catalog::environment::Production;
use crate::catalog::files::Texts;
use crate::catalog::foreign::depending_on_others;
use crate::catalog::plan::{PlannedModel, Plans, alert_errors, plan_each};
use crate::catalog::project::Project;
use crate::engine::Engine;
use crate::lake::TableName;
use crate::sql::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a project is read from.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The project folder.
    pub(super) folder: PathBuf,
    /// Texts of files that are to be run in the place of those that are there now.
    pub(super) kept: Option<Arc<Texts>>,
    /// The warehouse whose tables are read in the place of one's own.
    pub(super) production: Option<Arc<Production>>,
}

pub(crate) type Planned = BTreeMap<TableName, PlannedModel>;

/// A project, ready to run.
pub(super) struct Loaded {
    pub(super) project: Arc<Project>,
    pub(super) planned: Planned,
    pub(super) others: Others,
    /// Models that others' tables keep from running, and why.
    pub(super) left_out: BTreeMap<TableName, String>,
    /// Typed audits and alerts that do not stand any more, and why.
    pub(super) unwatched: BTreeMap<WatchName, String>,
}

/// Reads a project, and what was defined over connections beside it. What of those does not stand (any more,
/// since files have changed) is left out.
pub(super) async fn load(
    written: &Written,
    typed: &Definitions,
    engine: &Engine,
) -> Result<Loaded, Vec<Error>> {
    load_without(written, typed, engine, |_| true).await.map(|(loaded, _)| loaded)
}

/// As [`load`], but only such definitions may fall as `may_fall` says; which ones fell. Errors are of one that may not.
pub(super) async fn load_without(
    written: &Written,
    typed: &Definitions,
    engine: &Engine,
    may_fall: impl Fn(&TypedName) -> bool,
) -> Result<(Loaded, BTreeSet<TypedName>), Vec<Error>> {
    let mut standing = typed.clone();
    let mut fallen: BTreeMap<TypedName, String> = BTreeMap::new();
    loop {
        let errors = match load_all(written, &standing, engine).await {
            Ok(mut loaded) => {
                let names = fallen.keys().cloned().collect();
                for (name, reason) in fallen {
                    match name {
                        TypedName::Model(name) => drop(loaded.left_out.insert(name, reason)),
                        TypedName::Watch(name) => drop(loaded.unwatched.insert(name, reason)),
                    }
                }
                return Ok((loaded, names));
            }
            Err(errors) => errors,
        };
        let typed = |error: &Error| standing.at(&error.origin.file);
        let (falling, others): (Vec<Error>, Vec<Error>) =
            errors.into_iter().partition(|error| typed(error).is_some_and(|name| may_fall(&name)));
        if falling.is_empty() || others.iter().any(|error| typed(error).is_some()) {
            return Err(others);
        }
        for error in falling {
            if let Some(name) = standing.at(&error.origin.file) {
                standing.leave_out(&name);
                fallen.insert(name, error.to_string());
            }
        }
    }
}

async fn load_all(written: &Written, typed: &Definitions, engine: &Engine) -> Result<Loaded, Vec<Error>> {
    let mut project = Project::load_with(&written.folder, written.kept.as_deref(), typed)?;
    if let Some(production) = &written.production {
        project = project.over(production);
    }
    let (loaded, errors) = prepare(Arc::new(project), engine).await;
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
    let (columns, system) = (foreign::columns(&others), system::schemas());
    // Boxed: a planning future is large.
    let alerts = Box::pin(alert_errors(&project, &columns, &plans.planned, &system, engine)).await;
    let ours = ours.into_iter().chain(alerts).collect();
    let unwatched = BTreeMap::new();
    (Loaded { project, planned: plans.planned, others, left_out, unwatched }, ours)
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
