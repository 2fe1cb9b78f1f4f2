//! Refreshing a materialized view: the whole query is computed at one cut and compared with what stands, so that only
//! changes are written.

use super::Error;
use super::apply::{Target, apply};
use super::compare::row_count;
use super::derive::{clock_input, clock_version};
use super::judge::Bench;
use super::model::{Model, RefreshRecord};
use super::output::judge_all;
use super::streaming::Refreshed;
use crate::catalog::cut::Cut;
use crate::engine::{Engine, plan_text};
use crate::lake;
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::quality::Rules;
use datafusion::physical_plan::collect;
use std::sync::Arc;

/// Computes a view at a cut. The table is committed only when its rows change (or when it was never computed by this
/// definition), so that views above it rest when nothing moved. `why` says what it is recomputed for.
pub(super) async fn refresh(
    model: &Model,
    engine: &Engine,
    cut: &Arc<Cut>,
    why: &str,
) -> Result<Refreshed, Error> {
    let started = clock::instant();
    let state = engine.state_at(cut, cut.wave_time);
    let physical = plan_text(&state, &model.query).await?;
    let batches = collect(physical, state.task_ctx()).await?;
    let read = row_count(&batches);
    let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
    let rows = judge_all(model, &mut rules, &batches)?;
    let inputs = model.versions_in(cut);
    let never_computed = model.is_outdated();
    let mut consumed = inputs.clone();
    consumed.insert(clock_input(), clock_version(cut.wave_time));
    let mut recorded = consumed.clone();
    recorded.extend(model.hidden_forgotten());
    failpoint::pass(Point::RecomputeComputed, || model.name.to_string());
    let bench = Bench { engine, cut, rules: &rules };
    let applied = apply(model, Target::All(rows), &recorded, never_computed, Some(&bench)).await?;
    let applied = applied.ok_or_else(|| lake::Error::Stopped { table: model.name.clone() })?;
    failpoint::pass(Point::RecomputeCommitted, || model.name.to_string());
    model.past.lock().took_whole(model.rows_in(cut), never_computed, started.elapsed().as_secs_f64());
    Ok(Refreshed {
        snapshot: applied.snapshot,
        quarantine: None,
        consumed,
        inputs,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: "recompute",
            reason: why.to_string(),
            rows_read: i64::try_from(read).unwrap_or(i64::MAX),
            rows_inserted: applied.inserted,
            rows_deleted: applied.deleted,
            seconds: started.elapsed().as_secs_f64(),
            error: None,
            verdict: applied.verdict,
            at: clock::now(),
        },
    })
}
