//! What models read, views looked through.

use super::foreign::{self, Others};
use crate::catalog::project::{Model as Definition, Project};
use crate::lake::TableName;
use crate::refresh::Reads;
use crate::sql;
use std::collections::{BTreeMap, BTreeSet};

/// The stored tables that a model reads, and the contents of the views between.
pub(super) fn reads(project: &Project, others: &Others, definition: &Definition) -> Reads {
    let (mut stored, mut views) = (BTreeSet::new(), BTreeMap::new());
    let mut open: Vec<&TableName> = definition.query().inputs.iter().collect();
    while let Some(name) = open.pop() {
        match project.models.iter().find(|m| m.name() == name) {
            Some(definition @ Definition::View(view)) => {
                if views.insert(name, definition.content()).is_none() {
                    open.extend(&view.query.inputs);
                }
            }
            _ => {
                stored.insert(name.clone());
            }
        }
    }
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
