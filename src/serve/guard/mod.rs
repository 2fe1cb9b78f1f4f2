//! What a role sees of a cut.
//!
//! Comes in: a cut, roles and rights, and a role. Goes out: a catalog in which each name is decided on when it is looked
//! up, wherever in a statement it stands: what is denied is 42501, what is restricted is read through a [`Barrier`]. Views
//! read by their owner's rights, as in PostgreSQL: what they are made of is not asked for.

mod barrier;
mod plan;

pub(super) use plan::check_rule;

use super::Error;
use crate::catalog::access::{Access, Action, Decision};
use crate::catalog::cut::{Cut, CutTable, Relation, RelationKind};
use crate::engine::{CutCatalog, Engine};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use crate::sql::Privilege;
use arrow::datatypes::Schema;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use std::sync::Arc;

/// Who reads what, with which engine.
#[derive(Clone)]
pub(super) struct Guard {
    /// Roles and rights.
    pub(super) access: Arc<Access>,
    /// Who reads.
    pub(super) role: String,
    /// The cut that is read.
    pub(super) cut: Arc<Cut>,
    /// What plans views.
    pub(super) engine: Engine,
    /// The session's functions, over no tables.
    pub(super) state: Opaque<SessionState>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("role", &self.role).finish_non_exhaustive()
    }
}

/// The error of an action on a relation that is denied.
pub(super) fn denied(role: &str, action: Action<'_>, relation: &Relation) -> Error {
    let (kind, name) = (words(relation.kind), &relation.name);
    let privilege = match action {
        Action::Select(_) => Privilege::Select,
        Action::Insert(_) => Privilege::Insert,
        Action::Maintain(_) => Privilege::Maintain,
        Action::Create(_) | Action::Administer => Privilege::Create,
    };
    Error::new("42501", format!("permission denied for {kind} {}", name.name)).with_hint(format!(
        "A superuser may GRANT {} ON {name} TO {role}, or write it into a file of catalog/.",
        privilege.as_str()
    ))
}

/// The kind of a relation in PostgreSQL's words.
fn words(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Source
        | RelationKind::Foreign
        | RelationKind::StreamingTable
        | RelationKind::System => "table",
    }
}

/// What a role is shown of a cut: relations that it may do something with, columns that it may read.
pub(super) fn shown(cut: &Arc<Cut>, access: &Access, role: &str) -> Arc<Cut> {
    if access.is_superuser(role) {
        return Arc::clone(cut);
    }
    let mut shown = Cut::clone(cut);
    shown.tables.retain(|name, _| access.shows(role, name));
    for (name, table) in &mut shown.tables {
        let restricted = match access.decide(role, Action::Select(name)) {
            Decision::Restricted(restriction) => restriction.columns,
            Decision::Denied | Decision::Granted => None,
        };
        if let Some(columns) = restricted {
            *table = CutTable {
                relation: Arc::new(with_columns(&table.relation, |column| columns.contains(column))),
                ..table.clone()
            };
        }
    }
    Arc::new(shown)
}

fn with_columns(relation: &Relation, is_shown: impl Fn(&String) -> bool) -> Relation {
    let fields = relation.schema.fields().iter().filter(|field| is_shown(field.name()));
    let mut shown =
        Relation { schema: Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>())), ..relation.clone() };
    shown.column_comments.retain(|column, _| is_shown(column));
    if !shown.primary_key.iter().all(&is_shown) {
        shown.primary_key.clear();
    }
    shown.foreign_keys.retain(|key| key.columns.iter().all(&is_shown));
    shown
}

/// A cut as one role sees it.
#[derive(Debug)]
pub(super) struct GuardedCatalog {
    cut: CutCatalog,
    guard: Arc<Guard>,
}

impl GuardedCatalog {
    /// Sets a guard before a cut and what is laid over it.
    pub(super) fn new(cut: CutCatalog, guard: Guard) -> Self {
        Self { cut, guard: Arc::new(guard) }
    }
}

/// What describes the warehouse shows a role only what it may see: nothing in it is to be decided on.
const DESCRIBING: [&str; 2] = ["pg_catalog", "information_schema"];

impl CatalogProvider for GuardedCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.cut.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.cut.schema(name)?;
        if DESCRIBING.contains(&name) {
            return Some(inner);
        }
        Some(Arc::new(GuardedSchema { name: name.to_string(), inner, guard: Arc::clone(&self.guard) }))
    }
}

#[derive(Debug)]
struct GuardedSchema {
    name: String,
    inner: Arc<dyn SchemaProvider>,
    guard: Arc<Guard>,
}

#[async_trait]
impl SchemaProvider for GuardedSchema {
    fn table_names(&self) -> Vec<String> {
        let Guard { access, role, .. } = self.guard.as_ref();
        let names = self.inner.table_names();
        names.into_iter().filter(|name| access.shows(role, &TableName::new(&self.name, name))).collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Guard { access, role, cut, .. } = self.guard.as_ref();
        let name = TableName::new(&self.name, name);
        let Some(table) = cut.tables.get(&name) else { return Ok(None) };
        let action = Action::Select(&name);
        match access.decide(role, action) {
            Decision::Granted => self.inner.table(&name.name).await,
            Decision::Denied => {
                let error = denied(role, action, &table.relation);
                Err(DataFusionError::External(Box::new(error)))
            }
            Decision::Restricted(restriction) => {
                let table = plan::restricted(&self.guard, &table.relation, restriction).await?;
                Ok(Some(Arc::new(table)))
            }
        }
    }
}
