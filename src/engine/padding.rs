//! What is constant on a side of an outer join is not in its rows: where nothing matches, they have NULL.
//!
//! DataFusion 55 keeps the constants of both sides (`k` after `WHERE k = 5`, a count that statistics tell). What sorts or
//! groups by `k` above the join then leaves it out: rows come in a wrong order, windows and groups are cut wrongly. A
//! side that may be padded with NULL therefore says nothing of its constants.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::equivalence::{EquivalenceClass, EquivalenceGroup};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, PlanProperties,
    SendableRecordBatchStream, Statistics,
};
use std::fmt;
use std::sync::Arc;

/// Hides the constants of each side that an outer join may pad. Has to come before sorts and partitions are decided.
#[derive(Debug)]
pub(super) struct Padding;

impl PhysicalOptimizerRule for Padding {
    fn name(&self) -> &str {
        "padding"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let hidden = plan.transform_up(|node| {
            let is_padded = padded_sides(node.as_ref());
            let sides: Vec<_> = node.children().into_iter().map(Arc::clone).collect();
            let hides: Vec<bool> = sides
                .iter()
                .zip(is_padded)
                .map(|(side, is_padded)| is_padded && !side.equivalence_properties().constants().is_empty())
                .collect();
            if !hides.contains(&true) {
                return Ok(Transformed::no(node));
            }
            let sides = sides.into_iter().zip(hides).map(|(side, hides)| match hides {
                true => PaddedExec::over(side),
                false => Ok(side),
            });
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(node.replace_children(sides.collect::<Result<_>>()?, options)?))
        })?;
        Ok(hidden.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Which sides of a join lack in some of its rows.
fn padded_sides(node: &dyn ExecutionPlan) -> [bool; 2] {
    let hash = node.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let merge = node.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::join_type);
    let nested = node.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    match hash.or(merge).or(nested) {
        Some(JoinType::Left) => [false, true],
        Some(JoinType::Right) => [true, false],
        Some(JoinType::Full) => [true, true],
        _ => [false, false],
    }
}

/// The rows of its input, of which is known what still holds once rows of NULL are among them.
#[derive(Clone, Debug)]
struct PaddedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl PaddedExec {
    fn over(input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let known = still_known(input.equivalence_properties(), input.schema())?;
        let properties = PlanProperties::clone(input.properties()).with_eq_properties(known);
        Ok(Arc::new(Self { input, properties: Arc::new(properties) }))
    }
}

/// Orders, and columns that are equal: both are NULL together. What is computed of NULL need not be.
fn still_known(known: &EquivalenceProperties, schema: SchemaRef) -> Result<EquivalenceProperties> {
    let is_column = |expr: &&Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_some();
    let classes = known.eq_group().iter();
    let equal = classes.map(|class| EquivalenceClass::new(class.iter().filter(is_column).cloned()));
    let mut still = EquivalenceProperties::new(schema).with_constraints(known.constraints().clone());
    still.add_equivalence_group(EquivalenceGroup::new(equal))?;
    still.add_orderings(known.oeq_class().iter().cloned());
    Ok(still)
}

impl DisplayAs for PaddedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for PaddedExec {
    fn name(&self) -> &str {
        "PaddedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Self::over(children.swap_remove(0))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}
