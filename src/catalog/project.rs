//! A project folder, read whole: `catalog/**/*.sql` and `sql/**/*.sql` as one checked set of definitions.
//!
//! Comes in: a folder. Goes out: a [`Project`] whose definitions agree with each other, or every error of it at once.
//! Files that cannot be parsed do not cause errors elsewhere: what they would have defined counts as known.

use super::access::Rules;
use super::audits::not_audited;
use super::definitions::Definitions;
use super::files::{Place, SqlFile, file_origin, name_of_path, path_of, slashed, sql_files};
use super::keys::{no_key, reference_error};
pub use super::model::Model;
use super::order::dependency_order;
use crate::lake::TableName;
use crate::sql::{
    AuditDefinition, CommentTarget, ConnectionDefinition, Definition, Error, ForeignDefinition, OptionValue,
    Options, Origin, SecretDefinition, SourceDefinition, UnitTestDefinition, did_you_mean, hint_did_you_mean,
    late_view, parse_file, relations, word_origin,
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
    /// Roles and rights.
    pub access: Rules,
}

impl Project {
    /// Reads and checks a folder: syntax, one object a file, path = name under `sql/`, names that exist, no cycles.
    /// Touches no data and plans no query. All errors are reported together, ordered by file and line.
    pub fn load(folder: &Path) -> Result<Project, Vec<Error>> {
        Self::load_with(folder, &Definitions::default())
    }

    /// As [`Project::load`], with what was defined over connections beside the files: as if there were a file for each,
    /// which is also how errors name them.
    pub fn load_with(folder: &Path, typed: &Definitions) -> Result<Project, Vec<Error>> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let (mut files, errors) = sql_files(&folder);
        let typed = typed.0.values();
        files.extend(typed.map(|model| SqlFile {
            path: model.path(),
            place: Place::Sql,
            text: model.text(),
        }));
        let mut loader = Loader { errors, ..Loader::default() };
        for file in &files {
            loader.file(file);
        }
        loader.finish(folder)
    }
}

/// Schemas that are not a project's to define.
const RESERVED_SCHEMAS: &[&str] = &["sluice", "pg_catalog", "information_schema"];

/// How the table beside a table is called.
const QUARANTINE_SUFFIX: &str = "__quarantine";

#[derive(Default)]
struct Loader {
    secrets: BTreeMap<String, Arc<SecretDefinition>>,
    connections: BTreeMap<String, Arc<ConnectionDefinition>>,
    sources: BTreeMap<TableName, Arc<SourceDefinition>>,
    foreign: BTreeMap<TableName, Arc<ForeignDefinition>>,
    models: BTreeMap<TableName, Model>,
    comments: HashMap<TableName, String>,
    column_comments: HashMap<(TableName, String), String>,
    audits: BTreeMap<TableName, Vec<Arc<AuditDefinition>>>,
    unit_tests: BTreeMap<TableName, Vec<Arc<UnitTestDefinition>>>,
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

    /// Checks that a definition may stand in this file; collects the tables that the file defines.
    fn place(&mut self, file: &SqlFile, definition: &Definition, objects: &mut Vec<TableName>) {
        let (name, origin, kind) = match definition {
            Definition::Secret(d) => return self.belongs(file, Place::Catalog, "a secret", &d.origin),
            Definition::Connection(d) => {
                return self.belongs(file, Place::Catalog, "a connection", &d.origin);
            }
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
                let late = late_view(&d).map(Arc::new);
                self.model(Model::MaterializedView(Arc::new(d)));
                if let Some(late) = late {
                    self.model(Model::MaterializedView(late));
                }
            }
            Definition::View(d) => self.model(Model::View(Arc::new(d))),
            Definition::Audit(d) => self.audit(d, objects),
            Definition::UnitTest(d) => self.unit_test(d, objects),
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
        if !self.is_reserved(&name, &origin) && self.is_new_table(&name, &origin) {
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
            sources: self.sources,
            foreign: self.foreign,
            models,
            comments: self.comments,
            column_comments: self.column_comments,
            audits: self.audits,
            unit_tests: self.unit_tests,
            access: self.access,
        })
    }

    /// Connections and secrets that are referred to exist, and are of the right kind.
    fn check_references(&mut self) {
        if self.catalog_torn {
            return;
        }
        let mut errors: Vec<Error> = self.secrets.values().flat_map(|s| self.unreachable(s)).collect();
        for connection in self.connections.values() {
            errors.extend(self.unknown_secrets(&connection.options, &connection.origin));
        }
        for source in self.sources.values() {
            errors.extend(self.unknown_secrets(&source.options, &source.origin));
            let Some(name) = &source.connection else { continue };
            match self.connections.get(name) {
                Some(connection) if connection.kind == source.connector.to_string() => {}
                Some(connection) => errors.push(Error::new(
                    "42809",
                    source.origin.clone(),
                    format!(
                        "connection \"{name}\" is to {}, and the connector is '{}'",
                        connection.kind, source.connector
                    ),
                )),
                None => {
                    let known = self.connections.keys().map(String::as_str);
                    let hint = hint_did_you_mean(name, known).unwrap_or_else(|| {
                        format!("Write CREATE CONNECTION {name} TO KAFKA (...) in catalog/.")
                    });
                    let message = format!("connection \"{name}\" does not exist");
                    errors.push(Error::new("42704", source.origin.clone(), message).with_hint(hint));
                }
            }
        }
        self.errors.extend(errors);
    }

    fn unknown_secrets(&self, options: &Options, origin: &Origin) -> Vec<Error> {
        let secrets = options.values().filter_map(|value| match value {
            OptionValue::Secret(name) => Some(name),
            OptionValue::Text(_) => None,
        });
        let unknown = secrets.filter(|name| !self.secrets.contains_key(*name));
        unknown
            .map(|name| {
                let hint = hint_did_you_mean(name, self.secrets.keys().map(String::as_str));
                let hint = hint.unwrap_or_else(|| {
                    format!(
                        "Write CREATE SECRET {name} WITH (backend = 'env') AS 'VARIABLE_NAME'; in catalog/."
                    )
                });
                Error::new("42704", origin.clone(), format!("secret \"{name}\" does not exist"))
                    .with_hint(hint)
            })
            .collect()
    }

    /// Every table that a model names exists, and what it reads as a stream is one.
    fn check_inputs(&mut self) {
        let mut errors = vec![];
        let models = self.models.values();
        let models = models.map(|model| (&model.query().ast, &model.query().streams[..], model.origin()));
        let audits = self.audits.values().flatten().map(|audit| (&audit.query, &[][..], &audit.origin));
        for (query, streams, Origin { file, .. }) in models.chain(audits) {
            for relation in relations(query) {
                let origin = Origin { file: file.clone(), line: relation.line, column: relation.column };
                let is_stream = streams.contains(&relation.name);
                errors.extend(self.input_error(&relation.name, is_stream, origin));
            }
        }
        self.errors.extend(errors);
    }

    fn input_error(&self, name: &TableName, is_stream: bool, origin: Origin) -> Option<Error> {
        if RESERVED_SCHEMAS.contains(&name.schema.as_str()) {
            let message =
                format!("a model cannot read \"{name}\": schema {} is the server's own", name.schema);
            return Some(Error::unsupported(origin, message).with_hint("Query it in psql."));
        }
        let guarded = self.guarded(name);
        if !self.is_table(name) && guarded.is_none() {
            if self.missing.contains(name) || self.may_be_torn(name) {
                return None;
            }
            return Some(self.unknown_input(name, origin));
        }
        if !is_stream || self.sources.contains_key(name) {
            return None;
        }
        let why = match self.models.get(name) {
            Some(Model::StreamingTable(d)) if d.auto_cdc.is_none() => return None,
            Some(Model::StreamingTable(_)) => {
                "kept by AUTO CDC, whose rows come and go with the changes that it takes"
            }
            Some(Model::MaterializedView(_)) => {
                "a materialized view, whose rows come and go with every refresh"
            }
            Some(Model::View(_)) => "a view, which is not stored",
            None if name.source_of_watermark().is_some() => "a source's watermark",
            None if self.foreign.contains_key(name) => "a table that others write, whose rows come and go",
            None => "a quarantine table",
        };
        let message = format!("STREAM \"{name}\" is {why}");
        Some(Error::new("42809", origin, message).with_hint(
            "Only sources and streaming tables can be read as a stream: leave STREAM out and make this a materialized view.",
        ))
    }

    /// Every table that a foreign key names exists and declares the key that is meant.
    fn check_foreign_keys(&mut self) {
        let mut errors = vec![];
        for key in self.models.values().flat_map(Model::foreign_keys) {
            errors.extend(match self.models.get(&key.table) {
                Some(model) => reference_error(key, model),
                None if self.missing.contains(&key.table) || self.may_be_torn(&key.table) => None,
                None if self.is_table(&key.table) || self.guarded(&key.table).is_some() => {
                    Some(no_key(key, "bronze keeps every record that came"))
                }
                None => Some(self.unknown_input(&key.table, key.origin.clone())),
            });
        }
        self.errors.extend(errors);
    }

    fn is_table(&self, name: &TableName) -> bool {
        self.sources.contains_key(name) || self.foreign.contains_key(name) || self.models.contains_key(name)
    }

    /// True when a file of `catalog/` with errors may have defined this: a source, or a table of others in a schema
    /// that is not one of models.
    fn may_be_torn(&self, name: &TableName) -> bool {
        let is_of_models = || {
            let missing = self.missing.iter().chain(self.models.keys());
            ["silver", "gold"].contains(&name.schema.as_str())
                || missing.into_iter().any(|model| model.schema == name.schema)
        };
        self.catalog_torn && (name.schema == "bronze" || !is_of_models())
    }

    /// The stored table beside which a quarantine table stands, or the source whose watermark a name shows.
    fn guarded(&self, name: &TableName) -> Option<TableName> {
        if let Some(source) = name.source_of_watermark() {
            return self.sources.contains_key(&source).then_some(source);
        }
        let table = TableName::new(&name.schema, name.name.strip_suffix(QUARANTINE_SUFFIX)?);
        let stored = self.sources.contains_key(&table)
            || self.models.get(&table).is_some_and(|model| !matches!(model, Model::View(_)));
        stored.then_some(table)
    }

    fn unknown_input(&self, name: &TableName, origin: Origin) -> Error {
        let error = Error::new("42P01", origin, format!("table \"{name}\" does not exist"));
        let known = self.sources.keys().chain(self.foreign.keys()).chain(self.models.keys());
        let known: Vec<String> = known.map(TableName::to_string).collect();
        // The right name in the wrong schema is the likelier slip.
        let same_name = known.iter().find(|other| other.rsplit('.').next() == Some(&name.name));
        let near = did_you_mean(&name.to_string(), known.iter().map(String::as_str));
        match same_name.map(String::as_str).or(near) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None if name.schema == "bronze" => {
                error.with_hint(format!("Write CREATE SOURCE {name} (...) in catalog/."))
            }
            None => error.with_hint(format!("Define it in {}.", path_of(name))),
        }
    }

    /// Columns of sources that are commented on exist. (Those of models are known once they are planned.)
    fn check_comments(&mut self) {
        let mut errors = vec![];
        for (table, column) in self.column_comments.keys() {
            let Some(source) = self.sources.get(table) else { continue };
            let schema = crate::sql::table_schema(source);
            if schema.field_with_name(column).is_err() {
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                let message = format!("the comment's column \"{column}\" does not exist in \"{table}\"");
                errors.push(
                    Error::new("42703", source.origin.clone(), message)
                        .with_hint_if(hint_did_you_mean(column, names)),
                );
            }
        }
        self.errors.extend(errors);
    }

    fn ordered_models(&mut self) -> Vec<Model> {
        let inputs = |model: &Model| -> BTreeSet<TableName> {
            let named = model.query().inputs.iter();
            let named = named.map(|input| self.guarded(input).unwrap_or_else(|| input.clone()));
            // Where the view fails, nothing more is to be said of its late rows.
            named.chain(model.late_of().cloned()).collect()
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
#[cfg(test)]
mod tests;
