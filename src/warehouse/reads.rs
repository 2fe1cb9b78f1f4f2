//! What models read, views looked through.

use super::foreign::{self, Others};
use crate::catalog::inputs::{ReadThrough, read_through};
use crate::catalog::project::{Model as Definition, Project};
use crate::lake::TableName;
use crate::refresh::Reads;
use crate::sql;
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

/// True when a query, or a view that it reads, asks for the time.
pub(super) fn depends_on_clock(project: &Project, definition: &Definition) -> bool {
    let asks = |definition: &Definition| sql::asks_for_time(&*definition.query().ast);
    asks(definition)
        || definition.query().inputs.iter().any(|input| {
            project.models.iter().any(|m| {
                m.name() == input && matches!(m, Definition::View(_)) && depends_on_clock(project, m)
            })
        })
}
