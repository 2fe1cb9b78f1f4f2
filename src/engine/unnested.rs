//! What was told apart by a key is not, once a list beside it is unnested: a row comes for each element.
//!
//! DataFusion 55 says of an unnest's rows what it knows of its input's: where those are DISTINCT, or grouped, a join with
//! them counts as finding one row at most and becomes a semi join, a DISTINCT above them does nothing.

use datafusion::common::FunctionalDependencies;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// DataFusion's rules that go by what is unique.
const TRUSTING: [&str; 3] = ["replace_distinct_aggregate", "eliminate_join", "optimize_projections"];

/// A rule that goes by what is unique, given plans whose unnests say nothing of it. They say so again whenever a plan is
/// built anew, be it by the rule itself further below: what it is given is looked at each time.
#[derive(Debug)]
pub(super) struct Unnested(Arc<dyn OptimizerRule + Send + Sync>);

impl Unnested {
    /// The rule in this guise, if it needs it.
    pub(super) fn guard(rule: Arc<dyn OptimizerRule + Send + Sync>) -> Arc<dyn OptimizerRule + Send + Sync> {
        if TRUSTING.contains(&rule.name()) { Arc::new(Self(rule)) } else { rule }
    }
}

impl OptimizerRule for Unnested {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // One that is handed each operator in turn is the one for DISTINCT.
        let is_looked_at = self.apply_order().is_none() || matches!(plan, LogicalPlan::Distinct(_));
        let plan = if is_looked_at && unnests(&plan)? { without_keys(plan)? } else { plan };
        self.0.rewrite(plan, config)
    }
}

fn unnests(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Unnest(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Takes from each unnest, and so from what stands above it, the keys of its input.
fn without_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Unnest(mut unnest) => {
            let schema = Arc::unwrap_or_clone(unnest.schema);
            let keyless = schema.with_functional_dependencies(FunctionalDependencies::empty())?;
            unnest.schema = Arc::new(keyless);
            Ok(Transformed::yes(LogicalPlan::Unnest(unnest)))
        }
        node if unnests(&node)? => node.recompute_schema().map(Transformed::yes),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(plan.data)
}
