//! `ORDER BY ... LIMIT`: the first rows of an order, kept as a hidden table of more rows than are asked for.
//!
//! ```text
//! SELECT a, b FROM ... ORDER BY f(b) LIMIT 10
//!
//! the state  SELECT a AS v0, b AS v1, f(b) AS o0 FROM ... ORDER BY o0 LIMIT 1020
//! the query  SELECT v0, v1 FROM state ORDER BY f(v1) LIMIT 10
//! ```
//!
//! Rows beyond those that are kept need not be known while at least as many are left as are asked for: none of them comes
//! before the last that is. Only when the spare rows are used up are all rows looked at again.

use super::split::{State, hidden};
use crate::lake::TableName;
use arrow::compute::SortOptions;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{
    Expr, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, Projection, SkipType, Sort, SortExpr, ident,
};
use std::sync::Arc;

/// Of more rows than these the input is kept as well.
const ROWS_MAX: usize = 5_000;
/// So many rows are kept besides twice those asked for. Unit tests, whose tables are small, run out of them all the same.
const SPARE_ROWS: usize = if cfg!(test) { 1 } else { 1_000 };

/// How many of the first rows of an order a hidden table has, and by which of its columns they are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::refresh) struct Best {
    /// So many rows are asked for: fewer are kept only where there are no more.
    pub(in crate::refresh) least: usize,
    /// No more rows are kept than these.
    pub(in crate::refresh) most: usize,
    /// Places of columns, the first the most telling.
    pub(in crate::refresh) order: Vec<(usize, SortOptions)>,
}

/// What the rows of such a state are the first of.
pub(in crate::refresh) fn candidates(state: &LogicalPlan) -> Result<&LogicalPlan, DataFusionError> {
    match state {
        LogicalPlan::Limit(limit) => candidates(&limit.input),
        LogicalPlan::Sort(sort) => Ok(&sort.input),
        other => Err(DataFusionError::Plan(format!("{} has no first rows", other.display()))),
    }
}

/// The order that picks the first rows of a plan.
pub(super) fn order_of(plan: &LogicalPlan) -> Option<&Sort> {
    match plan {
        LogicalPlan::Sort(sort) => Some(sort).filter(|sort| sort.fetch.is_none()),
        LogicalPlan::Projection(projection) => order_of(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => order_of(&alias.input),
        _ => None,
    }
}

/// The plan with its order over other rows.
pub(super) fn ordering(plan: &LogicalPlan, rows: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let above = plan.clone().transform_down(|node| match node {
        LogicalPlan::Sort(sort) => {
            let sort = LogicalPlan::Sort(Sort { input: Arc::new(rows.clone()), ..sort });
            Ok(Transformed::new(sort, true, TreeNodeRecursion::Stop))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(above.data)
}

/// A state of the first rows, and what the order sees of it; `None` when too many are asked for, or when they cannot be
/// stored.
pub(super) fn best(
    limit: &Limit,
    sort: &Sort,
    name: TableName,
) -> Result<Option<(State, LogicalPlan)>, DataFusionError> {
    let (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) =
        (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Ok(None);
    };
    let least = skip.saturating_add(fetch);
    if !(1..=ROWS_MAX).contains(&least) {
        return Ok(None);
    }
    let input = sort.input.schema();
    let shown = input.columns().into_iter().enumerate();
    let mut columns: Vec<Expr> =
        shown.map(|(i, column)| Expr::Column(column).alias(format!("v{i}"))).collect();
    let width = columns.len();
    let (mut order, mut exprs) = (Vec::with_capacity(sort.expr.len()), Vec::with_capacity(sort.expr.len()));
    for (number, SortExpr { expr, asc, nulls_first }) in sort.expr.iter().enumerate() {
        let shown = match expr {
            Expr::Column(column) => input.maybe_index_of_column(column),
            _ => None,
        };
        let (place, name) = match shown {
            Some(place) => (place, format!("v{place}")),
            None => {
                columns.push(expr.clone().alias(format!("o{number}")));
                (columns.len() - 1, format!("o{number}"))
            }
        };
        order.push((place, SortOptions { descending: !asc, nulls_first: *nulls_first }));
        exprs.push(ident(name).sort(*asc, *nulls_first));
    }
    let most = 2 * least + SPARE_ROWS;
    let rows = Projection::try_new(columns, Arc::clone(&sort.input))?;
    let first = LogicalPlanBuilder::from(LogicalPlan::Projection(rows)).sort(exprs)?;
    let first = first.limit(0, Some(most))?.build()?;
    let seen = (0..width).map(|i| ident(format!("v{i}"))).collect();
    let Some((state, seen)) = hidden(first, name, seen, input)? else { return Ok(None) };
    Ok(Some((State { best: Some(Best { least, most, order }), ..state }, seen)))
}
