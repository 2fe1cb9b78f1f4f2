//! From logical plans to what can be executed, where both zeros are one ([`one_zero`]), and without the filters that would
//! land on a namesake.
//!
//! While they run, joins and top-k hand the values that can still matter to the scans below. DataFusion 55
//! hands them down by a column's bare name: where two columns of an operator are called the same, as in a join of two
//! tables with an `id` each, the filter of one lands on the other and rows are lost (apache/datafusion issues 25244 and
//! 25296; what follows 55.2 maps them by place). Such queries are planned without these filters.

use super::zeros::one_zero;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::context::{QueryPlanner, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::default();
        let plan = one_zero(plan)?;
        let plan = plan.as_ref();
        let hands_down = session.config_options().optimizer.enable_dynamic_filter_pushdown;
        if !hands_down || !has_namesakes(plan, false)? {
            return planner.create_physical_plan(plan, session).await;
        }
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("a session that is none of the engine's");
        };
        let mut state = state.clone();
        let options = &mut state.config_mut().options_mut().optimizer;
        options.enable_dynamic_filter_pushdown = false;
        options.enable_join_dynamic_filter_pushdown = false;
        options.enable_topk_dynamic_filter_pushdown = false;
        planner.create_physical_plan(plan, &state).await
    }
}

/// True when an operator that has two columns of one name stands below one that hands values down.
fn has_namesakes(plan: &LogicalPlan, is_below: bool) -> Result<bool> {
    let mut names = HashSet::new();
    if is_below && !plan.schema().fields().iter().all(|field| names.insert(field.name())) {
        return Ok(true);
    }
    let is_below = is_below
        || matches!(
            plan,
            LogicalPlan::Join(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_)
        );
    for input in plan.inputs() {
        if has_namesakes(input, is_below)? {
            return Ok(true);
        }
    }
    let mut found = false;
    plan.apply_subqueries(|subquery| {
        found |= has_namesakes(subquery, is_below)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::super::fixture::stored;
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    /// A session over tables of text: name, columns, and rows of which each file holds so many.
    async fn session(
        root: &std::path::Path,
        tables: &[(&str, &[(&str, &[&str])])],
        file_rows: usize,
    ) -> SessionContext {
        let files = |columns: &[(&str, &[&str])]| {
            let cells = columns.iter().map(|(column, cells)| {
                (*column, Arc::new(StringArray::from(cells.to_vec())) as ArrayRef, true)
            });
            let rows = RecordBatch::try_from_iter_with_nullable(cells).unwrap();
            let starts = (0..rows.num_rows()).step_by(file_rows);
            starts.map(|from| rows.slice(from, file_rows.min(rows.num_rows() - from))).collect()
        };
        let tables: Vec<_> = tables.iter().map(|(name, columns)| (*name, files(columns))).collect();
        let catalog = stored(root, &tables).await;
        Engine::new(1 << 30, 2).unwrap().session(catalog)
    }

    /// Both tables of the inner join have an `id`: what the outer join still wants of one is not meant for the other.
    #[tokio::test]
    async fn no_filter_lands_on_a_namesake() {
        let folder = tempfile::tempdir().unwrap();
        let tables: [(&str, &[(&str, &[&str])]); 3] = [
            ("a", &[("id", &["a1", "a2"]), ("b", &["x1", "x2"])]),
            ("b", &[("id", &["x1", "x2"])]),
            ("s", &[("id", &["x1"])]),
        ];
        let session = session(folder.path(), &tables, 8).await;
        let plan = async |query: &str| {
            let physical = session.sql(query).await.unwrap().create_physical_plan().await.unwrap();
            displayable(physical.as_ref()).indent(false).to_string()
        };
        let shown = plan("SELECT s.id, a.id FROM s JOIN a ON s.id = a.b").await;
        assert!(shown.contains("DynamicFilter"), "{shown}");
        let query = "SELECT s.id, a.id, b.id FROM s JOIN (a JOIN b ON a.b = b.id) ON s.id = b.id";
        let shown = plan(query).await;
        assert!(!shown.contains("DynamicFilter"), "{shown}");
        let rows = session.sql(query).await.unwrap().collect().await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }

    /// No file after the first has anything for the first minimum; the last is the only one for the second.
    #[tokio::test]
    async fn one_minimum_hides_no_rows_from_another() {
        let folder = tempfile::tempdir().unwrap();
        let (x, y) = (["1", "2", "2", "2", "2", "3"], ["6", "6", "6", "6", "6", "5"]);
        let tables: [(&str, &[(&str, &[&str])]); 1] = [("a", &[("x", &x), ("y", &y)])];
        let session = session(folder.path(), &tables, 1).await;
        for query in [
            "SELECT min(x), min(y) FILTER (WHERE x > '2') FROM a",
            "SELECT min(x), min(CASE WHEN y < '6' THEN y END) FROM a",
        ] {
            let rows = session.sql(query).await.unwrap().collect().await.unwrap();
            let found = pretty_format_batches(&rows).unwrap().to_string();
            assert!(found.contains("| 1 ") && found.contains("| 5 "), "{query}\n{found}");
        }
    }
}
