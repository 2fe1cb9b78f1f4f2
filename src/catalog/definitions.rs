//! What was defined over a connection: models, audits and alerts, kept as the texts that files would hold.
//!
//! Comes in: changes, in the order in which they were said. Goes out: the definitions as they then are, or why a change
//! cannot be. Pure: whether the models plan is found out afterwards, of all of them together. Files are the truth for
//! what they define: nothing here touches a model of a file.

use super::project::Project;
use crate::lake::TableName;
use crate::sql::{AccessStatement, Definition, literal, parse_file, quoted, quoted_table};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

mod watches;

pub use watches::{Watch, WatchName, watch_at};

/// What was made of a statement: a dbt `table` is a materialized view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedKind {
    /// `CREATE VIEW`
    View,
    /// `CREATE MATERIALIZED VIEW`, `CREATE TABLE ... AS`
    MaterializedView,
}

impl TypedKind {
    /// The words behind `CREATE`, which are also those in `sluice.definitions`.
    pub fn words(self) -> &'static str {
        match self {
            TypedKind::View => "VIEW",
            TypedKind::MaterializedView => "MATERIALIZED VIEW",
        }
    }
}

/// A model that was defined over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Its name.
    pub name: TableName,
    /// What it is.
    pub kind: TypedKind,
    /// What stands behind its name, `AS` and the query included.
    pub body: String,
    /// `COMMENT ON TABLE`
    pub comment: Option<String>,
    /// `COMMENT ON COLUMN`, by column.
    pub column_comments: BTreeMap<String, String>,
    /// Who defined it.
    pub changed_by: String,
    /// And when.
    pub changed_at: DateTime<Utc>,
}

impl Typed {
    /// The file under `sql/` that would define it.
    pub fn path(&self) -> PathBuf {
        Path::new("sql").join(&self.name.schema).join(format!("{}.sql", self.name.name))
    }

    /// The text of that file.
    pub fn text(&self) -> String {
        let (name, kind) = (quoted_table(&self.name), self.kind.words());
        let mut text = format!("CREATE {kind} {name} {};\n", self.body.trim());
        if let Some(comment) = &self.comment {
            text.push_str(&format!("COMMENT ON {kind} {name} IS {};\n", literal(comment)));
        }
        for (column, comment) in &self.column_comments {
            let column = quoted(column);
            text.push_str(&format!("COMMENT ON COLUMN {name}.{column} IS {};\n", literal(comment)));
        }
        text
    }

    /// The tables that it reads, where its text can be read.
    pub fn inputs(&self) -> Vec<TableName> {
        let definitions = parse_file(&self.path(), &self.text()).unwrap_or_default();
        definitions
            .into_iter()
            .find_map(|definition| match definition {
                Definition::MaterializedView(view) => Some(view.query.inputs),
                Definition::View(view) => Some(view.query.inputs),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// What a statement does to the definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `CREATE`; `OR REPLACE` takes the place of one of the same name.
    Create {
        /// What is defined.
        model: Typed,
        /// `OR REPLACE`
        replace: bool,
    },
    /// `ALTER ... RENAME TO`
    Rename {
        /// What it is called.
        from: TableName,
        /// What it is to be called.
        to: TableName,
    },
    /// `DROP`
    Drop {
        /// What goes.
        name: TableName,
        /// `CASCADE`: what reads it goes, too.
        cascade: bool,
    },
    /// `COMMENT ON`; without a text there is none any more.
    Comment {
        /// The model.
        on: TableName,
        /// Its column, if it is about one.
        column: Option<String>,
        /// What is said.
        text: Option<String>,
    },
    /// `CREATE AUDIT`, `CREATE ALERT`; `OR REPLACE` takes the place of one of the same name.
    Watch {
        /// What is defined.
        watch: Watch,
        /// `OR REPLACE`
        replace: bool,
    },
    /// `DROP AUDIT`, `DROP ALERT`
    Unwatch {
        /// What goes.
        name: WatchName,
        /// `IF EXISTS`
        if_exists: bool,
    },
    /// `CREATE ROLE`, `GRANT` and the like: not of the definitions themselves, but of one transaction with them.
    Access {
        /// What was said.
        statement: AccessStatement,
        /// By whose rights.
        role: String,
    },
}

impl Change {
    /// The name of a model that it gives.
    pub fn defines(&self) -> Option<&TableName> {
        match self {
            Change::Create { model, .. } => Some(&model.name),
            Change::Rename { to, .. } => Some(to),
            Change::Drop { .. }
            | Change::Comment { .. }
            | Change::Watch { .. }
            | Change::Unwatch { .. }
            | Change::Access { .. } => None,
        }
    }

    /// What it defines, be it a model or not.
    pub fn defines_any(&self) -> Option<TypedName> {
        match self {
            Change::Watch { watch, .. } => Some(TypedName::Watch(watch.name.clone())),
            _ => self.defines().cloned().map(TypedName::Model),
        }
    }

    /// The name that it takes away.
    pub fn takes(&self) -> Option<&TableName> {
        match self {
            Change::Rename { from: name, .. } | Change::Drop { name, .. } => Some(name),
            Change::Create { .. }
            | Change::Comment { .. }
            | Change::Watch { .. }
            | Change::Unwatch { .. }
            | Change::Access { .. } => None,
        }
    }
}

/// Why a change cannot be, in PostgreSQL's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: &'static str,
    /// The primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Refusal {
    fn new(code: &'static str, message: String, hint: impl Into<String>) -> Self {
        Self { code, message, detail: None, hint: Some(hint.into()) }
    }
}

/// What something is called that was defined over a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypedName {
    /// A model.
    Model(TableName),
    /// An audit or an alert.
    Watch(WatchName),
}

impl fmt::Display for TypedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedName::Model(name) => name.fmt(f),
            TypedName::Watch(name) => name.fmt(f),
        }
    }
}

/// Everything that was defined over a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Models.
    pub models: BTreeMap<TableName, Typed>,
    /// Audits and alerts.
    pub watches: BTreeMap<WatchName, Watch>,
}

impl Definitions {
    /// What is defined at a path that an error names.
    pub fn at(&self, path: &Path) -> Option<TypedName> {
        let model = self.models.values().find(|model| model.path() == path);
        let model = model.map(|model| TypedName::Model(model.name.clone()));
        let watch = || self.watches.keys().find(|name| name.path() == path).cloned();
        model.or_else(|| watch().map(TypedName::Watch))
    }

    /// Leaves something out.
    pub fn leave_out(&mut self, name: &TypedName) {
        match name {
            TypedName::Model(name) => drop(self.models.remove(name)),
            TypedName::Watch(name) => drop(self.watches.remove(name)),
        }
    }

    /// Does these changes, one after the other. `project` is what runs. More may come (in a transaction that is open):
    /// then what reads a name that is gone may still get it back.
    pub fn change(
        &mut self,
        changes: &[Change],
        project: &Project,
        more_may_come: bool,
    ) -> Result<(), Refusal> {
        // Names that are taken by what is not defined here, and what reads which table.
        let of_files = OfFiles::new(project, self);
        let before: BTreeSet<TableName> = self.models.keys().cloned().collect();
        changes.iter().try_for_each(|change| match change {
            Change::Create { model, replace } => self.create(model, *replace, &of_files),
            Change::Rename { from, to } => self.rename(from, to, &of_files),
            // Something before it has taken it along.
            Change::Drop { name, .. } if before.contains(name) && !self.models.contains_key(name) => Ok(()),
            Change::Drop { name, cascade } => self.drop(name, *cascade, &of_files),
            Change::Comment { on, column, text } => {
                self.comment(on, column.as_ref(), text.as_ref(), &of_files)
            }
            Change::Watch { watch, replace } => self.watch(watch, *replace, project),
            Change::Unwatch { name, if_exists } => self.unwatch(name, *if_exists, project),
            Change::Access { .. } => Ok(()),
        })?;
        // A name that is gone may have come back meanwhile: only now is it known what reads nothing.
        if more_may_come { Ok(()) } else { self.unread(changes, &of_files) }
    }

    fn create(&mut self, model: &Typed, replace: bool, of_files: &OfFiles) -> Result<(), Refusal> {
        of_files.check_free(&model.name)?;
        if let Some(old) = self.models.get(&model.name) {
            if !replace {
                return Err(exists(&model.name));
            }
            if old.kind != model.kind {
                let (name, was) = (&model.name.name, old.kind.words());
                let message = format!("\"{name}\" is not a {}", model.kind.words().to_lowercase());
                return Err(Refusal::new(
                    "42809",
                    message,
                    format!("It is a {}: DROP it first.", was.to_lowercase()),
                ));
            }
        }
        self.models.insert(model.name.clone(), model.clone());
        Ok(())
    }

    fn rename(&mut self, from: &TableName, to: &TableName, of_files: &OfFiles) -> Result<(), Refusal> {
        if from == to || self.models.contains_key(to) {
            return Err(exists(to));
        }
        of_files.check_free(to)?;
        let mut model = self.take(from, of_files)?;
        model.name = to.clone();
        self.models.insert(to.clone(), model);
        Ok(())
    }

    fn drop(&mut self, name: &TableName, cascade: bool, of_files: &OfFiles) -> Result<(), Refusal> {
        self.take(name, of_files)?;
        // As constraints do, audits go with what they are on.
        self.watches.retain(|watch, _| watch.on() != Some(name));
        if cascade {
            let readers: Vec<TableName> = self.readers(name).cloned().collect();
            for reader in readers {
                if self.models.contains_key(&reader) {
                    self.drop(&reader, true, of_files)?;
                }
            }
            self.watches.retain(|_, watch| !watch.inputs().contains(name));
        }
        Ok(())
    }

    fn comment(
        &mut self,
        on: &TableName,
        column: Option<&String>,
        text: Option<&String>,
        of_files: &OfFiles,
    ) -> Result<(), Refusal> {
        let Some(model) = self.models.get_mut(on) else { return Err(of_files.not_here(on)) };
        match (column, text) {
            (None, text) => model.comment = text.cloned(),
            (Some(column), Some(text)) => {
                model.column_comments.insert(column.clone(), text.clone());
            }
            (Some(column), None) => {
                model.column_comments.remove(column);
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &TableName, of_files: &OfFiles) -> Result<Typed, Refusal> {
        self.models.remove(name).ok_or_else(|| of_files.not_here(name))
    }

    /// The models defined here that read a table.
    fn readers<'a>(&'a self, name: &'a TableName) -> impl Iterator<Item = &'a TableName> {
        self.models.values().filter(move |model| model.inputs().contains(name)).map(|model| &model.name)
    }

    /// Refuses changes that leave something without what it reads.
    fn unread(&self, changes: &[Change], of_files: &OfFiles) -> Result<(), Refusal> {
        let gone = changes.iter().filter_map(|change| Some((change.takes()?, change)));
        for (name, change) in gone.filter(|(name, _)| !self.models.contains_key(*name)) {
            let models = self.readers(name).chain(of_files.readers(name)).map(ToString::to_string);
            let mut readers = models.chain(self.watchers(name).map(ToString::to_string));
            let Some(first) = readers.next() else { continue };
            let readers = readers.fold(first, |all, reader| format!("{all}, {reader}"));
            let (verb, hint) = match change {
                Change::Drop { .. } => {
                    ("drop", "Use DROP ... CASCADE to drop what was defined over a connection, too.")
                }
                _ => ("rename", "Define what is to stand in its place in the same transaction."),
            };
            let message = format!("cannot {verb} {name} because other objects depend on it");
            let detail = Some(format!("It is read by {readers}."));
            return Err(Refusal { detail, ..Refusal::new("2BP01", message, hint) });
        }
        Ok(())
    }
}

fn exists(name: &TableName) -> Refusal {
    Refusal {
        hint: None,
        ..Refusal::new("42P07", format!("relation \"{}\" already exists", name.name), String::new())
    }
}

/// What the project's files define, as far as it matters here.
struct OfFiles {
    tables: BTreeSet<TableName>,
    inputs: BTreeMap<TableName, Vec<TableName>>,
}

impl OfFiles {
    fn new(project: &Project, typed: &Definitions) -> Self {
        let models = project.models.iter().filter(|model| !typed.models.contains_key(model.name()));
        let inputs: BTreeMap<_, _> =
            models.map(|model| (model.name().clone(), model.query().inputs.clone())).collect();
        let sources = project.sources.keys().chain(project.foreign.keys()).cloned();
        Self { tables: sources.chain(inputs.keys().cloned()).collect(), inputs }
    }

    fn check_free(&self, name: &TableName) -> Result<(), Refusal> {
        if self.tables.contains(name) { Err(exists(name)) } else { Ok(()) }
    }

    fn readers<'a>(&'a self, name: &'a TableName) -> impl Iterator<Item = &'a TableName> {
        self.inputs.iter().filter(move |(_, inputs)| inputs.contains(name)).map(|(reader, _)| reader)
    }

    /// Why a name cannot be changed over a connection.
    fn not_here(&self, name: &TableName) -> Refusal {
        if self.tables.contains(name) {
            let message = format!("\"{name}\" is defined in the project's files");
            return Refusal::new(
                "42501",
                message,
                "Change its file under sql/ or catalog/, and the warehouse follows.",
            );
        }
        Refusal {
            hint: None,
            ..Refusal::new("42P01", format!("relation \"{name}\" does not exist"), String::new())
        }
    }
}

#[cfg(test)]
mod tests;
