//! A project folder, read whole: `catalog/**/*.sql` and `sql/**/*.sql` as one checked set of definitions.
//!
//! Comes in: a folder. Goes out: a [`Project`] whose definitions agree with each other, or every error of it at once.
//! Files that cannot be parsed do not cause errors elsewhere: what they would have defined counts as known.

use super::access::Rules;
use super::audits::not_audited;
use super::definitions::{Definitions, Watch};
use super::files::{
    Place, SqlFile, Texts, file_origin, kept_files, name_of_path, path_of, slashed, sql_files,
};
pub use super::model::Model;
use super::order::dependency_order;
use crate::lake::TableName;
use crate::sql::{
    AlertDefinition, AuditDefinition, CommentTarget, ConnectionDefinition, Definition, Error,
    ForeignDefinition, Origin, SecretDefinition, SourceDefinition, UnitTestDefinition, apart_view,
    did_you_mean, late_view, parse_file, word_origin,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A project whose definitions agree with each other. Immutable; `--watch` makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The project folder, absolute.
    pub folder: PathBuf,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Arc<SecretDefinition>>,
    /// Connections by name.
    pub connections: BTreeMap<String, Arc<ConnectionDefinition>>,
    /// Schemas for everybody's eyes.
    pub public: BTreeMap<String, Origin>,
    /// Sources by table name.
    pub sources: BTreeMap<TableName, Arc<SourceDefinition>>,
    /// Tables that others write, by name.
    pub foreign: BTreeMap<TableName, Arc<ForeignDefinition>>,
    /// Models in dependency order: every model stands after the models it reads.
    pub models: Vec<Model>,
    /// Table comments.
    pub comments: HashMap<TableName, String>,
    /// Column comments by table and column.
    pub column_comments: HashMap<(TableName, String), String>,
    /// What must hold of stored models, by model, in the order in which it is written.
    pub audits: BTreeMap<TableName, Vec<Arc<AuditDefinition>>>,
    /// What must come of rows that are given, by model, in the order in which it is written.
    pub unit_tests: BTreeMap<TableName, Vec<Arc<UnitTestDefinition>>>,
    /// Who is told of what, by name.
    pub alerts: BTreeMap<String, Arc<AlertDefinition>>,
    /// Roles and rights.
    pub access: Rules,
}

impl Project {
    /// Reads and checks a folder: syntax, one object a file, path = name under `sql/`, names that exist, no cycles.
    /// Touches no data and plans no query. All errors are reported together, ordered by file and line.
    pub fn load(folder: &Path) -> Result<Project, Vec<Error>> {
        Self::load_with(folder, None, &Definitions::default())
    }

    /// As [`Project::load`], of files that were kept if there are some, and with what was defined over connections beside
    /// them: as if there were a file for each, which is also how errors name them.
    pub fn load_with(
        folder: &Path,
        kept: Option<&Texts>,
        typed: &Definitions,
    ) -> Result<Project, Vec<Error>> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let (mut files, errors) = match kept {
            Some(texts) => (kept_files(texts), vec![]),
            None => sql_files(&folder),
        };
        let models = typed.models.values();
        files.extend(models.map(|model| SqlFile {
            path: model.path(),
            place: Place::Sql,
            text: model.text(),
        }));
        let mut loader = Loader { errors, ..Loader::default() };
        for file in &files {
            loader.file(file);
        }
        for watch in typed.watches.values() {
            loader.watch(watch);
        }
        loader.finish(folder)
    }
}

/// Schemas that are not a project's to define.
const RESERVED_SCHEMAS: &[&str] = &["sluice", "pg_catalog", "information_schema"];

/// How the table beside a table is called.
const QUARANTINE_SUFFIX: &str = "__quarantine";

mod checks;

#[derive(Default)]
struct Loader {
    secrets: BTreeMap<String, Arc<SecretDefinition>>,
    connections: BTreeMap<String, Arc<ConnectionDefinition>>,
    public: BTreeMap<String, Origin>,
    sources: BTreeMap<TableName, Arc<SourceDefinition>>,
    foreign: BTreeMap<TableName, Arc<ForeignDefinition>>,
    models: BTreeMap<TableName, Model>,
    comments: HashMap<TableName, String>,
    column_comments: HashMap<(TableName, String), String>,
    audits: BTreeMap<TableName, Vec<Arc<AuditDefinition>>>,
    unit_tests: BTreeMap<TableName, Vec<Arc<UnitTestDefinition>>>,
    alerts: BTreeMap<String, Arc<AlertDefinition>>,
    access: Rules,
    /// Names that files with errors were to define.
    missing: BTreeSet<TableName>,
    /// True when a file of `catalog/` has errors: which names it was to define is not known.
    catalog_torn: bool,
    errors: Vec<Error>,
}

impl Loader {
    fn file(&mut self, file: &SqlFile) {
        let definitions = match parse_file(&file.path, &file.text) {
            Ok(definitions) => definitions,
            Err(errors) => {
                self.errors.extend(errors);
                match file.place {
                    Place::Catalog => self.catalog_torn = true,
                    Place::Sql => self.missing.extend(name_of_path(&file.path)),
                }
                return;
            }
        };
        let errors_before = self.errors.len();
        let mut objects: Vec<TableName> = vec![];
        for definition in definitions {
            self.place(file, &definition, &mut objects);
            if let Definition::MaterializedView(view) = &definition {
                objects.extend(view.query.late.iter().map(|late| late.to.clone()));
                objects.extend(view.apart.iter().map(|_| view.name.quarantine()));
            }
            self.add(definition, &objects);
        }
        if file.place == Place::Sql && objects.is_empty() && self.errors.len() == errors_before {
            self.errors.push(
                Error::new("42P16", file_origin(&file.path), "the file defines nothing").with_hint(
                    "A file under sql/ holds one CREATE STREAMING TABLE, MATERIALIZED VIEW or VIEW.",
                ),
            );
        }
    }

    /// Takes an audit or an alert that was typed: it stands in no file, and so not behind its model.
    fn watch(&mut self, watch: &Watch) {
        match parse_file(&watch.name.path(), &watch.text()) {
            Ok(definitions) => {
                let above: Vec<TableName> = watch.name.on().into_iter().cloned().collect();
                definitions.into_iter().for_each(|definition| self.add(definition, &above));
            }
            Err(errors) => self.errors.extend(errors),
        }
    }

    /// Checks that a definition may stand in this file; collects the tables that the file defines.
    fn place(&mut self, file: &SqlFile, definition: &Definition, objects: &mut Vec<TableName>) {
        let (name, origin, kind) = match definition {
            Definition::Secret(d) => return self.belongs(file, Place::Catalog, "a secret", &d.origin),
            Definition::Connection(d) => {
                return self.belongs(file, Place::Catalog, "a connection", &d.origin);
            }
            Definition::Schema(d) => return self.belongs(file, Place::Catalog, "a schema", &d.origin),
            Definition::Alert(d) => return self.belongs(file, Place::Catalog, "an alert", &d.origin),
            Definition::Comment(_)
            | Definition::Audit(_)
            | Definition::UnitTest(_)
            | Definition::Access(_) => return,
            Definition::Source(d) => {
                self.belongs(file, Place::Catalog, "a source", &d.origin);
                objects.push(d.name.clone());
                return;
            }
            Definition::Foreign(d) => {
                self.belongs(file, Place::Catalog, "a source", &d.origin);
                objects.push(d.name.clone());
                return;
            }
            Definition::StreamingTable(d) => (&d.name, &d.origin, "a streaming table"),
            Definition::MaterializedView(d) => (&d.name, &d.origin, "a materialized view"),
            Definition::View(d) => (&d.name, &d.origin, "a view"),
        };
        objects.push(name.clone());
        self.belongs(file, Place::Sql, kind, origin);
        if file.place != Place::Sql {
            return;
        }
        if let [first, _, ..] = objects.as_slice() {
            let message = format!("the file defines \"{name}\" beside \"{first}\"");
            self.errors.push(
                Error::new("42P16", origin.clone(), message)
                    .with_hint(format!("One object a file: put it into {}.", path_of(name))),
            );
        } else if name_of_path(&file.path).as_ref() != Some(name) {
            let message = format!("{} defines \"{name}\"", slashed(&file.path));
            let rename = match name_of_path(&file.path) {
                Some(by_path) => format!("Rename the file to {}, or the object to {by_path}.", path_of(name)),
                None => format!("Move the file to {}.", path_of(name)),
            };
            self.errors.push(Error::new("42P16", origin.clone(), message).with_hint(rename));
        }
    }

    fn belongs(&mut self, file: &SqlFile, place: Place, what: &str, origin: &Origin) {
        if file.place == place {
            return;
        }
        let folder = match place {
            Place::Catalog => "catalog/",
            Place::Sql => "sql/<schema>/<name>.sql",
        };
        self.errors.push(
            Error::new("42P16", origin.clone(), format!("{what} is defined outside of {folder}"))
                .with_hint(format!("Move it to {folder}.")),
        );
    }

    fn add(&mut self, definition: Definition, objects: &[TableName]) {
        match definition {
            Definition::Secret(d) => {
                let earlier = self.secrets.get(&d.name).map(|e| e.origin.clone());
                if self.is_new("secret", &d.name, &d.origin, earlier) {
                    self.secrets.insert(d.name.clone(), Arc::new(d));
                }
            }
            Definition::Connection(d) => {
                let earlier = self.connections.get(&d.name).map(|e| e.origin.clone());
                if self.is_new("connection", &d.name, &d.origin, earlier) {
                    self.connections.insert(d.name.clone(), Arc::new(d));
                }
            }
            Definition::Schema(d) => {
                let earlier = self.public.get(&d.name).cloned();
                if self.is_new("schema", &d.name, &d.origin, earlier) {
                    self.public.insert(d.name, d.origin);
                }
            }
            Definition::Source(d) => {
                if self.is_new_table(&d.name, &d.origin) {
                    self.sources.insert(d.name.clone(), Arc::new(d));
                }
            }
            Definition::Foreign(d) => {
                if !self.is_reserved(&d.name, &d.origin) && self.is_new_table(&d.name, &d.origin) {
                    self.foreign.insert(d.name.clone(), Arc::new(d));
                }
            }
            Definition::StreamingTable(d) => self.model(Model::StreamingTable(Arc::new(d))),
            Definition::MaterializedView(d) => {
                let beside = [late_view(&d), apart_view(&d)];
                self.model(Model::MaterializedView(Arc::new(d)));
                for view in beside.into_iter().flatten() {
                    self.model(Model::MaterializedView(Arc::new(view)));
                }
            }
            Definition::View(d) => self.model(Model::View(Arc::new(d))),
            Definition::Audit(d) => self.audit(d, objects),
            Definition::UnitTest(d) => self.unit_test(d, objects),
            Definition::Alert(d) => {
                let earlier = self.alerts.get(&d.name).map(|e| e.origin.clone());
                if self.is_new("alert", &d.name, &d.origin, earlier) {
                    self.alerts.insert(d.name.clone(), Arc::new(d));
                }
            }
            Definition::Access(d) => self.access(d),
            Definition::Comment(d) => {
                let (CommentTarget::Table(table) | CommentTarget::Column(table, _)) = &d.target;
                if !self.is_above(table, objects, "comment", "A comment", &d.origin) {
                    return;
                }
                match d.target {
                    CommentTarget::Table(table) => self.comments.insert(table, d.text),
                    CommentTarget::Column(table, column) => {
                        self.column_comments.insert((table, column), d.text)
                    }
                };
            }
        }
    }

    /// True when an object stands above what is said of it, in the same file.
    fn is_above(
        &mut self,
        table: &TableName,
        objects: &[TableName],
        what: &str,
        whatever: &str,
        origin: &Origin,
    ) -> bool {
        if objects.contains(table) {
            return true;
        }
        let names: Vec<String> = objects.iter().map(TableName::to_string).collect();
        let hint = match names.as_slice() {
            [one] if did_you_mean(&table.to_string(), [one.as_str()]).is_some() => {
                format!("Did you mean \"{one}\"?")
            }
            _ => format!("{whatever} stands in its object's file, behind the object."),
        };
        let message = format!("the {what}'s object \"{table}\" is not defined above it in this file");
        self.errors.push(Error::new("42P01", origin.clone(), message).with_hint(hint));
        false
    }

    fn audit(&mut self, audit: AuditDefinition, objects: &[TableName]) {
        if !self.is_above(&audit.on, objects, "audit", "An audit", &audit.origin) {
            return;
        }
        if let Some(error) = not_audited(&audit, self.models.get(&audit.on)) {
            self.errors.push(error);
            return;
        }
        let others = self.audits.entry(audit.on.clone()).or_default();
        let earlier = others.iter().find(|other| other.name == audit.name).map(|other| other.origin.clone());
        let key = format!("{} on {}", audit.name, audit.on);
        others.push(Arc::new(audit.clone()));
        self.is_new("audit", &key, &audit.origin, earlier);
    }

    fn unit_test(&mut self, test: UnitTestDefinition, objects: &[TableName]) {
        if !self.is_above(&test.of, objects, "unit test", "A unit test", &test.origin) {
            return;
        }
        let others = self.unit_tests.entry(test.of.clone()).or_default();
        let earlier = others.iter().find(|other| other.name == test.name).map(|other| other.origin.clone());
        let (key, origin) = (format!("{} for {}", test.name, test.of), test.origin.clone());
        others.push(Arc::new(test));
        self.is_new("unit test", &key, &origin, earlier);
    }

    fn model(&mut self, model: Model) {
        let (name, origin) = (model.name().clone(), named_at(&model));
        // What is set apart has a name of the server's own.
        let may_be = model.apart_of().is_some() || self.is_new_table(&name, &origin);
        if may_be && !self.is_reserved(&name, &origin) {
            self.models.insert(name, model);
        }
    }

    fn is_reserved(&mut self, name: &TableName, origin: &Origin) -> bool {
        let what = match name.schema.as_str() {
            "bronze" => "for sources",
            schema if RESERVED_SCHEMAS.contains(&schema) => "the server's own",
            _ => return false,
        };
        let message = format!("\"{name}\" cannot be defined: schema {} is {what}", name.schema);
        self.errors.push(
            Error::new("42939", origin.clone(), message)
                .with_hint("Use silver, gold or a schema of your own."),
        );
        true
    }

    fn is_new_table(&mut self, name: &TableName, origin: &Origin) -> bool {
        if name.name.ends_with(QUARANTINE_SUFFIX) || name.source_of_watermark().is_some() {
            let suffix = name.name.rfind("__").map_or("", |at| &name.name[at..]);
            let message = format!("\"{name}\" cannot be defined: names in {suffix} are the server's own");
            self.errors.push(Error::new("42939", origin.clone(), message).with_hint("Choose another name."));
            return false;
        }
        let earlier = self.sources.get(name).map(|s| s.origin.clone());
        let earlier = earlier.or_else(|| self.foreign.get(name).map(|f| f.origin.clone()));
        let earlier = earlier.or_else(|| self.models.get(name).map(|m| m.origin().clone()));
        self.is_new("table", &name.to_string(), origin, earlier)
    }

    fn is_new(&mut self, kind: &str, name: &str, origin: &Origin, earlier: Option<Origin>) -> bool {
        let Some(earlier) = earlier else { return true };
        self.errors.push(
            Error::new("42P07", origin.clone(), format!("{kind} \"{name}\" is defined twice"))
                .with_hint(format!("It is defined first at {earlier}.")),
        );
        false
    }

    fn finish(mut self, folder: PathBuf) -> Result<Project, Vec<Error>> {
        self.check_references();
        self.check_inputs();
        self.check_alerts();
        self.check_foreign_keys();
        self.check_comments();
        self.check_access(&folder);
        let models = self.ordered_models();
        if !self.errors.is_empty() {
            self.errors.sort_by(|a, b| {
                let key = |e: &Error| (e.origin.file.clone(), e.origin.line, e.origin.column);
                key(a).cmp(&key(b))
            });
            return Err(self.errors);
        }
        Ok(Project {
            folder,
            secrets: self.secrets,
            connections: self.connections,
            public: self.public,
            sources: self.sources,
            foreign: self.foreign,
            models,
            comments: self.comments,
            column_comments: self.column_comments,
            audits: self.audits,
            unit_tests: self.unit_tests,
            alerts: self.alerts,
            access: self.access,
        })
    }

    fn ordered_models(&mut self) -> Vec<Model> {
        let inputs = |model: &Model| -> BTreeSet<TableName> {
            let named = model.query().inputs.iter();
            let named = named.map(|input| self.guarded(input).unwrap_or_else(|| input.clone()));
            // Where the view fails, nothing more is to be said of the rows that are kept beside it.
            named.chain(model.beside().cloned()).collect()
        };
        let dependencies: BTreeMap<TableName, BTreeSet<TableName>> =
            self.models.iter().map(|(name, model)| (name.clone(), inputs(model))).collect();
        match dependency_order(&dependencies) {
            Ok(order) => order.iter().filter_map(|name| self.models.get(name).cloned()).collect(),
            Err(circles) => {
                for circle in circles {
                    let Some(model) = circle.first().and_then(|name| self.models.get(name)) else { continue };
                    let way: Vec<String> = circle.iter().map(TableName::to_string).collect();
                    self.errors.push(
                        Error::new(
                            "42P17",
                            model.origin().clone(),
                            format!("models read each other in a circle: {}", way.join(" -> ")),
                        )
                        .with_hint("Take one of these inputs out."),
                    );
                }
                vec![]
            }
        }
    }
}

/// Where a model's name stands: that of a table for late rows in its view's statement.
fn named_at(model: &Model) -> Origin {
    let late = match model {
        Model::MaterializedView(view) if view.late_of.is_some() => {
            word_origin(&view.sql, &view.origin, &view.name.name)
        }
        _ => None,
    };
    late.unwrap_or_else(|| model.origin().clone())
}

mod access;
mod alerts;
#[cfg(test)]
mod tests;
