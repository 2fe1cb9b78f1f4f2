//! Windows over few rows, computed a whole partition at a time.
//!
//! DataFusion's bounded operator keeps a state for each partition that it may have to go on with, as endless inputs ask
//! for: over a thousand partitions of a few rows that costs several times what the windows do.

use super::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};
use std::any::Any;
use std::sync::Arc;

/// The same plan. All of a window's input is held in memory: for small tables only.
pub fn with_whole_partitions(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let whole = plan.transform_up(|node| {
        let bounded = (node.as_ref() as &dyn Any).downcast_ref::<BoundedWindowAggExec>();
        // In other modes the rows of a partition do not follow each other.
        let Some(bounded) = bounded.filter(|window| window.input_order_mode == InputOrderMode::Sorted) else {
            return Ok(Transformed::no(node));
        };
        let can_repartition = !bounded.partition_keys().is_empty();
        let (windows, input) = (bounded.window_expr().to_vec(), Arc::clone(bounded.input()));
        let whole = WindowAggExec::try_new(windows, input, can_repartition)?;
        Ok(Transformed::yes(Arc::new(whole) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(whole.data)
}
