//! Plans that are checked before they are run, and put in order once more where the check finds fault with them.
//!
//! A sort that a window asks for is pushed below an inner join, to the input whose order the join keeps. There it is left
//! out where its columns are constant, as statistics tell of a filter that lets one value through; but of its right input's
//! constants DataFusion 55 knows nothing above the join (`EquivalenceClass::try_with_offset` drops them), and its check
//! refuses the plan. Such a plan is made anew without those constants, for which sorts stay where they are.

use super::forgetting::without_lost_constants;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// The check, and the rule that adds what a plan requires.
#[derive(Debug)]
pub(super) struct Sane {
    pub(super) check: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
    pub(super) mend: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

impl PhysicalOptimizerRule for Sane {
    fn name(&self) -> &str {
        self.check.name()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match self.check.optimize(Arc::clone(&plan), config) {
            Ok(plan) => Ok(plan),
            Err(_) => {
                let mended = self.mend.optimize(without_lost_constants(plan)?, config)?;
                self.check.optimize(mended, config)
            }
        }
    }

    fn schema_check(&self) -> bool {
        self.check.schema_check()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use crate::lake::{Commit, Effort, Lake, TableDefinition, TableKind, TableName};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::catalog::{
        CatalogProvider as _, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider as _,
    };
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// No file of `a` may have what is asked for, and of `b` one, all of whose rows have one value.
    #[tokio::test]
    async fn windows_over_what_was_known_to_be_constant_are_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path()).unwrap();
        let schema = Arc::new(MemorySchemaProvider::new());
        let tables: [(&str, &[&[i64]]); 2] = [("a", &[&[0, 0]]), ("b", &[&[1, 1000], &[-1]])];
        for (name, files) in tables {
            let rows = |values: &[i64]| {
                let column = || Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
                let columns = [("k", column(), true), ("v", column(), true)];
                RecordBatch::try_from_iter_with_nullable(columns).unwrap()
            };
            let definition = TableDefinition {
                schema: rows(&[]).schema(),
                partition_columns: Vec::new(),
                kind: TableKind::Maintained,
                properties: BTreeMap::new(),
            };
            let table = lake.ensure(&TableName::new("s", name), &definition).unwrap();
            for values in files {
                let mut commit = Commit::append(Vec::new(), Vec::new());
                commit.adds = table.write(vec![rows(values)], Effort::Fast).await.unwrap();
                table.commit(commit).await.unwrap();
            }
            schema.register_table(name.to_string(), lake.provider(&table.snapshot())).unwrap();
        }
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema("public", schema).unwrap();
        for query in [
            "SELECT b.k, row_number() OVER (PARTITION BY b.k) AS n FROM a JOIN b ON a.k = b.k WHERE b.k <= -1 AND a.v IS NULL",
            "SELECT b.k FROM a JOIN b ON a.k = b.k WHERE b.k <= -1 AND a.v IS NULL INTERSECT ALL SELECT k FROM a",
        ] {
            for partitions in [1, 2] {
                let session = Engine::new(1 << 30, partitions).unwrap().session(Arc::clone(&catalog) as _);
                let plan = crate::engine::plan_sql(&session.state(), query).await.unwrap();
                let rows = session.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
                assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "{query}");
            }
        }
    }
}
