//! Refreshing a materialized view from the changes of its inputs.
//!
//! ```text
//! changed inputs ─► hidden tables, one after another ─► the view
//!                   each: what has changed (ground) ─► how its change is found (ways, derive) ─► its new rows (apply)
//! ```
//!
//! What cannot be done so is refused with the reason, and the caller recomputes: the result is the same.

use super::Error;
use super::apply::{Applied, Target, apply};
use super::continued::{continued, of_feed};
use super::cost::Task;
use super::derive::{self, Best, Moved, Source, Sources, Split, ruled};
use super::evaluate::Evaluator;
use super::first_rows::of_best;
use super::ground::{Ground, SMALL_ROWS, gather};
use super::judge::Bench;
use super::model::{Model, Outline, RefreshRecord, files_in};
use super::output::judge_all;
use super::streaming::Refreshed;
use super::ways::{Way, derive_for, derive_for_state, drops_rows, of_change, of_first, of_keys, of_merge};
use crate::catalog::cut::{Cut, RelationKind};
use crate::engine::{Engine, logical_plan};
use crate::lake::{self, Lake, Table, TableDefinition, TableKind, TableName};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::ops::opaque::Opaque;
use crate::quality::Rules;
use crate::sql::RefreshPolicy;
use chrono::DateTime;
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalTableSource, TableSource};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many rows of hidden tables are rather read whole. Unit tests, whose tables are small, derive all the same.
const ANEW_ROWS_MAX: u64 = if cfg!(test) { 1 } else { 4_096 };

/// What an incremental refresh starts from.
pub(super) struct Base<'a> {
    pub(super) lake: &'a Arc<Lake>,
    pub(super) tables: &'a BTreeMap<TableName, Arc<Table>>,
    /// The versions that the stored rows were computed from, those of hidden tables too.
    pub(super) consumed: &'a BTreeMap<TableName, i64>,
    /// A cut of these versions, if there is one in memory.
    pub(super) cut: Option<&'a Arc<Cut>>,
}

/// What came of the attempt.
pub(super) enum Attempt {
    /// The view is up to date.
    Done(Box<Refreshed>),
    /// It must be recomputed; why.
    Refused(String),
}

/// Brings a view from its base to a cut: first its hidden aggregates, then itself.
pub(super) async fn refresh(
    model: &Model,
    engine: &Engine,
    cut: &Arc<Cut>,
    base: Base<'_>,
) -> Result<Attempt, Error> {
    let started = clock::instant();
    let outline = model.outline();
    let state = engine.state_at(cut, cut.wave_time);
    let chain = match not_by_definition(&outline) {
        Some(why) => Err(why),
        None => known_chain(&outline, &model.chain, &state, cut).await?,
    };
    let hidden_names = chain.iter().flat_map(|chain| chain.states.iter().map(|state| state.name.clone()));
    model.uses_hidden(hidden_names);
    let chain = match chain {
        Ok(chain) => chain,
        Err(why) => return Ok(Attempt::Refused(why)),
    };
    let task = weighed(model, &base, cut).await?;
    if let Some(why) = task.as_ref().and_then(|task| model.past.lock().why_whole(task)) {
        return Ok(Attempt::Refused(why));
    }
    let evaluator = Evaluator::new(&state, &model.plans);
    let mut ground = Ground { base: &base, cut, states: BTreeMap::new() };
    let (mut rows_compared, mut below, mut is_recomputed) = (0, Vec::new(), false);
    let (is_first, mut are_whole) = (model.is_outdated(), !chain.states.is_empty());
    for number in 0..chain.states.len() {
        let hidden = hidden(model, &chain, number, base.lake).await?;
        let consumed = hidden.consumed();
        let (plan, best) = (&chain.states[number].plan, chain.states[number].best.as_ref());
        let query = Query { plan: ground.stand_in(plan)?, best };
        let (applied, how) = bring_hidden(&hidden, &query, &consumed, &ground, &evaluator).await?;
        failpoint::pass(Point::HiddenCommitted, || model.name.to_string());
        is_recomputed |= how.is_err();
        are_whole &= how.is_err();
        let how = how.unwrap_or_else(|why| format!("recomputed: {why}"));
        below.push(format!("hidden table {}: {how}", number + 1));
        rows_compared += applied.rows_compared;
        ground.states.insert(hidden.name.clone(), (Arc::clone(&hidden.table), applied.snapshot));
    }
    let query = Query { plan: ground.stand_in(&chain.query)?, best: None };
    let reads_hidden_alone = ground.hidden_rows(&query.plan)?.is_some();
    let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
    let mut inputs = model.versions_in(cut);
    inputs.insert(derive::clock_input(), derive::clock_version(cut.wave_time));
    inputs.extend(ground.states.iter().map(|(name, (_, snapshot))| (name.clone(), snapshot.version)));
    let change = if model.is_outdated() {
        Err("first computation by this definition".to_string())
    } else if base.consumed.is_empty() {
        Err("what stands is in no epoch yet".to_string())
    } else {
        change_of(model, &query, base.consumed, &ground, &evaluator, &mut rules).await?
    };
    failpoint::pass(Point::ViewComputed, || model.name.to_string());
    let applied = match change {
        Ok((target, how)) => {
            let mode = if is_recomputed { "recompute" } else { target.mode() };
            let bench = Bench { engine, cut, rules: &rules };
            match apply(model, target, &inputs, false, Some(&bench)).await? {
                Some(applied) => Ok((mode, applied, how)),
                None => Err("a row that should go is not there".to_string()),
            }
        }
        Err(why) => Err(why),
    };
    // All inputs were read: by the hidden tables, and by the view itself if it reads others, too.
    let is_whole = are_whole && (reads_hidden_alone || applied.is_err());
    let (mode, applied, reason) = match applied {
        Ok(applied) => applied,
        // Without hidden aggregates the query's own text does as well.
        Err(why) if chain.states.is_empty() => return Ok(Attempt::Refused(why)),
        Err(why) => {
            let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
            let rows = judge_all(model, &mut rules, &evaluator.run(&query.plan).await?)?;
            let bench = Bench { engine, cut, rules: &rules };
            let applied = apply(model, Target::All(rows), &inputs, model.is_outdated(), Some(&bench)).await?;
            let gone = || lake::Error::Stopped { table: model.name.clone() };
            ("recompute", applied.ok_or_else(gone)?, why)
        }
    };
    failpoint::pass(Point::ViewCommitted, || model.name.to_string());
    rows_compared += applied.rows_compared;
    let rows_read = evaluator.rows_read() + rows_compared;
    let seconds = started.elapsed().as_secs_f64();
    if is_whole {
        model.past.lock().took_whole(model.rows_in(cut), is_first, seconds);
    } else if let Some(task) = task.filter(|task| mode != "recompute" && task.changed_rows > 0) {
        model.past.lock().took_change(&task, rows_read, seconds);
    }
    Ok(Attempt::Done(Box::new(Refreshed {
        snapshot: applied.snapshot,
        quarantine: None,
        inputs: model.versions_in(cut),
        consumed: inputs,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode,
            reason: std::iter::once(reason).chain(below).collect::<Vec<_>>().join("; "),
            rows_read: i64::try_from(rows_read).unwrap_or(i64::MAX),
            rows_inserted: applied.inserted,
            rows_deleted: applied.deleted,
            seconds,
            error: None,
            verdict: applied.verdict,
            at: clock::now(),
        },
    })))
}

/// What a refresh has before it; `None` when that is not weighed, by the view's policy or for small inputs.
async fn weighed(model: &Model, base: &Base<'_>, cut: &Cut) -> Result<Option<Task>, Error> {
    let mut task = Task { all_rows: model.rows_in(cut), ..Task::default() };
    if model.policy != RefreshPolicy::Auto || task.all_rows <= SMALL_ROWS {
        return Ok(None);
    }
    for (name, to) in model.versions_in(cut) {
        let (Some(table), Some(from)) = (base.tables.get(&name), base.consumed.get(&name)) else { continue };
        if *from >= to {
            continue;
        }
        // What cannot be told is refused, with its reason, further on.
        let changes = table.changes(*from, to).await?;
        let (came, went) = changes.and_then(|changes| changes.rows(&table.snapshot())).unwrap_or_default();
        if came + went > 0 {
            task.changed_rows += came + went;
            task.changed.insert(name);
        }
    }
    Ok(Some(task))
}

/// Why a view is never refreshed incrementally; `None` when it is as soon as that is worth it. Derived as if every input
/// had changed.
pub(super) async fn why_not(
    outline: &Outline<'_>,
    engine: &Engine,
    cut: &Arc<Cut>,
) -> Result<Option<String>, Error> {
    if let Some(why) = not_by_definition(outline) {
        return Ok(Some(why));
    }
    let state = engine.state_at(cut, cut.wave_time);
    let chain = match chain_of(outline, &state, cut).await? {
        Ok(chain) => chain,
        Err(why) => return Ok(Some(why)),
    };
    let sources = all_changed(cut, &chain, true);
    let states = chain.states.iter().map(|state| derive_for_state(state, &sources));
    let query = || derive_for(outline.schema, drops_rows(outline.expectations), &chain.query, &sources);
    Ok(ruled(states.collect::<Result<Vec<_>, _>>().and_then(|_| query()))?.err())
}

/// A change of every table, hidden ones too, and of the time: rows came and, when `also_deleted`, went. For deriving
/// without running.
pub(super) fn all_changed(cut: &Cut, chain: &Split, also_deleted: bool) -> Opaque<Sources> {
    let source = |rows: Arc<dyn TableSource>| Source {
        old: Arc::clone(&rows),
        inserted: vec![Arc::clone(&rows)],
        deleted: also_deleted.then_some(rows).into_iter().collect(),
    };
    let stored = cut.tables.iter().filter_map(|(name, table)| {
        Some((name.clone(), source(provider_as_source(table.provider.clone()?))))
    });
    let hidden = chain.states.iter().map(|state| {
        let rows = Arc::new(LogicalTableSource::new(lake::query_schema(&state.schema)));
        (state.name.clone(), source(rows))
    });
    let watermarks = cut.tables.keys().filter(|name| name.source_of_watermark().is_some());
    let watermarks = watermarks.map(|name| (name.clone(), Moved { from: None, to: Some(0) })).collect();
    let tables = stored.chain(hidden).collect();
    Opaque::new(Sources { tables, since: Some(DateTime::UNIX_EPOCH), watermarks })
}

/// What keeps a definition from being refreshed incrementally, whatever its query is.
pub(super) fn not_by_definition(outline: &Outline<'_>) -> Option<String> {
    (outline.policy == RefreshPolicy::Full).then(|| "REFRESH POLICY FULL".to_string())
}

/// The chain of a query, made once for the columns that its inputs have.
pub(super) async fn known_chain(
    outline: &Outline<'_>,
    place: &Mutex<Option<Opaque<Split>>>,
    state: &Opaque<SessionState>,
    cut: &Arc<Cut>,
) -> Result<Result<Opaque<Split>, String>, Error> {
    let known = place.lock().clone();
    let columns = |name: &TableName| Some(cut.tables.get(name)?.provider.as_ref()?.schema());
    if let Some(known) = known
        && known.fits(columns)?
    {
        return Ok(Ok(known));
    }
    let chain = match chain_of(outline, state, cut).await? {
        Ok(chain) => Opaque::new(chain.without_rows()?),
        Err(why) => return Ok(Err(why)),
    };
    *place.lock() = Some(chain.clone());
    Ok(Ok(chain))
}

/// The query as a chain of hidden aggregates and what is left of it; or why there is no rule.
pub(super) async fn chain_of(
    outline: &Outline<'_>,
    state: &Opaque<SessionState>,
    cut: &Arc<Cut>,
) -> Result<Result<Opaque<Split>, String>, Error> {
    let plan = logical_plan(state, outline.query).await?;
    let stores_all = !drops_rows(outline.expectations);
    let named = |number| outline.hidden_name(number);
    let chain = derive::normalise(state, LogicalPlan::clone(&plan))
        .and_then(|plan| derive::split(&plan, stores_all, named, |name| loses(cut, name)));
    Ok(ruled(chain)?.map(Opaque::new))
}

/// True when rows of a table may go. Of a table that does not stand yet its kind tells.
fn loses(cut: &Cut, name: &TableName) -> bool {
    let Some(table) = cut.tables.get(name) else { return true };
    match files_in(cut, name) {
        Some(files) => files.kind() == TableKind::Maintained,
        None => table.relation.kind != RelationKind::Source || name.source_of_watermark().is_some(),
    }
}

/// A hidden aggregate as a model of its own, its table made when it is new.
async fn hidden(
    model: &Model,
    chain: &Opaque<Split>,
    number: usize,
    lake: &Arc<Lake>,
) -> Result<Model, Error> {
    let (lake, name) = (Arc::clone(lake), chain.states[number].name.clone());
    let definition = TableDefinition {
        schema: Arc::clone(&chain.states[number].schema),
        partition_columns: Vec::new(),
        kind: TableKind::Maintained,
        properties: BTreeMap::new(),
    };
    let opened = tokio::task::spawn_blocking(move || lake.ensure_exact(&name, &definition)).await;
    let table = opened.map_err(|_| lake::Error::Stopped { table: model.name.clone() })??;
    Ok(model.hidden(table, derive::tables_of(&chain.states[number].plan)?))
}

/// What a table holds the rows of.
struct Query<'a> {
    plan: Opaque<LogicalPlan>,
    /// It is for the first rows of an order, of which more are kept than are needed.
    best: Option<&'a Best>,
}

/// Brings a hidden table to where the ground stands: how, or why it was recomputed.
async fn bring_hidden(
    hidden: &Model,
    query: &Query<'_>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
    evaluator: &Evaluator<'_>,
) -> Result<(Applied, Result<String, String>), Error> {
    let mut rules = Rules::default();
    let mut inputs: BTreeMap<TableName, i64> =
        hidden.inputs.iter().filter_map(|name| Some((name.clone(), ground.version(name)?))).collect();
    let has_moved = inputs.iter().any(|(name, version)| consumed.get(name) != Some(version));
    if derive::asks_for_time(&query.plan)? {
        inputs.insert(derive::clock_input(), derive::clock_version(ground.cut.wave_time));
    }
    let change = match hidden.is_outdated() {
        true => Err("first computation by this definition".to_string()),
        false => change_of(hidden, query, consumed, ground, evaluator, &mut rules).await?,
    };
    let why = match change {
        Ok((target, how)) => match apply(hidden, target, &inputs, has_moved, None).await? {
            Some(applied) => return Ok((applied, Ok(how))),
            None => "a row that should go is not there".to_string(),
        },
        Err(why) => why,
    };
    let rows = judge_all(hidden, &mut rules, &evaluator.run(&query.plan).await?)?;
    let applied = apply(hidden, Target::All(rows), &inputs, true, None).await?;
    let applied = applied.ok_or_else(|| lake::Error::Stopped { table: hidden.name.clone() })?;
    Ok((applied, Err(why)))
}

fn unaffected() -> (Target, String) {
    (Target::Change { inserted: Vec::new(), deleted: Vec::new() }, "no row affected".to_string())
}

/// Few rows of hidden tables are gone over sooner than the change of what is made of them is derived.
async fn anew(
    model: &Model,
    plan: &Opaque<LogicalPlan>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
    evaluator: &Evaluator<'_>,
    rules: &mut Rules,
) -> Result<Option<(Target, String)>, Error> {
    let Some(rows) = ground.hidden_rows(plan)? else { return Ok(None) };
    let stored = model.table.snapshot().rows().unwrap_or(u64::MAX);
    if rows.max(stored) > ANEW_ROWS_MAX {
        return Ok(None);
    }
    let tables = derive::tables_of(plan)?;
    let moved = tables.iter().any(|name| ground.version(name) != consumed.get(name).copied());
    if !moved && !derive::asks_for_time(plan)? {
        return Ok(Some(unaffected()));
    }
    let computed = judge_all(model, rules, &evaluator.run(plan).await?)?;
    Ok(Some((Target::All(computed), format!("made anew of {rows} hidden rows"))))
}

/// What changes in a table that holds a plan's rows; or why that is not computed.
async fn change_of(
    model: &Model,
    query: &Query<'_>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
    evaluator: &Evaluator<'_>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let plan = &query.plan;
    if let Some(found) = anew(model, plan, consumed, ground, evaluator, rules).await? {
        return Ok(Ok(found));
    }
    let gathered = match gather(plan, consumed, ground, model.policy).await? {
        Ok(gathered) => gathered,
        Err(why) => return Ok(Err(why)),
    };
    let said = |(target, how)| (target, format!("{} changed input rows, {how}", gathered.changed_rows));
    if let Some(best) = query.best {
        let (lake, sources) = (ground.base.lake, &gathered.sources);
        return Ok(of_best(model, best, plan, sources, lake, evaluator, rules).await?.map(said));
    }
    let derived =
        match ruled(derive_for(&model.schema, drops_rows(&model.expectations), plan, &gathered.sources))? {
            Ok(derived) => derived,
            Err(why) => return Ok(Err(why)),
        };
    let found = match derived {
        Way::Nothing => Ok(unaffected()),
        Way::Merge(merge, keyed) => of_merge(model, evaluator, &merge, keyed.as_ref(), rules).await?,
        Way::First(first) => of_first(model, evaluator, &first, rules).await?,
        Way::OfKeys(keyed) => match continued(model, evaluator, ground.cut, &gathered.sources).await? {
            Some(continued) => of_feed(model, evaluator, &keyed, &continued, rules).await?,
            None => of_keys(model, evaluator, &keyed, rules).await?,
        },
        Way::Change(change) => Ok(of_change(model, evaluator, &change, rules).await?),
    };
    Ok(found.map(said))
}
