//! Filters pushed towards the tables, but never below what has rows of its own.
//!
//! DataFusion 55 pushes a filter below an aggregate where all its columns are group keys; one without columns passes,
//! as `a IS NOT NULL` does once `a` is known to be the literal NULL. Below an aggregate over everything, or a grouping
//! set of nothing, it takes rows and leaves the one row that such an aggregate has of none at all. A key that is
//! computed anew each time (`random()`) differs below from what it was above (apache/datafusion issue 25415).

use super::distincts::SingleDistinct;
use super::not_in::NotIn;
use super::spans::Spans;
use super::unnested::Unnested;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// DataFusion's rule of the same name, which every plan goes through instead of it.
#[derive(Debug, Default)]
pub struct PushDown(PushDownFilter);

impl OptimizerRule for PushDown {
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
        if let LogicalPlan::Filter(filter) = &plan
            && let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref()
            && !passes(aggregate)
        {
            // Left in place of a subquery's condition, it would hide that the aggregate has one row.
            return Ok(match filter.predicate {
                Expr::Literal(ScalarValue::Boolean(Some(true)), _) => {
                    Transformed::yes(LogicalPlan::clone(&filter.input))
                }
                _ => Transformed::no(plan),
            });
        }
        self.0.rewrite(plan, config)
    }
}

/// True when every row of the aggregate is a group of rows of its input, told by the same key at any time.
fn passes(aggregate: &Aggregate) -> bool {
    let keys = &aggregate.group_expr;
    !keys.is_empty() && !keys.iter().any(|key| matches!(key, Expr::GroupingSet(_)) || key.is_volatile())
}

/// DataFusion's rules in their order, with [`PushDown`] and [`SingleDistinct`] in their places, [`NotIn`] and [`Spans`]
/// before all, [`Unnested`] around some.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let first: [Arc<dyn OptimizerRule + Send + Sync>; 2] = [Arc::new(NotIn), Arc::new(Spans)];
    let own: [Arc<dyn OptimizerRule + Send + Sync>; 2] =
        [Arc::new(PushDown::default()), Arc::new(SingleDistinct::default())];
    let in_its_place = |rule: Arc<dyn OptimizerRule + Send + Sync>| {
        let ours = own.iter().find(|ours| ours.name() == rule.name());
        ours.map_or(rule, Arc::clone)
    };
    let rules = Optimizer::new().rules.into_iter().map(in_its_place);
    first.into_iter().chain(rules.map(Unnested::guard)).collect()
}
