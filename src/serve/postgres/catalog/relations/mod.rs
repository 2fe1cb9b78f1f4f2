//! The rows of the system catalogs.
//!
//! Comes in: a [`Model`]. Goes out: one in-memory table for every relation of `pg_catalog` and `information_schema`
//! that PostgreSQL 15 has. Those about features that a read-only warehouse has not (triggers, publications,
//! foreign servers ...) are there and empty, so that any statement over them plans and answers.

mod information_schema;
mod objects;
mod rights;
mod server;
mod views;

use super::data;
use super::model::Model;
use super::rows::{Rows, Value};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::Result;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Tables of one schema, by name.
pub type Tables = BTreeMap<String, Arc<dyn TableProvider>>;

/// `pg_class.oid` of the catalogs that others refer to by number.
pub(super) const PG_CLASS_OID: i32 = 1259;

/// Every table of the two schemas, by schema.
pub fn build(model: &Model) -> Result<BTreeMap<String, Tables>> {
    let mut writer = Writer::default();
    objects::write(model, &mut writer);
    rights::write(model, &mut writer);
    server::write(model, &mut writer);
    views::write(model, &mut writer);
    information_schema::write(model, &mut writer);
    writer.finish()
}

/// Collects rows for many relations.
#[derive(Debug, Default)]
pub(super) struct Writer {
    rows: HashMap<(&'static str, &'static str), Rows>,
}

impl Writer {
    /// Adds a row to a relation of `pg_catalog`.
    fn catalog<'a>(&mut self, relation: &'static str, cells: impl IntoIterator<Item = (&'a str, Value)>) {
        self.push("pg_catalog", relation, cells);
    }

    /// Adds a row to a view of `information_schema`.
    fn schema_view<'a>(&mut self, relation: &'static str, cells: impl IntoIterator<Item = (&'a str, Value)>) {
        self.push("information_schema", relation, cells);
    }

    fn push<'a>(
        &mut self,
        schema: &'static str,
        relation: &'static str,
        cells: impl IntoIterator<Item = (&'a str, Value)>,
    ) {
        debug_assert!(data::relation_named(schema, relation).is_some(), "{schema}.{relation} does not exist");
        let Some(shape) = data::relation_named(schema, relation) else {
            return;
        };
        self.rows.entry((shape.schema, shape.name)).or_insert_with(|| Rows::new(shape)).push(cells);
    }

    fn finish(mut self) -> Result<BTreeMap<String, Tables>> {
        let mut schemas: BTreeMap<String, Tables> = BTreeMap::new();
        for shape in data::relations() {
            let rows = self.rows.remove(&(shape.schema, shape.name)).unwrap_or_else(|| Rows::new(shape));
            let table = MemTable::try_new(Arc::clone(&shape.arrow), vec![vec![rows.finish()?]])?;
            schemas
                .entry(shape.schema.to_string())
                .or_default()
                .insert(shape.name.to_string(), Arc::new(table));
        }
        Ok(schemas)
    }
}
