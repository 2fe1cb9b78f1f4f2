//! What models read, views looked through.

use super::foreign::{self, Others};
use crate::catalog::inputs::{ReadThrough, read_through};
use crate::catalog::project::{Model as Definition, Project};
use crate::lake::TableName;
use crate::refresh::Reads;
use crate::sql::{self, ModelQuery};
use datafusion::sql::sqlparser::ast::Query;
use std::collections::BTreeMap;

/// The stored tables that a model reads, and the contents of the views between.
pub(super) fn reads(
    models: &BTreeMap<&TableName, &Definition>,
    others: &Others,
    definition: &Definition,
) -> Reads {
    let ReadThrough { stored, views } = read_through(definition, models);
    let stored: Vec<TableName> = stored.into_iter().collect();
    let foreign = foreign::identity(others, &stored);
    Reads { stored, views: views.into_values().collect(), foreign }
}

/// True when a query, or a view among the tables that it names, asks for the time.
pub(super) fn depends_on_clock(project: &Project, query: &Query, inputs: &[TableName]) -> bool {
    let is_asking_view = |model: &Definition| {
        let ModelQuery { ast, inputs, .. } = model.query();
        matches!(model, Definition::View(_)) && depends_on_clock(project, ast, inputs)
    };
    let read = project.models.iter().filter(|model| inputs.contains(model.name()));
    sql::asks_for_time(query) || read.into_iter().any(is_asking_view)
}
