//! What the inputs of a model are: their columns, and whether their rows only ever come.

use super::plan::{ForeignColumns, PlannedModel};
use super::project::{Model, Project};
use crate::lake::{TableKind, TableName};
use crate::sql::{quarantine_schema, table_schema, watermark_schema};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
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
