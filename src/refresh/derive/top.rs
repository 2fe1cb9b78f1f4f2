//! The end of a query: the groups or partitions that its result is made of, and where their columns stand in it.

use datafusion::logical_expr::{Expr, LogicalPlan};

/// The operator that a query ends in, with nothing but projections, filters, aliases and orders above it.
pub(super) struct Top<'a> {
    /// An aggregate or a window.
    pub(super) node: &'a LogicalPlan,
    /// For each column of the result, its place among the operator's; `None` when it is computed from several.
    pub(super) places: Vec<Option<usize>>,
    /// Some of the operator's rows are filtered out.
    pub(super) is_filtered: bool,
}

impl Top<'_> {
    /// Where the operator's columns stand in the result; `None` when one does not show.
    pub(super) fn shown(&self, columns: impl IntoIterator<Item = usize>) -> Option<Vec<usize>> {
        let shown = |column| self.places.iter().position(|place| *place == Some(column));
        columns.into_iter().map(shown).collect()
    }
}

/// The end of a query; `None` when it ends otherwise.
pub(super) fn top(plan: &LogicalPlan) -> Option<Top<'_>> {
    let mut places: Vec<Option<usize>> = (0..plan.schema().fields().len()).map(Some).collect();
    let (mut node, mut is_filtered) = (plan, false);
    loop {
        node = match node {
            LogicalPlan::Projection(projection) => {
                let input = projection.input.schema();
                let below = |place: usize| match projection.expr.get(place)?.clone().unalias_nested().data {
                    Expr::Column(column) => input.maybe_index_of_column(&column),
                    _ => None,
                };
                for place in &mut places {
                    *place = place.and_then(below);
                }
                &projection.input
            }
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Filter(filter) => {
                is_filtered = true;
                &filter.input
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => {
                return Some(Top { node, places, is_filtered });
            }
            _ => return None,
        };
    }
}
