//! Planning for few rows: a refresh runs many plans over a handful of rows each, and most of its time went into making
//! them faster.
//!
//! One thread, one pass of the rules that rewrite queries, and of those that rewrite operators the ones that plans need to
//! run, and to be checked.

use super::padding::Padding;
use super::pauses::Pauses;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::join_selection::JoinSelection;
use datafusion::physical_optimizer::output_requirements::OutputRequirements;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use std::sync::Arc;

/// A template's state for few rows.
pub(super) fn of(template: &SessionState) -> SessionState {
    let rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![
        Arc::new(OutputRequirements::new_add_mode()),
        Arc::new(JoinSelection::new()),
        Arc::new(Padding),
        Arc::new(EnsureRequirements::new()),
        Arc::new(OutputRequirements::new_remove_mode()),
        Arc::new(SanityCheckPlan::new()),
        Arc::new(Pauses),
    ];
    let mut state =
        SessionStateBuilder::new_from_existing(template.clone()).with_physical_optimizer_rules(rules).build();
    let options = state.config_mut().options_mut();
    options.execution.target_partitions = 1;
    // The rows that are wanted of large files are known: asking each file's bounds costs more than it could save.
    options.execution.parquet.pruning = false;
    options.execution.parquet.enable_page_index = false;
    options.optimizer.max_passes = 1;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    state
}
