//! How a definition would be refreshed, operator by operator, before anything of it exists: derived as if every input
//! had changed, over tables of which only the columns matter.

use super::Error;
use super::derive::{self, Best, Ending, Sources, State, ruled};
use super::incremental::{self, all_changed, chain_of, not_by_definition};
use super::model::Outline;
use super::partitions::within_key;
use super::ways::{Way, derive_for, derive_for_state, drops_rows};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::sql::{Expectation, MaterializedViewDefinition, RefreshPolicy, ViolationAction, undetermined};
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;

/// Why a definition is never refreshed incrementally; `None` when it is. `schema` are its columns as planned.
pub async fn why_not(
    definition: &MaterializedViewDefinition,
    schema: &SchemaRef,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Option<String>, Error> {
    let query = definition.query.ast.to_string();
    incremental::why_not(&outline(definition, &query, schema), engine, cut).await
}

/// The plan of a definition, a line an operator with how it is refreshed, then what follows from that, and where its query
/// has more than one answer.
pub async fn explain(
    definition: &MaterializedViewDefinition,
    schema: &SchemaRef,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Vec<String>, Error> {
    let query = definition.query.ast.to_string();
    let mut lines = of_outline(&outline(definition, &query, schema), engine, cut).await?;
    let notes = undetermined(&definition.query.ast).into_iter();
    lines.extend(notes.map(|part| format!("Note: {}", part.message())));
    Ok(lines)
}

/// As [`explain`], for a definition of which only what decides is known.
pub(super) async fn of_outline(
    outline: &Outline<'_>,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Vec<String>, Error> {
    let state = engine.state_at(cut, cut.wave_time);
    let chain = match chain_of(outline, &state, cut).await? {
        Ok(chain) => chain,
        Err(why) => {
            return Ok(vec![format!("Verdict: {}", verdict(outline.policy, Ending::Derived, Some(why)))]);
        }
    };
    let (came, went) = (all_changed(cut, &chain, false), all_changed(cut, &chain, true));
    let mut lines = Vec::new();
    let mut why_not = not_by_definition(outline);
    for (number, state) in chain.states.iter().enumerate() {
        let (part, kept) = match &state.best {
            None => (Part::of(&state.schema, false, &state.plan, &came, &went)?, String::new()),
            Some(Best { least, most, .. }) => (
                Part::of_first_rows(state, &went)?,
                format!(
                    ": the first {most} rows of their order; all are looked at again when fewer than {least} are left"
                ),
            ),
        };
        lines.push(format!("Hidden table {}{kept}", number + 1));
        lines.extend(part.lines.into_iter().map(|line| format!("  {line}")));
        why_not = why_not.or(part.way.err());
    }
    let Part { lines: query, ending, way } =
        Part::of(outline.schema, drops_rows(outline.expectations), &chain.query, &came, &went)?;
    lines.extend(query);
    let key = match &way {
        Ok(Way::OfKeys(keyed)) => Some(&keyed.columns),
        Ok(Way::Merge(merge, _)) => Some(&merge.keys),
        _ => None,
    };
    let key = match key {
        Some(columns) => {
            let name = |column: &usize| outline.schema.field(*column).name().as_str();
            columns.iter().map(name).collect::<Vec<_>>().join(", ")
        }
        None => "none that the result shows: rows are found by all their columns".to_string(),
    };
    lines.push(format!("Policy: {}", outline.policy.as_str().to_uppercase()));
    lines.push(format!("Key: {key}"));
    if let Ok(Way::OfKeys(keyed)) = &way
        && within_key(outline.partitioned_by, outline.schema, &keyed.columns).is_some()
    {
        let line = "Partitions: those of which half of the rows or more are affected are overwritten";
        lines.push(line.to_string());
    }
    lines.extend(outline.expectations.iter().map(expectation));
    lines.push(format!("Verdict: {}", verdict(outline.policy, ending, why_not.or(way.err()))));
    Ok(lines)
}

/// One table of a chain.
struct Part {
    lines: Vec<String>,
    ending: Ending,
    /// How its change is found when rows go.
    way: Result<Way, String>,
}

impl Part {
    fn of(
        schema: &SchemaRef,
        drops_rows: bool,
        plan: &LogicalPlan,
        came: &Sources,
        went: &Sources,
    ) -> Result<Self, Error> {
        let when_rows_come = ruled(derive_for(schema, drops_rows, plan, came))?;
        let way = ruled(derive_for(schema, drops_rows, plan, went))?;
        let ending = match (&when_rows_come, &way) {
            (_, Ok(Way::Merge(..))) => Ending::Merged,
            (Ok(Way::Merge(..) | Way::First(_)), _) => Ending::MergedWhileRowsCome,
            (_, Ok(Way::OfKeys(_))) => Ending::Keyed,
            _ => Ending::Derived,
        };
        Ok(Self { lines: said(plan, went, ending)?, ending, way })
    }

    fn of_first_rows(state: &State, went: &Sources) -> Result<Self, Error> {
        let way = ruled(derive_for_state(state, went))?;
        Ok(Self { lines: said(state.rows()?, went, Ending::Derived)?, ending: Ending::Derived, way })
    }
}

fn said(plan: &LogicalPlan, sources: &Sources, ending: Ending) -> Result<Vec<String>, Error> {
    Ok(ruled(derive::explain(plan, sources, ending))?.unwrap_or_else(|why| vec![why]))
}

fn outline<'a>(
    definition: &'a MaterializedViewDefinition,
    query: &'a str,
    schema: &'a SchemaRef,
) -> Outline<'a> {
    let MaterializedViewDefinition { name, partitioned_by, expectations, refresh_policy, .. } = definition;
    Outline { name, query, schema, partitioned_by, expectations, policy: *refresh_policy }
}

fn expectation(rule: &Expectation) -> String {
    let what = match rule.action {
        ViolationAction::Warn => "rows that break it are counted",
        ViolationAction::DropRow => {
            "rows that break it are dropped, so that stored rows alone are no sum to add to"
        }
        ViolationAction::QuarantineRow => "rows that break it are set apart",
        ViolationAction::FailUpdate => "the refresh that brings rows which break it is given up",
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
                Ending::Merged => "incremental: what comes is added to the stored rows, what goes taken off",
                Ending::MergedWhileRowsCome => {
                    "incremental: what comes is added to the stored rows, where rows go their keys are computed anew"
                }
                Ending::Keyed => {
                    "incremental: affected keys are computed anew and compared with the stored rows"
                }
                Ending::Derived => "incremental: the derived change is applied to the stored rows",
            };
            match policy {
                RefreshPolicy::Auto => {
                    format!("{how}; recomputed when too much has changed, or when that took less")
                }
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
        assert!(said(RefreshPolicy::Auto, None).ends_with("or when that took less"));
        assert!(!said(RefreshPolicy::Incremental, None).contains("recomputed"));
    }
}
