//! What is said of each table: one shape for sources, tables of others and models.

use crate::catalog::lineage::{ColumnLineage, Graph, TableColumn};
use crate::catalog::tags::tagged;
use crate::cli::planned::PlannedProject;
use crate::lake::TableName;
use crate::sql::{AuditDefinition, Expectation, ForeignKey, UnitTestDefinition, table_schema, type_name};
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// A table of the project.
pub(super) struct Object {
    pub(super) name: TableName,
    /// `source`, `materialized view` ...
    pub(super) kind: &'static str,
    /// Sources and tables of others come from outside.
    pub(super) is_outside: bool,
    pub(super) comment: Option<String>,
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Vec<String>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) audits: Vec<Arc<AuditDefinition>>,
    pub(super) unit_tests: Vec<Arc<UnitTestDefinition>>,
    /// What it reads.
    pub(super) inputs: BTreeSet<TableName>,
    /// What reads it.
    pub(super) readers: BTreeSet<TableName>,
    /// Its file in the project folder.
    pub(super) file: PathBuf,
    pub(super) sql: String,
}

/// A column of one.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) nullable: bool,
    pub(super) comment: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) lineage: ColumnLineage,
}

/// Every table of a project: what comes from outside, then the models in the order in which they are computed.
pub(super) fn objects(planned: &PlannedProject) -> Vec<Object> {
    let graph = Graph::of(&planned.models);
    let mut tags: BTreeMap<TableColumn, Vec<String>> = BTreeMap::new();
    for found in tagged(&planned.project, &planned.models) {
        tags.entry(found.column).or_default().push(found.tag);
    }
    let project = &planned.project;
    let mut readers: BTreeMap<&TableName, BTreeSet<TableName>> = BTreeMap::new();
    for model in &project.models {
        for input in &model.query().inputs {
            readers.entry(input).or_default().insert(model.name().clone());
        }
    }
    let new = |name: &TableName, kind, file: &PathBuf, sql: &str, schema: SchemaRef| {
        let column = |field: &Arc<arrow::datatypes::Field>| {
            let at = TableColumn { table: name.clone(), column: field.name().clone() };
            Column {
                name: field.name().clone(),
                data_type: type_name(field.data_type()),
                nullable: field.is_nullable(),
                comment: project.column_comments.get(&(name.clone(), field.name().clone())).cloned(),
                tags: tags.get(&at).cloned().unwrap_or_default(),
                lineage: graph.lineage_of(&at).cloned().unwrap_or_default(),
            }
        };
        Object {
            name: name.clone(),
            kind,
            is_outside: true,
            comment: project.comments.get(name).cloned(),
            columns: schema.fields().iter().map(column).collect(),
            primary_key: vec![],
            foreign_keys: vec![],
            expectations: vec![],
            audits: vec![],
            unit_tests: vec![],
            inputs: BTreeSet::new(),
            readers: readers.get(name).cloned().unwrap_or_default(),
            file: file.clone(),
            sql: sql.to_string(),
        }
    };
    let mut objects: Vec<Object> = vec![];
    for source in project.sources.values() {
        objects.push(new(&source.name, "source", &source.origin.file, &source.sql, table_schema(source)));
    }
    for foreign in project.foreign.values() {
        let Some(schema) = planned.foreign.get(&foreign.name) else { continue };
        let kind = "table of others";
        objects.push(new(&foreign.name, kind, &foreign.origin.file, &foreign.sql, schema.clone()));
    }
    for model in &project.models {
        let Some(plan) = planned.models.get(model.name()) else { continue };
        let name = model.name();
        objects.push(Object {
            is_outside: false,
            primary_key: model.primary_key().to_vec(),
            foreign_keys: model.foreign_keys().to_vec(),
            expectations: model.expectations().to_vec(),
            audits: project.audits.get(name).cloned().unwrap_or_default(),
            unit_tests: project.unit_tests.get(name).cloned().unwrap_or_default(),
            inputs: model.query().inputs.iter().cloned().collect(),
            ..new(name, model.kind(), &model.origin().file, model.sql(), plan.schema.clone())
        });
    }
    objects
}
