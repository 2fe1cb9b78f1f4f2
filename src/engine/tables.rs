//! Names → tables for DataFusion: a cut as a catalog, views planned when they are read.

use super::Engine;
use crate::catalog::cut::Cut;
use crate::lake::TableName;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One cut as a catalog. Schemas of a protocol's own (`pg_catalog`) may be laid over it.
#[derive(Debug)]
pub struct CutCatalog {
    cut: Arc<Cut>,
    engine: Engine,
    extra: BTreeMap<String, Arc<dyn SchemaProvider>>,
}

impl CutCatalog {
    /// A catalog of exactly this cut.
    pub fn new(cut: Arc<Cut>, engine: Engine) -> Self {
        Self { cut, engine, extra: BTreeMap::new() }
    }

    /// Lays a schema over the cut.
    pub fn with_schema(mut self, name: &str, schema: Arc<dyn SchemaProvider>) -> Self {
        self.extra.insert(name.to_string(), schema);
        self
    }
}

impl CatalogProvider for CutCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.cut.tables.keys().map(|n| n.schema.clone()).collect();
        names.insert("public".to_string());
        names.extend(self.extra.keys().cloned());
        names.into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if let Some(schema) = self.extra.get(name) {
            return Some(Arc::clone(schema));
        }
        let known = name == "public" || self.cut.tables.keys().any(|n| n.schema == name);
        known.then(|| {
            Arc::new(CutSchema {
                name: name.to_string(),
                cut: Arc::clone(&self.cut),
                engine: self.engine.clone(),
            }) as Arc<dyn SchemaProvider>
        })
    }
}

#[derive(Debug)]
struct CutSchema {
    name: String,
    cut: Arc<Cut>,
    engine: Engine,
}

#[async_trait]
impl SchemaProvider for CutSchema {
    fn table_names(&self) -> Vec<String> {
        self.cut.tables.keys().filter(|n| n.schema == self.name).map(|n| n.name.clone()).collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.cut.tables.contains_key(&TableName::new(&self.name, name))
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.cut.tables.get(&TableName::new(&self.name, name)) else {
            return Ok(None);
        };
        match (&table.provider, &table.relation.query) {
            (Some(provider), _) => Ok(Some(Arc::clone(provider))),
            (None, Some(query)) => {
                let plan = self.engine.plan_over(&self.cut, query).await?;
                Ok(Some(Arc::new(ViewTable::new(LogicalPlan::clone(&plan), Some(query.clone())))))
            }
            (None, None) => Ok(None),
        }
    }
}

/// A schema with a fixed set of tables.
#[derive(Debug, Default)]
pub struct FixedSchema {
    tables: BTreeMap<String, Arc<dyn TableProvider>>,
}

impl FixedSchema {
    /// A schema of these tables.
    pub fn new(tables: BTreeMap<String, Arc<dyn TableProvider>>) -> Self {
        Self { tables }
    }
}

#[async_trait]
impl SchemaProvider for FixedSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.tables.get(name).cloned())
    }
}
