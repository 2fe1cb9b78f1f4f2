//! Plans that have all that their operators require, left as they are.
//!
//! Of a plan that runs in one partition, what DataFusion's `EnsureRequirements` looks for in eight passes over the tree is
//! there when rows come in the order that operators ask for: there is nothing to deal out and nothing to gather. For small
//! queries these passes were a seventh of all that was done.

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use std::sync::Arc;

/// The rule that adds what a plan requires, for plans that do not have it yet.
#[derive(Debug)]
pub(super) struct Contented(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for Contented {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match config.execution.target_partitions == 1 && is_contented(plan.as_ref())? {
            true => Ok(plan),
            false => self.0.optimize(plan, config),
        }
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// True when each operator's inputs are one partition each, in the order that it asks for.
fn is_contented(plan: &dyn ExecutionPlan) -> Result<bool> {
    for (input, required) in plan.children().into_iter().zip(plan.required_input_ordering()) {
        let is_one = input.output_partitioning().partition_count() == 1;
        let order = || match required {
            Some(order) => input.equivalence_properties().ordering_satisfy_requirement(order.into_single()),
            None => Ok(true),
        };
        if !is_one || !order()? || !is_contented(input.as_ref())? {
            return Ok(false);
        }
    }
    Ok(true)
}
