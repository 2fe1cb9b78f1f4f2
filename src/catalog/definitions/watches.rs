//! Audits and alerts that were defined over a connection: what looks at tables and is no table itself.

use super::{Definitions, Refusal};
use crate::catalog::project::Project;
use crate::lake::TableName;
use crate::sql::{Definition, parse_file, quoted, quoted_table};
use chrono::{DateTime, Utc};
use std::fmt;
use std::path::{Path, PathBuf};

/// The folder that no project has: errors name what was typed as if it stood there.
const TYPED: &str = "typed";

/// What an audit or an alert is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchName {
    /// An audit has a name of its own among those of its model.
    Audit {
        /// The model.
        on: TableName,
        /// Its name.
        name: String,
    },
    /// An alert.
    Alert(String),
}

impl fmt::Display for WatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchName::Audit { on, name } => write!(f, "audit {name} on {on}"),
            WatchName::Alert(name) => write!(f, "alert {name}"),
        }
    }
}

impl WatchName {
    /// The word behind `CREATE`, which is also that in `sluice.definitions`.
    pub fn word(&self) -> &'static str {
        match self {
            WatchName::Audit { .. } => "AUDIT",
            WatchName::Alert(_) => "ALERT",
        }
    }

    /// Its name alone.
    pub fn name(&self) -> &str {
        match self {
            WatchName::Audit { name, .. } | WatchName::Alert(name) => name,
        }
    }

    /// The model that it is of.
    pub fn on(&self) -> Option<&TableName> {
        match self {
            WatchName::Audit { on, .. } => Some(on),
            WatchName::Alert(_) => None,
        }
    }

    /// Where errors of it are placed.
    pub fn path(&self) -> PathBuf {
        Path::new(TYPED).join(self.to_string())
    }

    /// True when the project has one of this name.
    fn is_in(&self, project: &Project) -> bool {
        match self {
            WatchName::Audit { on, name } => {
                project.audits.get(on).is_some_and(|audits| audits.iter().any(|audit| audit.name == *name))
            }
            WatchName::Alert(name) => project.alerts.contains_key(name),
        }
    }

    /// True when the project has it as it was typed, and not one of the same name that a file defines.
    pub fn runs_in(&self, project: &Project) -> bool {
        let origin = match self {
            WatchName::Audit { on, name } => {
                let audits = project.audits.get(on).into_iter().flatten();
                audits.filter(|audit| audit.name == *name).map(|audit| &audit.origin).next_back()
            }
            WatchName::Alert(name) => project.alerts.get(name).map(|alert| &alert.origin),
        };
        origin.is_some_and(|origin| origin.file == self.path())
    }
}

/// What an error's path names, where it is an audit or an alert.
pub fn watch_at(path: &Path) -> Option<String> {
    let name = path.strip_prefix(TYPED).ok()?;
    Some(name.to_string_lossy().into_owned())
}

/// An audit or an alert that was defined over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its name.
    pub name: WatchName,
    /// What stands behind the name, and behind the model of an audit.
    pub body: String,
    /// Who defined it.
    pub changed_by: String,
    /// And when.
    pub changed_at: DateTime<Utc>,
}

impl Watch {
    /// The statement that defines it.
    pub fn text(&self) -> String {
        let (word, name) = (self.name.word(), quoted(self.name.name()));
        let on = self.name.on().map(|on| format!(" ON {}", quoted_table(on))).unwrap_or_default();
        format!("CREATE {word} {name}{on} {};\n", self.body.trim())
    }

    /// The tables that it reads, where its text can be read.
    pub fn inputs(&self) -> Vec<TableName> {
        let definitions = parse_file(&self.name.path(), &self.text()).unwrap_or_default();
        let inputs = definitions.into_iter().flat_map(|definition| match definition {
            Definition::Audit(audit) => audit.inputs,
            Definition::Alert(alert) => alert.inputs,
            _ => vec![],
        });
        inputs.chain(self.name.on().cloned()).collect()
    }
}

impl Definitions {
    pub(super) fn watch(&mut self, watch: &Watch, replace: bool, project: &Project) -> Result<(), Refusal> {
        let is_typed = self.watches.contains_key(&watch.name);
        if is_typed && !replace {
            return Err(Refusal { hint: None, ..already(&watch.name, "already exists", "") });
        }
        if !is_typed && watch.name.is_in(project) && !watch.name.runs_in(project) {
            let hint = "Change it there, and the warehouse follows, or choose another name.";
            return Err(already(&watch.name, "is defined in the project's files", hint));
        }
        self.watches.insert(watch.name.clone(), watch.clone());
        Ok(())
    }

    pub(super) fn unwatch(
        &mut self,
        name: &WatchName,
        if_exists: bool,
        project: &Project,
    ) -> Result<(), Refusal> {
        if self.watches.remove(name).is_some() {
            return Ok(());
        }
        if name.is_in(project) && !name.runs_in(project) {
            let message = format!("{name} is defined in the project's files");
            let hint = "Change its file under sql/ or catalog/, and the warehouse follows.";
            return Err(Refusal::new("42501", message, hint));
        }
        if if_exists {
            return Ok(());
        }
        Err(Refusal { hint: None, ..Refusal::new("42704", format!("{name} does not exist"), "") })
    }

    /// The audits and alerts that read a table.
    pub(super) fn watchers<'a>(&'a self, name: &'a TableName) -> impl Iterator<Item = &'a WatchName> {
        self.watches.values().filter(move |watch| watch.inputs().contains(name)).map(|watch| &watch.name)
    }
}

fn already(name: &WatchName, what: &str, hint: &str) -> Refusal {
    Refusal::new("42710", format!("{name} {what}"), hint)
}
