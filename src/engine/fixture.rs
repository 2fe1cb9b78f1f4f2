//! Stored tables for tests of plans over files.

use crate::lake::{Commit, Effort, Lake, TableDefinition, TableKind, TableName};
use arrow::array::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider as _,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A catalogue of tables, each with a file for each of its batches.
pub(super) async fn stored(root: &Path, tables: &[(&str, Vec<RecordBatch>)]) -> Arc<dyn CatalogProvider> {
    let lake = Lake::open(root).unwrap();
    let schema = Arc::new(MemorySchemaProvider::new());
    for (name, files) in tables {
        let definition = TableDefinition {
            schema: files[0].schema(),
            partition_columns: Vec::new(),
            kind: TableKind::Maintained,
            properties: BTreeMap::new(),
        };
        let table = lake.ensure(&TableName::new("s", *name), &definition).unwrap();
        for rows in files {
            let mut commit = Commit::append(Vec::new(), Vec::new());
            commit.adds = table.write(vec![rows.clone()], Effort::Fast).await.unwrap();
            table.commit(commit).await.unwrap();
        }
        schema.register_table((*name).to_string(), lake.provider(&table.snapshot())).unwrap();
    }
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema("public", schema).unwrap();
    catalog
}
