//! Where a result may be read in parts: partitions that have nothing to do with each other.
//!
//! Most operators let their partitions share something: a repartitioning its channels, a join what it has built, a limit
//! its count, filters that are found while a query runs the values seen so far. Read apart, one of them would wait for
//! rows that nobody reads, or give rows twice. Only what treats each row, or each file, by itself is split.

use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties as _, StatisticsArgs, StatisticsContext,
};
use std::ops::Range;

/// Rows from which a part is worth a call of its own.
const PART_ROWS_MIN: usize = 32_768;

/// Whether a query may come to be split; tells those that need not be planned for it.
pub fn is_row_by_row(plan: &LogicalPlan) -> bool {
    let is_here = match plan {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_) => true,
        _ => false,
    };
    is_here && plan.inputs().into_iter().all(is_row_by_row)
}

/// The partitions of each part: `parts_max` at most, none too small, one of all partitions where a plan may not be split.
pub fn parts(plan: &dyn ExecutionPlan, parts_max: usize) -> Result<Vec<Range<usize>>> {
    let partitions = plan.output_partitioning().partition_count();
    let count = match is_independent(plan) {
        true => rows_of(plan)? / PART_ROWS_MIN,
        false => 1,
    };
    Ok(evenly(partitions, count.min(parts_max)))
}

/// Whether each partition of a plan can be run without the others, in any order, and again.
fn is_independent(plan: &dyn ExecutionPlan) -> bool {
    let is_here = plan.is::<DataSourceExec>()
        || plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<UnnestExec>()
        || plan.is::<UnionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<EmptyExec>();
    is_here
        && plan.fetch().is_none()
        && plan.children().into_iter().all(|child| is_independent(child.as_ref()))
}

/// How many rows there are, as far as that is known; what is not known is taken to be little.
fn rows_of(plan: &dyn ExecutionPlan) -> Result<usize> {
    let known = StatisticsContext::new().compute(plan, &StatisticsArgs::new())?;
    Ok(known.num_rows.get_value().copied().unwrap_or(0))
}

/// Cuts partitions into parts of about the same size.
fn evenly(partitions: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, partitions.max(1));
    (0..parts).map(|part| part * partitions / parts..(part + 1) * partitions / parts).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::stored;
    use super::super::{Engine, physical_plan_in_parts};
    use super::*;
    use crate::ops::opaque::Opaque;
    use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use datafusion::catalog::{
        CatalogProvider as _, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider as _,
    };
    use futures::TryStreamExt as _;
    use std::sync::Arc;

    /// Table `t` of four partitions of a hundred thousand rows, `small` of four of ten.
    fn engine() -> datafusion::prelude::SessionContext {
        let schema = Arc::new(MemorySchemaProvider::new());
        for (name, rows) in [("t", 100_000), ("small", 10)] {
            let partition = |first: i64| {
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + rows));
                vec![RecordBatch::try_from_iter([("n", numbers)]).unwrap()]
            };
            let partitions: Vec<_> = (0..4).map(|part| partition(part * rows)).collect();
            let table = MemTable::try_new(partitions[0][0].schema(), partitions).unwrap();
            schema.register_table(name.to_string(), Arc::new(table)).unwrap();
        }
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema("public", schema).unwrap();
        Engine::new(1 << 30, 4).unwrap().session(catalog)
    }

    #[tokio::test]
    async fn only_rows_that_stand_alone_are_split() {
        let engine = engine();
        let parts_of = async |sql: &str, parts_max| {
            let plan = engine.state().create_logical_plan(sql).await.unwrap();
            let is_row_by_row = is_row_by_row(&plan);
            let (physical, _) =
                physical_plan_in_parts(&Opaque::new(engine.state()), &Opaque::new(plan), false)
                    .await
                    .unwrap();
            let parts = parts(physical.as_ref(), parts_max).unwrap();
            // What is not planned for it must not be what could be split.
            assert!(is_row_by_row || parts.len() == 1, "{sql}");
            parts.len()
        };
        for (sql, expected) in [
            ("SELECT * FROM t", 4),
            ("SELECT n + 1 FROM t", 4),
            ("SELECT x.n FROM (SELECT * FROM t) AS x", 4),
            ("SELECT n FROM t UNION ALL SELECT n FROM t", 8),
            ("SELECT * FROM small", 1),
            ("SELECT * FROM t ORDER BY n", 1),
            ("SELECT * FROM t LIMIT 300000", 1),
            ("SELECT * FROM (SELECT * FROM t LIMIT 300000) AS x", 1),
            ("SELECT n, count(*) FROM t GROUP BY n", 1),
            ("SELECT DISTINCT n FROM t", 1),
            ("SELECT a.n FROM t a JOIN t b ON a.n = b.n", 1),
            ("SELECT n, row_number() OVER (ORDER BY n) FROM t", 1),
            ("SELECT n FROM t WHERE n > (SELECT min(n) FROM small)", 1),
            ("SELECT n FROM t UNION SELECT n FROM t", 1),
        ] {
            assert_eq!(parts_of(sql, 64).await, expected, "{sql}");
        }
        assert_eq!(parts_of("SELECT * FROM t", 3).await, 3);
        assert_eq!(parts_of("SELECT * FROM t", 1).await, 1);
    }

    /// Partitions that read files take each other's, unless told not to: read apart, one would have all the rows.
    #[tokio::test]
    async fn each_partition_has_its_own_files_however_often_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let rows = |first: i64| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 20_000));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let files = (0..4).map(|file| rows(file * 20_000)).collect();
        let catalog = stored(folder.path(), &[("t", files)]).await;
        let state = Opaque::new(Engine::new(1 << 30, 4).unwrap().session(catalog).state());
        let plan = state.create_logical_plan("SELECT n FROM t WHERE n > 0").await.unwrap();
        let (plan, context) = physical_plan_in_parts(&state, &Opaque::new(plan), false).await.unwrap();
        let parts = parts(plan.as_ref(), 64).unwrap();
        assert_eq!(parts, [0..2, 2..4]);
        let mut seen = Vec::new();
        for _ in 0..2 {
            for part in &parts {
                let mut count = 0;
                for partition in part.clone() {
                    let batches: Vec<RecordBatch> =
                        plan.execute(partition, Arc::clone(&context)).unwrap().try_collect().await.unwrap();
                    for batch in &batches {
                        count += batch.num_rows();
                        seen.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
                    }
                }
                assert!(count == 40_000 || count == 39_999, "{count}");
            }
        }
        seen.sort_unstable();
        let expected = (1..80_000).flat_map(|n| [n, n]);
        assert!(seen.into_iter().eq(expected));
    }

    #[test]
    fn parts_hold_every_partition_once() {
        assert_eq!(evenly(4, 4), [0..1, 1..2, 2..3, 3..4]);
        assert_eq!(evenly(5, 2), [0..2, 2..5]);
        assert_eq!(evenly(2, 5), [0..1, 1..2]);
        assert_eq!(evenly(3, 0).as_slice(), std::slice::from_ref(&(0..3)));
        assert_eq!(evenly(0, 2).as_slice(), std::slice::from_ref(&(0..0)));
    }
}
