//! What an edited project changes: which objects, in what way, whom it reaches, what is computed anew.
//!
//! Comes in: a project as it runs and one that is to run, both planned. Goes out: an [`ObjectChange`] for each object that
//! is not as it was. Pure.

use super::access::statement_of;
use super::inputs::{by_name, read_through};
use super::lineage::{Direction, Graph, TableColumn};
use super::plan::PlannedModel;
use super::project::{Model, Project};
use crate::lake::TableName;
use crate::sql::{ColumnDefinition, type_name};
use arrow::datatypes::{DataType, Schema};
use std::collections::{BTreeMap, BTreeSet};

/// A project and its plans.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    /// Its definitions.
    pub project: &'a Project,
    /// Its models, planned.
    pub planned: &'a BTreeMap<TableName, PlannedModel>,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Added => "added",
            Kind::Changed => "changed",
            Kind::Removed => "removed",
        }
    }
}

/// What readers notice, from nothing to their queries failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// Nothing: the same columns and rows.
    None,
    /// More than there was.
    Additive,
    /// Other values, or other rows, in the same columns.
    Values,
    /// A column or a table that is gone or has another type.
    Breaking,
}

impl Impact {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Impact::None => "none",
            Impact::Additive => "additive",
            Impact::Values => "values",
            Impact::Breaking => "breaking",
        }
    }
}

/// What becomes of stored rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// They stand, or there are none.
    Kept,
    /// They are computed anew, beside the old ones.
    Rebuilt,
    /// They stand, and those that come from now on are computed by the new definition.
    FromNowOn,
}

impl Rows {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Rows::Kept => "kept",
            Rows::Rebuilt => "rebuilt",
            Rows::FromNowOn => "from now on",
        }
    }
}

/// An object that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Its name.
    pub name: String,
    /// What it is: `materialized view`, `source` ...
    pub object: &'static str,
    /// What becomes of it.
    pub kind: Kind,
    /// What readers notice.
    pub impact: Impact,
    /// What becomes of its rows.
    pub rows: Rows,
    /// What is different, one thing each.
    pub details: Vec<String>,
    /// The columns of other models that this reaches.
    pub affects: BTreeSet<TableColumn>,
}

impl ObjectChange {
    /// The columns of other models that this reaches, as text.
    pub fn affected(&self) -> Vec<String> {
        self.affects.iter().map(ToString::to_string).collect()
    }
}

/// Everything that is not as it was, in the order in which it is computed; what is removed comes first.
pub fn changes(before: Version<'_>, after: Version<'_>) -> Vec<ObjectChange> {
    let mut found = removed(before, after);
    let graphs = Graphs { before: Graph::of(before.planned), after: Graph::of(after.planned) };
    found.extend(outside(before, after, &graphs.before));
    let (old, new) = (by_name(before.project), by_name(after.project));
    let of_model = |model: &Model| {
        let planned = after.planned.get(model.name())?;
        match old.get(model.name()) {
            None => Some(added(model)),
            Some(was) => {
                let was_planned = before.planned.get(model.name());
                let views = read_through(model, &new).views != read_through(was, &old).views;
                let change = changed((was, was_planned), (model, planned), views, &graphs)?;
                // What is gone itself is said to be gone, not to be reached.
                let affects = change.affects.into_iter().filter(|column| new.contains_key(&column.table));
                Some(ObjectChange { affects: affects.collect(), ..change })
            }
        }
    };
    found.extend(after.project.models.iter().filter_map(of_model));
    found
}

/// What comes of what, as it was and as it is to be.
struct Graphs {
    before: Graph,
    after: Graph,
}

fn removed(before: Version<'_>, after: Version<'_>) -> Vec<ObjectChange> {
    let graph = Graph::of(before.planned);
    let names = by_name(after.project);
    let gone = before.project.models.iter().filter(|model| !names.contains_key(model.name()));
    let change = |model: &Model| ObjectChange {
        name: model.name().to_string(),
        object: model.kind(),
        kind: Kind::Removed,
        impact: Impact::Breaking,
        rows: Rows::Kept,
        details: vec!["readers find it no more".to_string()],
        affects: columns_of(before.planned.get(model.name()))
            .flat_map(|column| reached(&graph, model.name(), &column))
            .filter(|column| names.contains_key(&column.table))
            .collect(),
    };
    gone.map(change).collect()
}

fn columns_of(planned: Option<&PlannedModel>) -> impl Iterator<Item = String> {
    let fields = planned.map(|planned| planned.schema.fields().clone());
    fields.into_iter().flat_map(|fields| fields.iter().map(|f| f.name().clone()).collect::<Vec<_>>())
}

/// The columns of other tables that come of one.
fn reached(graph: &Graph, table: &TableName, column: &str) -> Vec<TableColumn> {
    let from = TableColumn { table: table.clone(), column: column.to_string() };
    graph.walk(&from, Direction::Downstream).into_iter().map(|step| step.column).collect()
}

fn added(model: &Model) -> ObjectChange {
    let stored = !matches!(model, Model::View(_));
    ObjectChange {
        name: model.name().to_string(),
        object: model.kind(),
        kind: Kind::Added,
        impact: Impact::Additive,
        rows: if stored { Rows::Rebuilt } else { Rows::Kept },
        details: vec![],
        affects: BTreeSet::new(),
    }
}

fn changed(
    (was, was_planned): (&Model, Option<&PlannedModel>),
    (model, planned): (&Model, &PlannedModel),
    other_views: bool,
    graphs: &Graphs,
) -> Option<ObjectChange> {
    let content = was.content() != model.content();
    // `SELECT *` of what has other columns. What is not stored shows them, and is told with whom they reach.
    let is_stored = !matches!(model, Model::View(_));
    let has_others = |was: &PlannedModel| was.schema.fields() != planned.schema.fields();
    let other_columns = !content && is_stored && was_planned.is_some_and(has_others);
    if was.sql() == model.sql() && !other_views && !other_columns {
        return None;
    }
    let mut difference = Difference::default();
    if was.kind() != model.kind() {
        difference.note(Impact::Values, format!("was a {}", was.kind()));
    }
    match was_planned.filter(|_| content || other_columns) {
        // What a change feed stands for names its columns: it is written otherwise for each set of them.
        Some(was) if other_columns && model.auto_cdc().is_some() => {
            difference.of_schemas(&was.schema, &planned.schema);
        }
        Some(was) => difference.of_columns(was, planned),
        None => {}
    }
    if content && difference.details.is_empty() {
        difference.note(Impact::Values, "other rules, partitions or types");
    }
    if other_views {
        difference.note(Impact::Values, "a view that it reads is another");
    }
    if !content && !other_views && !other_columns {
        difference.note(Impact::None, "its rows are computed as before");
    }
    let rows = match model {
        Model::View(_) => Rows::Kept,
        Model::StreamingTable(d) if d.auto_cdc.is_none() && was.kind() == model.kind() => Rows::FromNowOn,
        _ => Rows::Rebuilt,
    };
    let Difference { details, impact, columns, lost } = difference;
    let other = columns.iter().flat_map(|column| reached(&graphs.after, model.name(), column));
    let lost = lost.iter().flat_map(|column| reached(&graphs.before, model.name(), column));
    let affects = other.chain(lost).collect();
    Some(ObjectChange {
        name: model.name().to_string(),
        object: model.kind(),
        kind: Kind::Changed,
        impact,
        // Columns that only come are NULL in the rows that stand.
        rows: match content || other_views || other_columns && impact > Impact::Additive {
            true => rows,
            false => Rows::Kept,
        },
        details,
        affects,
    })
}

/// What is different about a table.
struct Difference {
    details: Vec<String>,
    impact: Impact,
    /// Columns whose values are others.
    columns: BTreeSet<String>,
    /// Columns that are gone or have another type.
    lost: BTreeSet<String>,
}

impl Default for Difference {
    fn default() -> Self {
        Self { details: vec![], impact: Impact::None, columns: BTreeSet::new(), lost: BTreeSet::new() }
    }
}

impl Difference {
    fn note(&mut self, impact: Impact, what: impl Into<String>) {
        self.impact = self.impact.max(impact);
        self.details.push(what.into());
    }

    fn of_schemas(&mut self, was: &Schema, is: &Schema) {
        for old in was.fields() {
            match is.field_with_name(old.name()) {
                Ok(now) => self.of_types(old.name(), old.data_type(), now.data_type()),
                Err(_) => self.lose(old.name()),
            }
        }
        self.new_columns(was, is);
    }

    fn of_columns(&mut self, was: &PlannedModel, is: &PlannedModel) {
        let rows = was.derivation.rows != is.derivation.rows;
        if rows {
            self.note(Impact::Values, "other rows");
        }
        for (at, old) in was.schema.fields().iter().enumerate() {
            let name = old.name();
            let Ok(now) = is.schema.index_of(name) else {
                self.lose(name);
                continue;
            };
            self.of_types(name, old.data_type(), is.schema.field(now).data_type());
            let alike = was.derivation.columns.get(at) == is.derivation.columns.get(now);
            if !alike {
                self.note(Impact::Values, format!("column {name} is computed otherwise"));
            }
            if !alike || rows {
                self.columns.insert(name.clone());
            }
        }
        self.new_columns(&was.schema, &is.schema);
    }

    fn lose(&mut self, column: &str) {
        self.note(Impact::Breaking, format!("column {column} is gone"));
        self.lost.insert(column.to_string());
    }

    fn of_types(&mut self, column: &str, was: &DataType, is: &DataType) {
        if was != is {
            self.lost.insert(column.to_string());
            let (was, is) = (type_name(was), type_name(is));
            self.note(Impact::Breaking, format!("column {column} was {was} and is {is}"));
        }
    }

    fn new_columns(&mut self, was: &Schema, is: &Schema) {
        for field in is.fields().iter().filter(|field| was.index_of(field.name()).is_err()) {
            self.note(Impact::Additive, format!("column {} is new", field.name()));
        }
    }
}

/// What is changed of `catalog/`.
fn outside(before: Version<'_>, after: Version<'_>, graph: &Graph) -> Vec<ObjectChange> {
    let mut found = of_sources(before, after, graph);
    let (before, after) = (before.project, after.project);
    let foreign =
        |project: &Project| texts(project.foreign.iter().map(|(name, d)| (name.to_string(), d.sql.clone())));
    found.extend(of_texts("table of others", &foreign(before), &foreign(after)));
    let connections = |project: &Project| {
        texts(
            project.connections.iter().map(|(name, d)| (name.clone(), format!("{} {:?}", d.kind, d.options))),
        )
    };
    found.extend(of_texts("connection", &connections(before), &connections(after)));
    let secrets = |project: &Project| {
        texts(project.secrets.iter().map(|(name, d)| (name.clone(), format!("{:?} {}", d.backend, d.key))))
    };
    found.extend(of_texts("secret", &secrets(before), &secrets(after)));
    let alerts =
        |project: &Project| texts(project.alerts.iter().map(|(name, d)| (name.clone(), d.sql.clone())));
    found.extend(of_texts("alert", &alerts(before), &alerts(after)));
    let audits = |project: &Project| {
        let audits = project.audits.values().flatten();
        texts(audits.map(|audit| (format!("{} on {}", audit.name, audit.on), audit.sql.clone())))
    };
    found.extend(of_texts("audit", &audits(before), &audits(after)));
    for object in ["role", "membership", "grant", "policy", "mask"] {
        found.extend(of_texts(object, &rules(before, object), &rules(after, object)));
    }
    found
}

/// What a project says of roles and rights, of one kind: by what it is about.
fn rules(project: &Project, object: &str) -> BTreeMap<String, String> {
    let rules = project.access.0.iter().filter(|(key, _)| key.object() == object);
    texts(rules.map(|(key, held)| (key.to_string(), statement_of(key, &held.rule))))
}

fn texts(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    // Spaces are not what anything is about.
    pairs.map(|(name, text)| (name, text.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

fn of_texts(
    object: &'static str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<ObjectChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| {
        let kind = match (before.get(name), after.get(name)) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            (was, is) if was != is => Kind::Changed,
            _ => return None,
        };
        Some(ObjectChange {
            name: name.clone(),
            object,
            kind,
            impact: Impact::None,
            rows: Rows::Kept,
            details: vec![],
            affects: BTreeSet::new(),
        })
    };
    names.into_iter().filter_map(change).collect()
}

fn of_sources(before: Version<'_>, after: Version<'_>, graph: &Graph) -> Vec<ObjectChange> {
    let names = by_name(after.project);
    let (before, after) = (before.project, after.project);
    let sources =
        |project: &Project| texts(project.sources.iter().map(|(name, d)| (name.to_string(), d.sql.clone())));
    let mut found = of_texts("source", &sources(before), &sources(after));
    for change in &mut found {
        let source = |project: &Project| {
            project.sources.values().find(|source| source.name.to_string() == change.name).cloned()
        };
        let (was, is) = (source(before), source(after));
        change.impact = if change.kind == Kind::Added { Impact::Additive } else { Impact::None };
        let (Some(was), Some(is)) = (was, is) else {
            if change.kind == Kind::Removed {
                change.impact = Impact::Breaking;
                change.details.push("nothing is taken in any more".to_string());
            }
            continue;
        };
        let mut difference = Difference::default();
        of_declared(&was.columns, &is.columns, &mut difference);
        if difference.details.is_empty() {
            difference.note(Impact::None, "the same columns");
        }
        if was.columns != is.columns {
            change.rows = Rows::FromNowOn;
        }
        let lost = difference.lost.iter().flat_map(|column| reached(graph, &is.name, column));
        change.affects = lost.filter(|column| names.contains_key(&column.table)).collect();
        (change.impact, change.details) = (difference.impact, difference.details);
    }
    found
}

fn of_declared(was: &[ColumnDefinition], is: &[ColumnDefinition], difference: &mut Difference) {
    for old in was {
        match is.iter().find(|new| new.name == old.name) {
            None => difference.lose(&old.name),
            Some(new) => difference.of_types(&old.name, &old.data_type, &new.data_type),
        }
    }
    for new in is.iter().filter(|new| was.iter().all(|old| old.name != new.name)) {
        difference.note(Impact::Additive, format!("column {} is new", new.name));
    }
}
