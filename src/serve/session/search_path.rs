//! Names without a schema: looked for in `pg_catalog`, then along `search_path`, as PostgreSQL does.

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use std::sync::Arc;

/// The engine's default schema: no schema of a user can have this name, since it is never listed.
pub(in crate::serve) const SCHEMA: &str = "$path";

/// A cut whose names may be written without a schema.
#[derive(Debug)]
pub(super) struct SearchPath {
    cut: Arc<dyn CatalogProvider>,
    path: Arc<PathSchema>,
}

impl SearchPath {
    /// The cut, with a path of schemas.
    pub(super) fn over(cut: Arc<dyn CatalogProvider>, path: &[String]) -> Self {
        let names = std::iter::once("pg_catalog").chain(path.iter().map(String::as_str));
        let schemas = names.filter_map(|name| cut.schema(name)).collect();
        Self { cut, path: Arc::new(PathSchema { schemas }) }
    }
}

impl CatalogProvider for SearchPath {
    fn schema_names(&self) -> Vec<String> {
        self.cut.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SCHEMA => Some(Arc::clone(&self.path) as Arc<dyn SchemaProvider>),
            name => self.cut.schema(name),
        }
    }
}

#[derive(Debug)]
struct PathSchema {
    schemas: Vec<Arc<dyn SchemaProvider>>,
}

#[async_trait]
impl SchemaProvider for PathSchema {
    fn table_names(&self) -> Vec<String> {
        self.schemas.iter().flat_map(|schema| schema.table_names()).collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.schemas.iter().any(|schema| schema.table_exist(name))
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        // What may be read comes before what may not.
        let mut denied = None;
        for schema in self.schemas.iter().filter(|schema| schema.table_exist(name)) {
            match schema.table(name).await {
                Err(error) => denied = denied.or(Some(error)),
                found => return found,
            }
        }
        denied.map_or(Ok(None), Err)
    }
}
