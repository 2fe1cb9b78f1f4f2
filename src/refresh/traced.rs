//! Where a streaming table's rows come from: the positions of the input's rows, carried beside the query.
//!
//! A plan is given four columns more, which hold the input's name, `_partition`, `_offset` and `_batch` of the row that
//! each of its rows comes from. They pass through what takes rows one by one: projections, filters, aliases, unions, and
//! joins and unnests of which one input row may give several. What makes one row of many (groups, DISTINCT, windows,
//! LIMIT), or a row of two streams, comes from no one row: such a plan is not traced. Pure.

use super::derive::name_of;
use crate::lake::TableName;
use crate::quality::Trace;
use arrow::array::RecordBatch;
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::{
    Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableScan,
    Union, lit,
};
use std::sync::Arc;

/// The columns of a source's table that say where a record was.
pub(super) const POSITION: [&str; 3] = ["_partition", "_offset", "_batch"];

/// The columns beside the query's own: the input's name, then [`POSITION`].
const BESIDE: [&str; 4] = ["__sluice_input", "__sluice_partition", "__sluice_offset", "__sluice_batch"];

/// A plan whose rows say which input row they come from.
#[derive(Debug)]
pub(super) struct Traced {
    /// The plan's own columns, then [`BESIDE`].
    pub(super) plan: LogicalPlan,
    /// One input row may give several rows.
    pub(super) fans_out: bool,
}

/// The plan with the positions of its input's rows beside its columns; `None` when its rows come from no one row.
/// `is_source` tells of the tables whose rows have positions, each its own.
pub(super) fn traced(
    plan: &LogicalPlan,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let Some(Traced { plan: carried, fans_out }) = carry(plan, is_source)? else { return Ok(None) };
    let own = plan.schema().iter().map(|(qualifier, field)| Expr::from((qualifier, field)));
    let columns = own.chain(beside(carried.schema())?).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(carried))?);
    Ok(Some(Traced { plan, fans_out }))
}

/// Parts a traced plan's batch: its own columns, and where its rows come from.
pub(super) fn parted(batch: &RecordBatch) -> Result<(RecordBatch, Option<Trace>), arrow::error::ArrowError> {
    let own = batch.num_columns().saturating_sub(BESIDE.len());
    let rows = batch.project(&(0..own).collect::<Vec<_>>())?;
    let trace = match &batch.columns()[own..] {
        [input, partition, offset, number] => Some(Trace {
            input: Arc::clone(input),
            partition: Arc::clone(partition),
            offset: Arc::clone(offset),
            batch: Arc::clone(number),
        }),
        _ => None,
    };
    Ok((rows, trace))
}

/// As [`traced`], with the columns beside in any place.
fn carry(
    plan: &LogicalPlan,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let one = |input: &LogicalPlan| carry(input, is_source);
    let made = match plan {
        LogicalPlan::TableScan(scan) => return positions(plan, scan, is_source),
        LogicalPlan::Projection(projection) => {
            let Some(Traced { plan, fans_out }) = one(&projection.input)? else { return Ok(None) };
            let columns = projection.expr.iter().cloned().chain(beside(plan.schema())?).collect();
            let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?);
            Traced { plan, fans_out }
        }
        LogicalPlan::Filter(filter) => {
            let Some(Traced { plan, fans_out }) = one(&filter.input)? else { return Ok(None) };
            let plan = Filter::try_new(filter.predicate.clone(), Arc::new(plan))?;
            Traced { plan: LogicalPlan::Filter(plan), fans_out }
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(Traced { plan, fans_out }) = one(&alias.input)? else { return Ok(None) };
            let plan = SubqueryAlias::try_new(Arc::new(plan), alias.alias.clone())?;
            Traced { plan: LogicalPlan::SubqueryAlias(plan), fans_out }
        }
        LogicalPlan::Union(union) => return branches(union, is_source),
        LogicalPlan::Unnest(unnest) => {
            let Some(Traced { plan, .. }) = one(&unnest.input)? else { return Ok(None) };
            let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
            let plan = LogicalPlanBuilder::from(plan).unnest_columns_with_options(columns, options)?;
            Traced { plan: plan.build()?, fans_out: true }
        }
        LogicalPlan::Join(join) => return joined(join, is_source),
        _ => return Ok(None),
    };
    Ok(Some(made))
}

/// A source's scan with its positions under the names that they keep.
fn positions(
    plan: &LogicalPlan,
    scan: &TableScan,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let name = name_of(&scan.table_name);
    let schema = plan.schema();
    if !is_source(&name) || !POSITION.iter().all(|column| schema.has_column_with_unqualified_name(column)) {
        return Ok(None);
    }
    let own = schema.iter().map(|(qualifier, field)| Expr::from((qualifier, field)));
    let position = POSITION.iter().zip(&BESIDE[1..]).map(|(column, beside)| {
        Expr::Column(Column::new(Some(scan.table_name.clone()), *column)).alias(*beside)
    });
    let columns = own.chain([lit(name.to_string()).alias(BESIDE[0])]).chain(position).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan.clone()))?);
    Ok(Some(Traced { plan, fans_out: false }))
}

/// All branches, each with the columns beside in the same places.
fn branches(
    union: &Union,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let (mut inputs, mut fans_out) = (Vec::with_capacity(union.inputs.len()), false);
    for input in &union.inputs {
        let Some(branch) = traced(input, is_source)? else { return Ok(None) };
        fans_out |= branch.fans_out;
        inputs.push(Arc::new(branch.plan));
    }
    Ok(Some(Traced { plan: LogicalPlan::Union(Union::try_new(inputs)?), fans_out }))
}

/// A join of a stream with what is looked up for it.
fn joined(join: &Join, is_source: &dyn Fn(&TableName) -> bool) -> Result<Option<Traced>, DataFusionError> {
    let (left, right) = (carry(&join.left, is_source)?, carry(&join.right, is_source)?);
    let keeps = |side: JoinType, semi: JoinType, anti: JoinType| {
        [JoinType::Inner, side, semi, anti].contains(&join.join_type)
    };
    let (left, right, fans_out) = match (left, right) {
        (Some(left), None) if keeps(JoinType::Left, JoinType::LeftSemi, JoinType::LeftAnti) => {
            (Arc::new(left.plan), Arc::clone(&join.right), left.fans_out)
        }
        (None, Some(right)) if keeps(JoinType::Right, JoinType::RightSemi, JoinType::RightAnti) => {
            (Arc::clone(&join.left), Arc::new(right.plan), right.fans_out)
        }
        _ => return Ok(None),
    };
    let multiplies = matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Right);
    let made = Join::try_new(
        left,
        right,
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(Some(Traced { plan: LogicalPlan::Join(made), fans_out: fans_out || multiplies }))
}

/// The columns beside, wherever a schema has them.
fn beside(schema: &DFSchema) -> Result<Vec<Expr>, DataFusionError> {
    let column = |name: &&str| {
        let (qualifier, field) = schema.qualified_field_with_unqualified_name(name)?;
        Ok(Expr::from((qualifier, field)))
    };
    BESIDE.iter().map(column).collect()
}
