//! Pauses in operators that make many rows of few, so that a query can be stopped.
//!
//! The engine's operators pause for other tasks as they take rows from their inputs. A join takes one batch and may give
//! thousands: without a pause at its output nothing above it comes to rest, and neither a timeout nor a cancel is seen.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::SchedulingType;
use std::sync::Arc;

/// Puts a pause on top of every operator that multiplies rows.
#[derive(Debug)]
pub(super) struct Pauses;

impl PhysicalOptimizerRule for Pauses {
    fn name(&self) -> &str {
        "pauses"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let paused = plan.transform_up(|node| {
            let multiplies = node.children().len() > 1 || node.name() == "UnnestExec";
            let pauses = node.properties().scheduling_type == SchedulingType::Cooperative;
            Ok(if multiplies && !pauses {
                Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>)
            } else {
                Transformed::no(node)
            })
        })?;
        Ok(paused.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
