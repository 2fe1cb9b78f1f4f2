//! The first rows of each key: `row_number()` (or `rank`, `dense_rank`) within a partition, at most a bound.
//!
//! While rows only come, the first rows are among those that stand and those that came: nothing else is looked at. The
//! stored rows must show what they are divided and ordered by.

use super::clock::asks_above;
use super::merge::{only_comes, uncast};
use super::top::top;
use super::{Derived, Sources, WEIGHT, change, distinct, key_rows, partition_keys, restrict, union_of};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Operator, Projection, TableSource, Window, cast, ident, lit,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A query for the first rows of each key.
pub(in crate::refresh) struct First {
    plan: LogicalPlan,
    window: Window,
    /// The rows that came to the window.
    pub(in crate::refresh) came: LogicalPlan,
    keys: Vec<Expr>,
    /// Where the key's columns stand in the result.
    pub(in crate::refresh) columns: Vec<usize>,
    /// For each column of the window's input, where it stands in the result.
    shown: Vec<Option<usize>>,
}

impl First {
    /// The types of the result's places that stored rows are read back from.
    pub(in crate::refresh) fn types(&self) -> impl Iterator<Item = (usize, &DataType)> {
        let fields = self.window.input.schema().fields();
        self.shown.iter().zip(fields).filter_map(|(place, field)| Some(((*place)?, field.data_type())))
    }

    /// The keys of the rows that came, each once, as columns `k0`, `k1`...: `came` is what [`First::came`] gave, under
    /// its names.
    pub(in crate::refresh) fn affected(&self, came: LogicalPlan) -> Derived<LogicalPlan> {
        distinct(key_rows(came, &self.keys)?)
    }

    /// The query's rows of these keys, from the rows that came and those that stand.
    pub(in crate::refresh) fn rows(
        &self,
        came: LogicalPlan,
        affected: LogicalPlan,
        stored: Arc<dyn TableSource>,
    ) -> Derived<LogicalPlan> {
        let names: Vec<String> = stored.schema().fields().iter().map(|field| field.name().clone()).collect();
        let scan = LogicalPlanBuilder::scan("__stored", stored, None)?.build()?;
        let columns = self.shown.iter().zip(self.window.input.schema().iter());
        let columns = columns.map(|(place, (qualifier, field))| {
            let value = match place {
                Some(place) => ident(&names[*place]),
                // Not read by anything above.
                None => lit(ScalarValue::Null),
            };
            cast(value, field.data_type().clone()).alias_qualified(qualifier.cloned(), field.name().clone())
        });
        let stood = LogicalPlan::Projection(Projection::try_new(columns.collect(), Arc::new(scan))?);
        let candidates = union_of(vec![came, restrict(stood, &self.keys, affected)?])?;
        Ok(over(&self.plan, candidates)?)
    }
}

/// The plan with other rows under its window.
fn over(plan: &LogicalPlan, rows: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let [input] = plan.inputs()[..] else {
        return Err(DataFusionError::Plan("a query for first rows has one input at each step".to_string()));
    };
    let input = if matches!(plan, LogicalPlan::Window(_)) { rows } else { over(input, rows)? };
    plan.with_new_exprs(plan.expressions(), vec![input])
}

/// The query as one for first rows; `None` when it is none, when rows went, or when the stored rows do not tell enough.
pub(in crate::refresh) fn first(plan: &LogicalPlan, sources: &Sources) -> Derived<Option<First>> {
    let Some(top) = top(plan) else { return Ok(None) };
    let LogicalPlan::Window(window) = top.node else { return Ok(None) };
    let Ok(keys) = partition_keys(window) else { return Ok(None) };
    if !numbers_rows(window)
        || !only_comes(&window.input, sources)
        || asks_above(plan, &window.input, sources)
    {
        return Ok(None);
    }
    let input = window.input.schema();
    let width = input.fields().len();
    let place_of = |column| top.places.iter().position(|place| *place == Some(column));
    let shown: Vec<Option<usize>> = (0..width).map(place_of).collect();
    let all = (0..plan.schema().fields().len()).collect();
    let Some(mut needed) = needed(plan, all, width) else { return Ok(None) };
    let read = window.window_expr.iter().flat_map(Expr::column_refs);
    needed.extend(read.filter_map(|column| input.maybe_index_of_column(column)));
    if needed.iter().any(|column| *column < width && shown[*column].is_none()) {
        return Ok(None);
    }
    let key_places = keys.iter().map(|key| match key {
        Expr::Column(column) => shown[input.maybe_index_of_column(column)?],
        _ => None,
    });
    let Some(columns) = key_places.collect::<Option<Vec<usize>>>() else { return Ok(None) };
    let Some(change) = change(&window.input, sources)? else { return Ok(None) };
    // All weigh one.
    let rows = change.schema().columns().into_iter().filter(|column| column.name != WEIGHT);
    let came = Projection::try_new(rows.map(Expr::Column).collect(), Arc::new(change))?;
    let (plan, window, came) = (plan.clone(), window.clone(), LogicalPlan::Projection(came));
    Ok(Some(First { plan, window, came, keys, columns, shown }))
}

fn numbers_rows(window: &Window) -> bool {
    let [expr] = window.window_expr.as_slice() else { return false };
    let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else { return false };
    let WindowFunction { fun, params } = *function;
    let is_named = |name| fun.name() == name;
    params.filter.is_none() && ["row_number", "rank", "dense_rank"].into_iter().any(is_named)
}

/// The columns of the window that these columns of the plan are made of; `None` when rows are picked by anything but
/// their number, or not picked at all.
fn needed(plan: &LogicalPlan, columns: BTreeSet<usize>, number: usize) -> Option<BTreeSet<usize>> {
    let mut is_bounded = false;
    let (mut node, mut columns) = (plan, columns);
    loop {
        node = match node {
            LogicalPlan::Projection(projection) => {
                let input = projection.input.schema();
                let read = columns.iter().filter_map(|place| projection.expr.get(*place));
                let read = read.flat_map(Expr::column_refs).collect::<Vec<_>>();
                columns = read.into_iter().filter_map(|column| input.maybe_index_of_column(column)).collect();
                &projection.input
            }
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            LogicalPlan::Filter(filter) => {
                let column = bounded(&filter.predicate)?;
                if origin(&filter.input, &column)? != number {
                    return None;
                }
                is_bounded = true;
                &filter.input
            }
            LogicalPlan::Window(_) => return is_bounded.then_some(columns),
            _ => return None,
        };
    }
}

/// The column of which a predicate wants the first values: `n = 1`, `n <= 3`, `n < 4`.
fn bounded(predicate: &Expr) -> Option<Column> {
    let Expr::BinaryExpr(binary) = predicate else { return None };
    let (left, op, right) = match uncast(&binary.left) {
        Expr::Literal(..) => (&binary.right, binary.op.swap()?, &binary.left),
        _ => (&binary.left, binary.op, &binary.right),
    };
    let (Expr::Column(column), Expr::Literal(value, _)) = (uncast(left), uncast(right)) else { return None };
    let bound = match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(Some(bound))) => bound,
        _ => return None,
    };
    let wants_first = match op {
        Operator::Eq => bound == 1,
        Operator::Lt | Operator::LtEq => true,
        _ => false,
    };
    wants_first.then(|| column.clone())
}

/// The window's column that a column of a plan above it is.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<usize> {
    let place = plan.schema().maybe_index_of_column(column)?;
    let below = |input: &LogicalPlan| Column::from(input.schema().qualified_field(place));
    match plan {
        LogicalPlan::Window(_) => Some(place),
        LogicalPlan::Projection(projection) => match projection.expr[place].clone().unalias_nested().data {
            Expr::Column(column) => origin(&projection.input, &column),
            _ => None,
        },
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, &below(&alias.input)),
        LogicalPlan::Filter(filter) => origin(&filter.input, column),
        LogicalPlan::Sort(sort) => origin(&sort.input, column),
        _ => None,
    }
}
