//! Plans over few rows run on one thread: sooner than several have agreed who does what.

use super::Result;
use crate::lake::FilesProvider;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use std::any::Any;

/// Tables of no more rows are small.
pub const ALONE_ROWS: u64 = 131_072;

/// The same state for plans over small tables. Nor do joins and top-k tell scans what can still matter: asking costs more
/// than it could save.
pub fn alone(state: &SessionState) -> SessionState {
    let mut alone = state.clone();
    let options = alone.config_mut().options_mut();
    options.execution.target_partitions = 1;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    alone
}

/// True when all the tables of a plan, those of its subqueries too, are small.
pub fn is_small(plan: &LogicalPlan) -> Result<bool> {
    let mut is_small = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            is_small &= rows_at_most(scan).is_some_and(|rows| rows <= ALONE_ROWS);
        }
        Ok(if is_small { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_small)
}

/// How many rows a scan's table has, where that is known. Tables in memory are catalogs, or rows already read.
fn rows_at_most(scan: &TableScan) -> Option<u64> {
    let provider = source_as_provider(&scan.source).ok()?;
    let provider = provider.as_ref() as &dyn Any;
    match provider.downcast_ref::<FilesProvider>() {
        Some(files) => files.rows(),
        None => provider.is::<MemTable>().then_some(0),
    }
}
