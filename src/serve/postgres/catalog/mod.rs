//! PostgreSQL's system catalogs: what clients read to find out which tables there are.
//!
//! Comes in: a [`Cut`], the users, a session's surroundings and a query as the client wrote it. Goes out: the schemas
//! `pg_catalog` and `information_schema`, PostgreSQL's functions over them, and the query in the words that DataFusion
//! understands. [`CatalogCache`] keeps the tables as long as the cut's shape is the same.
//!
//! Guarantee: every relation of PostgreSQL 15's two schemas exists with its columns and types; OIDs are the same after a
//! restart; nothing here opens a table or reads data. Failures are DataFusion's, or a [`crate::serve::Error`] inside
//! `DataFusionError::External` when a name does not exist.

mod activity;
pub mod casts;
mod data;
mod definitions;
mod functions;
mod model;
mod procedures;
mod relations;
mod rewrite;
mod rows;
mod session_schema;
pub mod signatures;
mod subqueries;
pub mod types;

#[cfg(test)]
mod tests;

use crate::catalog::access::Access;
use crate::catalog::cut::Cut;
use crate::engine::{CutCatalog, FixedSchema};
use crate::lake::TableName;
use crate::ops::clock;
use crate::serve::datetime::Order;
use crate::serve::functions::Surroundings;
use crate::serve::guard::shown;
use crate::serve::session::{DRAFT_SHAPES, SEARCH_PATH};
use chrono::{DateTime, Utc};
use datafusion::catalog::SchemaProvider;
use datafusion::common::TableReference;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::Query;
use functions::SearchPath;
pub(in crate::serve) use functions::{as_jsonb as jsonb_of_text, jsonb_printed as jsonb_of_value};
pub(in crate::serve) use functions::{is_made_of_values, json_of_row, read_json};
use model::Model;
use parking_lot::Mutex;
pub(in crate::serve) use rewrite::{cast, fits_integer, in_catalog};
use session_schema::SessionSchema;
use std::collections::BTreeMap;
use std::sync::Arc;
pub use subqueries::reads_only_catalogs;

/// The system catalogs of one shape of the warehouse. Immutable; sessions share it.
#[derive(Debug)]
pub struct Catalog {
    model: Arc<Model>,
    schemas: BTreeMap<String, Arc<FixedSchema>>,
    functions: Vec<Arc<ScalarUDF>>,
}

impl Catalog {
    /// The catalogs that describe a cut. Opens no table.
    fn new(cut: &Arc<Cut>, access: &Arc<Access>, role: &str, started_at: DateTime<Utc>) -> Result<Self> {
        let model = Arc::new(Model::new(&shown(cut, access, role), access, role));
        let schemas = relations::build(&model)?
            .into_iter()
            .map(|(name, tables)| (name, Arc::new(FixedSchema::new(tables))))
            .collect();
        let functions = functions::of_model(&model, started_at);
        Ok(Self { model, schemas, functions })
    }

    /// Lays the two schemas over a cut, with what they show of one session.
    pub(in crate::serve) fn over(&self, cut: CutCatalog, session: &Arc<Surroundings>) -> CutCatalog {
        self.schemas.iter().fold(cut, |cut, (name, tables)| {
            let tables = Arc::clone(tables);
            let schema: Arc<dyn SchemaProvider> = match name.as_str() {
                "pg_catalog" => {
                    let model = Arc::clone(&self.model);
                    Arc::new(SessionSchema::new(tables, model, Arc::clone(session)))
                }
                _ => tables,
            };
            cut.with_schema(name, schema)
        })
    }

    /// Gives a session's engine PostgreSQL's functions, the subqueries that catalog statements use, and what
    /// [`rewrite`] needs. Done once for a session and a shape.
    pub(in crate::serve) fn equip(
        &self,
        engine: &mut SessionState,
        session: &Arc<Surroundings>,
    ) -> Result<()> {
        let path = SearchPath::new(&self.model, session);
        for function in self.functions.iter().cloned().chain(functions::of_session(&self.model, &path)) {
            engine.register_udf(function)?;
        }
        let names = Names { model: Arc::clone(&self.model), path };
        engine.config_mut().set_extension(Arc::new(names));
        subqueries::register(engine);
        Ok(())
    }

    /// Gives a session's engine the functions that depend on the cut: sizes. Done for every statement.
    pub(in crate::serve) fn equip_for(&self, engine: &mut SessionState, cut: &Arc<Cut>) -> Result<()> {
        for function in functions::of_cut(&self.model, cut) {
            engine.register_udf(function)?;
        }
        Ok(())
    }
}

/// What names in a session's statements mean.
struct Names {
    model: Arc<Model>,
    path: SearchPath,
}

/// A query in the words that DataFusion understands, for an engine that was equipped by a [`Catalog`]. Names without a
/// schema are looked up on the session's `search_path`; `order` is that of a date's numbers.
pub(in crate::serve) fn rewrite(engine: &SessionState, query: &mut Query, order: Order) {
    if let Some(names) = engine.config().get_extension::<Names>() {
        rewrite::rewrite_query(query, &names.model, &names.path.schemas(), order);
    }
}

/// The number of a relation that a plan reads, in an engine that was equipped by a [`Catalog`].
pub(in crate::serve) fn number_of(engine: &SessionState, table: &TableReference) -> Option<i32> {
    let names = engine.config().get_extension::<Names>()?;
    let class = match table.schema() {
        Some(schema) if schema != SEARCH_PATH => {
            names.model.class_named(&TableName::new(schema, table.table()))
        }
        _ => names.model.find(table.table(), &names.path.schemas()),
    };
    class.map(|class| class.oid)
}

/// Roles whose catalogs are kept.
const ROLES_MAX: usize = 16;

/// Keeps the last [`Catalog`] of each role until the shape of the cut, or roles and rights, change.
#[derive(Debug)]
pub struct CatalogCache {
    /// When the server started: the cache is as old.
    started_at: DateTime<Utc>,
    /// What all see, and apart from it what the last transaction sees that defines something.
    last: Mutex<[Vec<Kept>; 2]>,
}

#[derive(Debug)]
struct Kept {
    shape: u64,
    access: Arc<Access>,
    role: String,
    catalog: Arc<Catalog>,
}

impl Default for CatalogCache {
    fn default() -> Self {
        Self { started_at: clock::now(), last: Mutex::default() }
    }
}

impl CatalogCache {
    /// The catalogs that describe what a role sees of a cut.
    pub fn get(&self, cut: &Arc<Cut>, access: &Arc<Access>, role: &str) -> Result<Arc<Catalog>> {
        let mut slots = self.last.lock();
        let [shared, draft] = &mut *slots;
        let last = if cut.shape < DRAFT_SHAPES { shared } else { draft };
        last.retain(|kept| kept.shape == cut.shape && Arc::ptr_eq(&kept.access, access));
        if let Some(kept) = last.iter().find(|kept| kept.role == role) {
            return Ok(Arc::clone(&kept.catalog));
        }
        let catalog = Arc::new(Catalog::new(cut, access, role, self.started_at)?);
        if last.len() >= ROLES_MAX {
            last.remove(0);
        }
        let (access, kept) = (Arc::clone(access), Arc::clone(&catalog));
        last.push(Kept { shape: cut.shape, access, role: role.to_string(), catalog: kept });
        Ok(catalog)
    }
}
