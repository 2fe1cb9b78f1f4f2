//! A watermark as an input: the rows of windows that it has passed since.
//!
//! ```text
//! SELECT ... FROM I WHERE window_end <= (the watermark)       which has moved from w0 to w1
//! Δ = F_w1(ΔI)  ∪  the rows of I_old whose window_end > w0 AND window_end <= w1
//! ```
//!
//! As a join with the one row that the watermark is, all windows that were ever closed would come and go at each step.
//! Between two constants files are pruned by both.

use super::clock::passed;
use super::{Derived, Sources, before, change, name_of, union_of, weight};
use crate::lake::TableName;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, JoinType, LogicalPlan, Projection, lit};
use std::sync::Arc;

/// Where a watermark was and is, in microseconds since 1970; `None` before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::refresh) struct Moved {
    pub(in crate::refresh) from: Option<i64>,
    pub(in crate::refresh) to: Option<i64>,
}

/// The change of a projection of what a watermark that has moved lets through; `None` where it is no such thing.
pub(super) fn passing(projection: &Projection, sources: &Sources) -> Derived<Option<LogicalPlan>> {
    let Some(Closing { windows, mark, conditions, moved }) = Closing::of(&projection.input, sources) else {
        return Ok(None);
    };
    let shows = |expr: &Expr| expr.column_refs().into_iter().any(|column| mark.has_column(column));
    if projection.expr.iter().any(shows) {
        return Ok(None);
    }
    let at = |value: Option<i64>| -> Result<Vec<Expr>, DataFusionError> {
        conditions.iter().map(|condition| with_mark(condition.clone(), mark, value)).collect()
    };
    let (then, now) = (at(moved.from)?, at(moved.to)?);
    let mut parts = Vec::new();
    if let Some(input) = change(windows, sources)? {
        let condition = conjunction(now.clone()).unwrap_or(lit(true));
        parts.push(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(input))?));
    }
    let input = Arc::new(before(windows, sources)?);
    parts.push(passed(&input, &now, &then, 1)?);
    // It may have been taken back.
    if moved.to < moved.from {
        parts.push(passed(&input, &then, &now, -1)?);
    }
    let mut exprs = projection.expr.clone();
    exprs.push(weight());
    Ok(Some(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(union_of(parts)?))?)))
}

/// Rows that are shown by conditions with a watermark, which is joined to them on nothing else.
struct Closing<'a> {
    windows: &'a LogicalPlan,
    mark: &'a DFSchema,
    conditions: Vec<Expr>,
    moved: Moved,
}

impl<'a> Closing<'a> {
    fn of(plan: &'a LogicalPlan, sources: &Sources) -> Option<Self> {
        match plan {
            LogicalPlan::Filter(filter) => {
                let mut closing = Self::of(&filter.input, sources)?;
                closing.conditions.extend(split_conjunction_owned(filter.predicate.clone()));
                Some(closing)
            }
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner && join.on.is_empty() => {
                Some(Self {
                    windows: &join.left,
                    mark: join.right.schema(),
                    conditions: join.filter.clone().into_iter().flat_map(split_conjunction_owned).collect(),
                    moved: *sources.watermarks.get(&table(&join.right)?)?,
                })
            }
            _ => None,
        }
    }
}

/// The table whose rows a plan shows.
fn table(plan: &LogicalPlan) -> Option<TableName> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => table(&alias.input),
        LogicalPlan::TableScan(scan) => Some(name_of(&scan.table_name)),
        _ => None,
    }
}

/// A condition with the watermark, the one column of `side`, as a constant.
fn with_mark(condition: Expr, side: &DFSchema, mark: Option<i64>) -> Result<Expr, DataFusionError> {
    let fixed = condition.transform_up(|expr| {
        let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
        let Some(place) = side.maybe_index_of_column(column) else { return Ok(Transformed::no(expr)) };
        let value = ScalarValue::TimestampMicrosecond(mark, Some("UTC".into()));
        let value = value.cast_to(side.field(place).data_type())?;
        Ok(Transformed::yes(Expr::Literal(value, None)))
    })?;
    Ok(fixed.data)
}
