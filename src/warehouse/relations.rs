//! What readers are told of the project's tables.

use crate::catalog::cut::{Relation, RelationKind};
use crate::catalog::plan::PlannedModel;
use crate::catalog::project::{Model, Project};
use crate::lake::TableName;
use crate::sql::{quarantine_schema, watermark_schema};
use arrow::datatypes::SchemaRef;
use std::collections::HashMap;
use std::sync::Arc;

/// A planned model.
pub(super) fn model_relation(project: &Project, definition: &Model, plan: &PlannedModel) -> Relation {
    let kind = match definition {
        Model::StreamingTable(_) => RelationKind::StreamingTable,
        Model::MaterializedView(_) => RelationKind::MaterializedView,
        Model::View(_) => RelationKind::View,
    };
    Relation {
        primary_key: definition.primary_key().to_vec(),
        foreign_keys: definition.foreign_keys().to_vec(),
        query: Some(plan.query.clone()),
        ..relation(project, definition.name(), kind, Arc::clone(&plan.schema))
    }
}

/// A table of the project, but for what only its definition tells.
pub(super) fn relation(
    project: &Project,
    name: &TableName,
    kind: RelationKind,
    schema: SchemaRef,
) -> Relation {
    let column_comments: HashMap<String, String> = project
        .column_comments
        .iter()
        .filter(|((table, _), _)| table == name)
        .map(|((_, column), text)| (column.clone(), text.clone()))
        .collect();
    Relation {
        name: name.clone(),
        kind,
        schema,
        comment: project.comments.get(name).cloned().or_else(|| purpose(project, name)),
        column_comments,
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        query: None,
    }
}

/// What a table is for that stands beside another.
fn purpose(project: &Project, name: &TableName) -> Option<String> {
    let model = project.models.iter().find(|model| model.name() == name)?;
    if let Some(view) = model.late_of() {
        return Some(format!("Rows that came too late for their windows in {view}"));
    }
    Some(format!("Rows set apart from {}, with rule and reason", model.apart_of()?))
}

pub(super) fn quarantine_relation(beside: &TableName) -> Relation {
    let comment = format!("Rows set apart from {beside}, with rule and reason");
    relation_beside(beside.quarantine(), quarantine_schema(), comment)
}

pub(super) fn watermark_relation(of: &TableName) -> Relation {
    let comment = format!("The watermark of {of}: no event before it is awaited");
    relation_beside(of.watermark(), watermark_schema(), comment)
}

fn relation_beside(name: TableName, schema: SchemaRef, comment: String) -> Relation {
    Relation {
        name,
        kind: RelationKind::Source,
        schema,
        comment: Some(comment),
        column_comments: HashMap::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        query: None,
    }
}
