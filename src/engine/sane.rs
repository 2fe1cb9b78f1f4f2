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
    use super::super::fixture::stored;
    use super::super::{Engine, plan_sql};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    /// No file of `a` may have what is asked for, and of `b` one, all of whose rows have one value.
    #[tokio::test]
    async fn windows_over_what_was_known_to_be_constant_are_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let rows = |values: &[i64]| {
            let column = || Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
            let columns = [("k", column(), true), ("v", column(), true)];
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        };
        let tables = [("a", vec![rows(&[0, 0])]), ("b", vec![rows(&[1, 1000]), rows(&[-1])])];
        let catalog = stored(folder.path(), &tables).await;
        for query in [
            "SELECT b.k, row_number() OVER (PARTITION BY b.k) AS n FROM a JOIN b ON a.k = b.k WHERE b.k <= -1 AND a.v IS NULL",
            "SELECT b.k FROM a JOIN b ON a.k = b.k WHERE b.k <= -1 AND a.v IS NULL INTERSECT ALL SELECT k FROM a",
        ] {
            for partitions in [1, 2] {
                let session = Engine::new(1 << 30, partitions).unwrap().session(Arc::clone(&catalog));
                let plan = plan_sql(&session.state(), query).await.unwrap();
                let rows = session.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
                assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "{query}");
            }
        }
    }
}
