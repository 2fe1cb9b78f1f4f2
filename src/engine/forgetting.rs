//! What DataFusion 55 claims to know of an operator's rows and what does not hold above it is forgotten there.
//!
//! Constant or equal columns need not be so in padded rows: it keeps the constants of both sides of an outer join (`k` after
//! `WHERE k = 5`, a count that statistics tell), and columns that are equal below grouping sets, which set each to NULL on its
//! own. What sorts or groups by such columns above leaves them out: rows come in a wrong order, windows and groups are cut
//! wrongly. Nor does an input of a union tell of them: each is sorted by those columns that are left in it, and the union then
//! knows of no order that all have.
//!
//! Groups are unique by their keys, which it knows by their places; a projection puts other columns there, and they are taken
//! for unique: what sorts by one of them leaves out the columns behind it.

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
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateOutputMode};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, PlanProperties,
    SendableRecordBatchStream, Statistics,
};
use std::fmt;
use std::sync::Arc;

/// Hides what does not hold above an operator. Has to come before sorts and partitions are decided.
#[derive(Debug)]
pub(super) struct Forgetting;

impl PhysicalOptimizerRule for Forgetting {
    fn name(&self) -> &str {
        "forgetting"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        hidden(plan, forgotten)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan, where above inputs no more is known than this says.
fn hidden(
    plan: Arc<dyn ExecutionPlan>,
    forgotten: impl Fn(&dyn ExecutionPlan, usize, &Arc<dyn ExecutionPlan>) -> Option<Forgotten>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let hidden = plan.transform_up(|node| {
        let inputs = node.children().into_iter().cloned().enumerate();
        let mut is_hidden = false;
        let inputs = inputs.map(|(place, input)| match forgotten(node.as_ref(), place, &input) {
            Some(forgotten) => {
                is_hidden = true;
                ForgettingExec::over(input, forgotten)
            }
            None => Ok(input),
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        if !is_hidden {
            return Ok(Transformed::no(node));
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Transformed::yes(node.replace_children(inputs, options)?))
    })?;
    Ok(hidden.data)
}

/// The plan, where nothing is known of an inner join's right input that the join itself does not know: what DataFusion 55
/// tells of constants there it drops on the way up.
pub(super) fn without_lost_constants(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    hidden(plan, |node, place, input| {
        let is_lost = place == 1 && join_type(node) == Some(JoinType::Inner);
        (is_lost && !input.equivalence_properties().constants().is_empty()).then_some(Forgotten::Values)
    })
}

/// What of an input does not hold above it.
#[derive(Clone, Copy, Debug)]
enum Forgotten {
    /// What columns are, but for those that are equal: all are NULL where nothing of this side of a join matches.
    Values,
    /// Which are equal, too: some are NULL, those that a grouping set lacks; or, in a union, other inputs' rows stand beside.
    Equalities,
    /// Which are unique.
    Uniqueness,
}

/// True for an aggregate over grouping sets. Each set goes through the rows of a batch anew: an order of the input, which a
/// sort that is made later may give it, ends with the first set, and a group that goes on in the next batch would be
/// begun once more. It is therefore kept from every order.
fn has_sets(node: &dyn ExecutionPlan) -> bool {
    node.downcast_ref::<AggregateExec>().is_some_and(|aggregate| !aggregate.group_expr().is_single())
}

/// What of an operator's input does not hold in its rows.
fn forgotten(node: &dyn ExecutionPlan, place: usize, input: &Arc<dyn ExecutionPlan>) -> Option<Forgotten> {
    let is_told = !input.equivalence_properties().eq_group().is_empty();
    if has_sets(node) || node.is::<UnionExec>() && is_told {
        return Some(Forgotten::Equalities);
    }
    if is_padded(node, place) && is_told {
        return Some(Forgotten::Values);
    }
    is_grouped(input.as_ref()).then_some(Forgotten::Uniqueness)
}

/// True for whole groups; parts of them go to an aggregate and nowhere else.
fn is_grouped(input: &dyn ExecutionPlan) -> bool {
    input.downcast_ref::<AggregateExec>().is_some_and(|aggregate| {
        aggregate.mode().output_mode() == AggregateOutputMode::Final && !aggregate.group_expr().is_empty()
    })
}

/// True where an input's columns are NULL in the rows that a join makes without it.
fn is_padded(node: &dyn ExecutionPlan, place: usize) -> bool {
    match join_type(node) {
        Some(JoinType::Left) => place == 1,
        Some(JoinType::Right) => place == 0,
        Some(JoinType::Full) => true,
        _ => false,
    }
}

fn join_type(node: &dyn ExecutionPlan) -> Option<JoinType> {
    let hash = node.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let merge = node.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::join_type);
    let nested = node.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    hash.or(merge).or(nested)
}

/// The rows of its input, of which is known what holds above.
#[derive(Clone, Debug)]
struct ForgettingExec {
    input: Arc<dyn ExecutionPlan>,
    forgotten: Forgotten,
    properties: Arc<PlanProperties>,
}

impl ForgettingExec {
    fn over(input: Arc<dyn ExecutionPlan>, forgotten: Forgotten) -> Result<Arc<dyn ExecutionPlan>> {
        let known = still_known(input.equivalence_properties(), forgotten, input.schema())?;
        let properties = PlanProperties::clone(input.properties()).with_eq_properties(known);
        Ok(Arc::new(Self { input, forgotten, properties: Arc::new(properties) }))
    }
}

/// Of values, columns that are equal, if they are NULL together; what is computed of NULL need not be. Of no order: one that is
/// asked for above would be made below, where what is constant is left out of it.
fn still_known(
    known: &EquivalenceProperties,
    forgotten: Forgotten,
    schema: SchemaRef,
) -> Result<EquivalenceProperties> {
    let mut still = EquivalenceProperties::new(schema);
    let is_column = |expr: &&Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_some();
    match forgotten {
        Forgotten::Uniqueness => still.add_equivalence_group(known.eq_group().clone())?,
        Forgotten::Equalities => {}
        Forgotten::Values => {
            let classes = known.eq_group().iter();
            let equal = classes.map(|class| EquivalenceClass::new(class.iter().filter(is_column).cloned()));
            still.add_equivalence_group(EquivalenceGroup::new(equal))?;
        }
    }
    Ok(still)
}

impl DisplayAs for ForgettingExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for ForgettingExec {
    fn name(&self) -> &str {
        "ForgettingExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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
        Self::over(children.swap_remove(0), self.forgotten)
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
