//! What the inputs of a model are: their columns, whether their rows only ever come, what stands behind views.

use super::plan::{ForeignColumns, PlannedModel};
use super::project::{Model, Project};
use crate::lake::{TableKind, TableName};
use crate::sql::{quarantine_schema, table_schema, watermark_schema};
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The tables that a model's query names, views among them as if they were stored.
pub fn inputs_of(
    model: &Model,
    project: &Project,
    planned: &BTreeMap<TableName, PlannedModel>,
    foreign: &ForeignColumns,
) -> BTreeMap<TableName, (SchemaRef, TableKind)> {
    let known = |name: &TableName| Some((name.clone(), input(name, project, planned, foreign)?));
    model.query().inputs.iter().filter_map(known).collect()
}

/// The models of a project by their names.
pub fn by_name(project: &Project) -> BTreeMap<&TableName, &Model> {
    project.models.iter().map(|model| (model.name(), model)).collect()
}

/// What a model reads, views looked through.
#[derive(Debug, Default)]
pub struct ReadThrough {
    /// The tables that it reads in the end.
    pub stored: BTreeSet<TableName>,
    /// The views between, and what they are.
    pub views: BTreeMap<TableName, String>,
}

/// Looks through the views that a model reads.
pub fn read_through(model: &Model, models: &BTreeMap<&TableName, &Model>) -> ReadThrough {
    let mut read = ReadThrough::default();
    let mut open: Vec<&TableName> = model.query().inputs.iter().collect();
    while let Some(name) = open.pop() {
        match models.get(name) {
            Some(view @ Model::View(_)) => {
                if read.views.insert(name.clone(), view.content()).is_none() {
                    open.extend(&view.query().inputs);
                }
            }
            _ => drop(read.stored.insert(name.clone())),
        }
    }
    read
}

fn input(
    name: &TableName,
    project: &Project,
    planned: &BTreeMap<TableName, PlannedModel>,
    foreign: &ForeignColumns,
) -> Option<(SchemaRef, TableKind)> {
    use TableKind::{AppendOnly, Maintained};
    if let Some(source) = project.sources.get(name) {
        return Some((table_schema(source), AppendOnly));
    }
    if let Some(columns) = foreign.get(name) {
        return Some((Arc::clone(columns), Maintained));
    }
    if let Some(model) = project.models.iter().find(|model| model.name() == name) {
        let only_comes = matches!(model, Model::StreamingTable(table) if table.auto_cdc.is_none());
        let columns = Arc::clone(&planned.get(name)?.schema);
        return Some((columns, if only_comes { AppendOnly } else { Maintained }));
    }
    if name.source_of_watermark().is_some() {
        return Some((watermark_schema(), AppendOnly));
    }
    Some((quarantine_schema(), AppendOnly))
}
