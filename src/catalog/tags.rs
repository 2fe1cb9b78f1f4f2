//! Tags of columns, and how they flow: a column that is made of a tagged one is tagged, unless the value is masked on its
//! way or the column is declared `UNTAG`. What is tagged `pii` may not come to stand in a public schema.

use super::lineage::{Graph, TableColumn};
use super::plan::PlannedModel;
use super::project::{Model, Project};
use crate::lake::TableName;
use crate::sql::{ColumnTag, Error, word_origin};
use std::collections::{BTreeMap, BTreeSet};

/// The tag of what tells of a person.
pub const PERSONAL: &str = "pii";

/// A column that holds values of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The column.
    pub column: TableColumn,
    /// The tag.
    pub tag: String,
    /// The columns from the one that is declared to hold them to this one.
    pub way: Vec<TableColumn>,
}

/// Every tagged column of a project, by tag and then by column; each by its shortest way.
pub fn tagged(project: &Project, planned: &BTreeMap<TableName, PlannedModel>) -> Vec<Tagged> {
    let graph = Graph::of(planned);
    let roots = roots(project);
    let untagged: BTreeSet<(TableColumn, &str)> = project
        .models
        .iter()
        .flat_map(|model| {
            model.tags().iter().filter(|tag| !tag.holds).map(|tag| (column(model.name(), tag), tag))
        })
        .map(|(column, tag)| (column, tag.tag.as_str()))
        .collect();
    let mut found: BTreeMap<(String, TableColumn), Vec<TableColumn>> = BTreeMap::new();
    for (root, tag) in roots {
        let stops = |column: &TableColumn| untagged.contains(&(column.clone(), tag.as_str()));
        let reached = graph.unmasked(&root, stops);
        for (column, way) in reached.into_iter().chain([(root.clone(), vec![root.clone()])]) {
            let known = found.entry((tag.clone(), column)).or_insert_with(|| way.clone());
            if way.len() < known.len() {
                *known = way;
            }
        }
    }
    found.into_iter().map(|((tag, column), way)| Tagged { column, tag, way }).collect()
}

/// The columns that are declared to hold values of a kind. A source's `_raw`, and what is set apart of it, hold all
/// that its columns do; what the source masks is in none of them.
fn roots(project: &Project) -> BTreeSet<(TableColumn, String)> {
    let mut roots = BTreeSet::new();
    for source in project.sources.values() {
        let is_masked = |tag: &ColumnTag| source.masking.covers(&tag.column);
        for tag in source.tags.iter().filter(|tag| tag.holds && !is_masked(tag)) {
            roots.insert((column(&source.name, tag), tag.tag.clone()));
            for (table, name) in [(source.name.clone(), "_raw"), (source.name.quarantine(), "raw")] {
                roots.insert((TableColumn { table, column: name.to_string() }, tag.tag.clone()));
            }
        }
    }
    let foreign = project.foreign.values().map(|foreign| (&foreign.name, foreign.tags.as_slice()));
    let models = project.models.iter().map(|model| (model.name(), model.tags()));
    for (table, tags) in foreign.chain(models) {
        roots.extend(tags.iter().filter(|tag| tag.holds).map(|tag| (column(table, tag), tag.tag.clone())));
    }
    roots
}

fn column(table: &TableName, tag: &ColumnTag) -> TableColumn {
    TableColumn { table: table.clone(), column: tag.column.clone() }
}

/// Models of public schemas that show personal data, and how it came there. Where one public model reads another, the
/// first is named.
pub(super) fn leaks(
    project: &Project,
    planned: &BTreeMap<TableName, PlannedModel>,
) -> Vec<(TableName, Vec<Error>)> {
    if project.public.is_empty() {
        return vec![];
    }
    let is_public = |column: &TableColumn| project.public.contains_key(&column.table.schema);
    let mut errors: BTreeMap<TableName, Vec<Error>> = BTreeMap::new();
    for Tagged { column, tag, way } in tagged(project, planned) {
        let before = &way[..way.len() - 1];
        if tag != PERSONAL || !is_public(&column) || before.iter().any(is_public) {
            continue;
        }
        let Some(model) = project.models.iter().find(|model| *model.name() == column.table) else { continue };
        errors.entry(column.table.clone()).or_default().push(leak(model, &column, &way));
    }
    errors.into_iter().collect()
}

fn leak(model: &Model, column: &TableColumn, way: &[TableColumn]) -> Error {
    let origin = word_origin(model.sql(), model.origin(), &column.column);
    let schema = &column.table.schema;
    let shown: Vec<String> = way.iter().map(ToString::to_string).collect();
    let how = match way {
        [_] => "it is tagged pii itself".to_string(),
        _ => shown.join(" -> "),
    };
    let message =
        format!("column \"{}\" shows personal data in public schema \"{schema}\": {how}", column.column);
    Error::new("42P17", origin.unwrap_or_else(|| model.origin().clone()), message).with_hint(format!(
        "Hash or mask it (sha256, mask_email, mask_name, mask_phone), leave it out, or declare {} ... UNTAG pii where it tells of nobody.",
        column.column
    ))
}
