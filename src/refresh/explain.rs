//! How a definition would be refreshed, operator by operator, before anything of it exists: derived as if every input
//! had changed, over tables of which only the columns matter.

use super::Error;
use super::derive::{self, Ending, Refusal, Sources};
use super::incremental::{self, Way, all_changed, derive_for, not_by_definition};
use super::model::Outline;
use crate::catalog::cut::Cut;
use crate::engine::{Engine, logical_plan};
use crate::ops::opaque::Opaque;
use crate::sql::{Expectation, MaterializedViewDefinition, RefreshPolicy, ViolationAction};
use arrow::datatypes::SchemaRef;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;

/// Why a definition is never refreshed incrementally; `None` when it is. `schema` are its columns as planned.
pub async fn why_not(
    definition: &MaterializedViewDefinition,
    schema: &SchemaRef,
    depends_on_clock: bool,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Option<String>, Error> {
    let query = definition.query.ast.to_string();
    incremental::why_not(&outline(definition, &query, schema, depends_on_clock), engine, cut).await
}

/// The plan of a definition, a line an operator with how it is refreshed, then what follows from that.
pub async fn explain(
    definition: &MaterializedViewDefinition,
    schema: &SchemaRef,
    depends_on_clock: bool,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Vec<String>, Error> {
    let query = definition.query.ast.to_string();
    of_outline(&outline(definition, &query, schema, depends_on_clock), engine, cut).await
}

/// As [`explain`], for a definition of which only what decides is known.
pub(super) async fn of_outline(
    outline: &Outline<'_>,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Vec<String>, Error> {
    let schema = outline.schema;
    let state = engine.state_at(cut, cut.wave_time);
    let plan = logical_plan(&state, outline.query).await?;
    let (came, went) = (all_changed(cut, false), all_changed(cut, true));
    let when_rows_come = way(outline, &state, &plan, &came)?;
    let when_rows_go = way(outline, &state, &plan, &went)?;
    let ending = match (&when_rows_come, &when_rows_go) {
        (Ok(Way::Merge(_)), _) => Ending::Merged,
        (_, Ok(Way::OfKeys(_))) => Ending::Keyed,
        _ => Ending::Derived,
    };
    let normal = derive::normalise(&state, LogicalPlan::clone(&plan))?;
    let mut lines = match derive::explain(&normal, &went, ending) {
        Ok(lines) => lines,
        Err(Refusal::Engine(error)) => return Err(error.into()),
        Err(Refusal::NoRule(why)) => vec![why],
    };
    let key = match &when_rows_go {
        Ok(Way::OfKeys(keyed)) => {
            let names: Vec<&str> =
                keyed.columns.iter().map(|column| schema.field(*column).name().as_str()).collect();
            names.join(", ")
        }
        _ => "none that the result shows: rows are found by all their columns".to_string(),
    };
    lines.push(format!("Policy: {}", outline.policy.as_str().to_uppercase()));
    lines.push(format!("Key: {key}"));
    lines.extend(outline.expectations.iter().map(expectation));
    let why_not = not_by_definition(outline).or(when_rows_go.as_ref().err().cloned());
    lines.push(format!("Verdict: {}", verdict(outline.policy, ending, why_not)));
    Ok(lines)
}

fn outline<'a>(
    definition: &'a MaterializedViewDefinition,
    query: &'a str,
    schema: &'a SchemaRef,
    depends_on_clock: bool,
) -> Outline<'a> {
    let (expectations, policy) = (&definition.expectations, definition.refresh_policy);
    Outline { query, schema, expectations, policy, depends_on_clock }
}

type Found = Result<Way, String>;

fn way(
    outline: &Outline<'_>,
    state: &SessionState,
    plan: &LogicalPlan,
    sources: &Opaque<Sources>,
) -> Result<Found, Error> {
    match derive_for(outline, state, plan, sources) {
        Ok(way) => Ok(Ok(way)),
        Err(Refusal::NoRule(why)) => Ok(Err(why)),
        Err(Refusal::Engine(error)) => Err(error.into()),
    }
}

fn expectation(rule: &Expectation) -> String {
    let what = match rule.action {
        ViolationAction::Warn => "rows that break it are counted",
        ViolationAction::DropRow => {
            "rows that break it are dropped, so that stored rows alone are no sum to add to"
        }
        ViolationAction::QuarantineRow => "rows that break it are set apart",
    };
    format!("Expectation {} ({}): {what}", rule.name, rule.predicate)
}

/// What becomes of a definition, in one sentence. Pure.
fn verdict(policy: RefreshPolicy, ending: Ending, why_not: Option<String>) -> String {
    match (why_not, policy) {
        (Some(why), RefreshPolicy::IncrementalStrict) => format!("refused, it would be recomputed: {why}"),
        (Some(why), _) => format!("recomputed and compared with every refresh: {why}"),
        (None, policy) => {
            let how = match ending {
                Ending::Merged => {
                    "incremental: what comes is added to the stored rows, where rows go their keys are computed anew"
                }
                Ending::Keyed => {
                    "incremental: affected keys are computed anew and compared with the stored rows"
                }
                Ending::Derived => "incremental: the derived change is applied to the stored rows",
            };
            match policy {
                RefreshPolicy::Auto => format!("{how}; recomputed when too much has changed"),
                _ => how.to_string(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_decide_what_no_rule_means() {
        let none = || Some("LIMIT has no key".to_string());
        let said = |policy, why| verdict(policy, Ending::Derived, why);
        assert!(said(RefreshPolicy::IncrementalStrict, none()).starts_with("refused"));
        assert!(said(RefreshPolicy::Incremental, none()).starts_with("recomputed and compared"));
        assert!(said(RefreshPolicy::Auto, None).ends_with("recomputed when too much has changed"));
        assert!(!said(RefreshPolicy::Incremental, None).contains("recomputed"));
    }
}
