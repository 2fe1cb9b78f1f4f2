//! Queries whose result has a key: the keys that a change affects are computed anew, and only they are compared with
//! what stands. Where windows stand on windows that one key divides, only the innermost one's input is narrowed down to
//! the affected keys: all above it follows.

use super::clock::asks_above;
use super::top::top;
use super::{Derived, Refusal, Sources, change, distinct, group_keys, key_rows, partition_keys, restrict};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The name of the affected keys among a plan's tables.
pub(in crate::refresh) const KEYS: &str = "__keys";

/// A query that ends in groups or partitions, with projections and filters above them at most.
pub(in crate::refresh) struct Keyed {
    plan: LogicalPlan,
    /// The key as the input of the innermost operator that it divides tells it.
    keys: Vec<Expr>,
    /// How many such operators stand above that one.
    above: usize,
    /// Where the key's columns stand in the result.
    pub(in crate::refresh) columns: Vec<usize>,
    /// The affected keys, each once, as columns `k0`, `k1`...; `None` when nothing has changed.
    pub(in crate::refresh) affected: Option<LogicalPlan>,
}

impl Keyed {
    /// The query's rows for these keys: `affected` stands for the plan of the same name, already run.
    pub(in crate::refresh) fn rows(&self, affected: &LogicalPlan) -> Derived<LogicalPlan> {
        Ok(self.rebuild(&self.plan, self.above, affected)?)
    }

    /// The same query by some of its key's columns: all rows that agree in them.
    pub(in crate::refresh) fn within(&self, places: &[usize]) -> Self {
        let keys = places.iter().filter_map(|at| self.keys.get(*at).cloned()).collect();
        let columns = places.iter().filter_map(|at| self.columns.get(*at).copied()).collect();
        Self { plan: self.plan.clone(), keys, above: self.above, columns, affected: None }
    }

    fn rebuild(
        &self,
        plan: &LogicalPlan,
        above: usize,
        affected: &LogicalPlan,
    ) -> Result<LogicalPlan, DataFusionError> {
        let [input] = plan.inputs()[..] else {
            return Err(DataFusionError::Plan("a keyed query has one input at each step".to_string()));
        };
        let input = match plan {
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) if above == 0 => {
                match restrict(input.clone(), &self.keys, affected.clone()) {
                    Ok(restricted) => restricted,
                    Err(Refusal::Engine(error)) => return Err(error),
                    Err(Refusal::NoRule(why)) => return Err(DataFusionError::Plan(why)),
                }
            }
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => self.rebuild(input, above - 1, affected)?,
            _ => self.rebuild(input, above, affected)?,
        };
        plan.with_new_exprs(plan.expressions(), vec![input])
    }
}

/// The query as one with a key; `None` when it has none that its result shows.
pub(in crate::refresh) fn keyed(plan: &LogicalPlan, sources: &Sources) -> Derived<Option<Keyed>> {
    let Some(top) = top(plan) else { return Ok(None) };
    let (input, keys, at) = match top.node {
        LogicalPlan::Aggregate(aggregate) => {
            let Ok(keys) = group_keys(aggregate) else { return Ok(None) };
            let at = (0..keys.len()).map(Some).collect::<Vec<_>>();
            (&aggregate.input, keys, at)
        }
        LogicalPlan::Window(window) => {
            let Ok(keys) = partition_keys(window) else { return Ok(None) };
            let place = |key: &Expr| match key {
                Expr::Column(column) => window.input.schema().maybe_index_of_column(column),
                _ => None,
            };
            let at = keys.iter().map(place).collect();
            (&window.input, keys, at)
        }
        _ => return Ok(None),
    };
    let shown = at.into_iter().collect::<Option<Vec<usize>>>().and_then(|at| top.shown(at));
    let Some(columns) = shown else { return Ok(None) };
    let (input, keys, above) = innermost(input, keys);
    if asks_above(plan, input, sources) {
        return Ok(None);
    }
    let affected = match change(input, sources)? {
        Some(changed) => Some(distinct(key_rows(changed, &keys)?)?),
        None => None,
    };
    Ok(Some(Keyed { plan: plan.clone(), keys, above, columns, affected }))
}

/// Goes down through windows that these keys divide too: their rows of a key follow from their input's rows of it, so
/// that nothing but the input needs to be looked at. Gives the lowest input, its keys, and how many windows are above.
fn innermost(input: &LogicalPlan, keys: Vec<Expr>) -> (&LogicalPlan, Vec<Expr>, usize) {
    let (mut lowest, mut node, mut at, mut passed) = ((input, keys.clone(), 0), input, keys, 0);
    loop {
        let below = match node {
            LogicalPlan::Projection(projection) => {
                let shown = |key: &Expr| match key {
                    Expr::Column(column) => {
                        let place = projection.schema.maybe_index_of_column(column)?;
                        Some(projection.expr.get(place)?.clone().unalias_nested().data)
                    }
                    _ => None,
                };
                at.iter().map(shown).collect::<Option<Vec<Expr>>>().map(|keys| (&projection.input, keys))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let inside = |key: &Expr| match key {
                    Expr::Column(column) => {
                        let place = alias.schema.maybe_index_of_column(column)?;
                        Some(Expr::Column(alias.input.schema().columns().get(place)?.clone()))
                    }
                    _ => None,
                };
                at.iter().map(inside).collect::<Option<Vec<Expr>>>().map(|keys| (&alias.input, keys))
            }
            LogicalPlan::Filter(filter) => Some((&filter.input, at.clone())),
            LogicalPlan::Window(window) => {
                let divides =
                    partition_keys(window).is_ok_and(|divided| at.iter().all(|key| divided.contains(key)));
                if divides {
                    passed += 1;
                    lowest = (&window.input, at.clone(), passed);
                }
                divides.then(|| (&window.input, at.clone()))
            }
            _ => None,
        };
        match below {
            Some((input, keys)) => (node, at) = (input, keys),
            None => return lowest,
        }
    }
}
