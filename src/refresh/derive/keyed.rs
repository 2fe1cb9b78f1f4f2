//! Queries whose result has a key: the keys that a change affects are computed anew, and only they are compared with
//! what stands.

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
    // Where each column of the result stands at the operator that has been reached.
    let mut places: Vec<Option<usize>> = (0..plan.schema().fields().len()).map(Some).collect();
    let mut node = plan;
    loop {
        match node {
            LogicalPlan::Projection(projection) => {
                let input = projection.input.schema();
                let below: Vec<Option<usize>> = projection
                    .expr
                    .iter()
                    .map(|expr| match expr.clone().unalias() {
                        Expr::Column(column) => input.maybe_index_of_column(&column),
                        _ => None,
                    })
                    .collect();
                for place in &mut places {
                    *place = place.and_then(|place| below.get(place).copied().flatten());
                }
                node = &projection.input;
            }
            LogicalPlan::SubqueryAlias(alias) => node = &alias.input,
            LogicalPlan::Filter(filter) => node = &filter.input,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => node = &sort.input,
            LogicalPlan::Aggregate(aggregate) => {
                let keys = match group_keys(aggregate) {
                    Ok(keys) => keys.to_vec(),
                    Err(Refusal::NoRule(_)) => return Ok(None),
                    Err(error) => return Err(error),
                };
                let at: Vec<Option<usize>> = (0..keys.len()).map(Some).collect();
                return finish(plan, &aggregate.input, keys, &at, &places, sources);
            }
            LogicalPlan::Window(window) => {
                let keys = match partition_keys(window) {
                    Ok(keys) => keys,
                    Err(Refusal::NoRule(_)) => return Ok(None),
                    Err(error) => return Err(error),
                };
                let input = window.input.schema();
                let at: Vec<Option<usize>> = keys
                    .iter()
                    .map(|key| match key {
                        Expr::Column(column) => input.maybe_index_of_column(column),
                        _ => None,
                    })
                    .collect();
                return finish(plan, &window.input, keys, &at, &places, sources);
            }
            _ => return Ok(None),
        }
    }
}

fn finish(
    plan: &LogicalPlan,
    input: &LogicalPlan,
    keys: Vec<Expr>,
    at: &[Option<usize>],
    places: &[Option<usize>],
    sources: &Sources,
) -> Derived<Option<Keyed>> {
    let shown = at.iter().map(|at| at.and_then(|at| places.iter().position(|place| *place == Some(at))));
    let Some(columns) = shown.collect::<Option<Vec<usize>>>() else { return Ok(None) };
    let affected = match change(input, sources)? {
        Some(changed) => Some(distinct(key_rows(changed, &keys)?)?),
        None => None,
    };
    Ok(Some(Keyed { plan: plan.clone(), keys, columns, affected }))
}
