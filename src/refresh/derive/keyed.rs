//! Queries whose result has a key: the keys that a change affects are computed anew, and only they are compared with
//! what stands.

use super::top::top;
use super::{Derived, Refusal, Sources, change, distinct, group_keys, key_rows, partition_keys, restrict};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The name of the affected keys among a plan's tables.
pub(in crate::refresh) const KEYS: &str = "__keys";

/// A query that ends in groups or partitions, with projections and filters above them at most.
pub(in crate::refresh) struct Keyed {
    plan: LogicalPlan,
    keys: Vec<Expr>,
    /// Where the key's columns stand in the result.
    pub(in crate::refresh) columns: Vec<usize>,
    /// The affected keys, each once, as columns `k0`, `k1`...; `None` when nothing has changed.
    pub(in crate::refresh) affected: Option<LogicalPlan>,
}

impl Keyed {
    /// The query's rows for these keys: `affected` stands for the plan of the same name, already run.
    pub(in crate::refresh) fn rows(&self, affected: &LogicalPlan) -> Derived<LogicalPlan> {
        Ok(self.rebuild(&self.plan, affected)?)
    }

    fn rebuild(&self, plan: &LogicalPlan, affected: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let [input] = plan.inputs()[..] else {
            return Err(DataFusionError::Plan("a keyed query has one input at each step".to_string()));
        };
        let input = match plan {
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => {
                match restrict(input.clone(), &self.keys, affected.clone()) {
                    Ok(restricted) => restricted,
                    Err(Refusal::Engine(error)) => return Err(error),
                    Err(Refusal::NoRule(why)) => return Err(DataFusionError::Plan(why)),
                }
            }
            _ => self.rebuild(input, affected)?,
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
    let affected = match change(input, sources)? {
        Some(changed) => Some(distinct(key_rows(changed, &keys)?)?),
        None => None,
    };
    Ok(Some(Keyed { plan: plan.clone(), keys, columns, affected }))
}
