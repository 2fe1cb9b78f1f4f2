//! Refreshing a materialized view from the changes of its inputs.
//!
//! ```text
//! changed inputs ── exact aggregates ─────── rows that came ── added to the stored rows of their keys
//!                ├─ a result with a key ──── affected keys ── their rows, computed anew ── compared with those stored
//!                └─ any other with rules ─── the derived change, weights summed ── rows more, rows fewer
//! ```
//!
//! What cannot be done so is refused with the reason, and the caller recomputes: the result is the same.

use super::Error;
use super::apply::{Applied, Target, apply};
use super::compare::{KeySet, consolidate};
use super::derive::{self, KEYS, Keyed, Merge, Refusal, Source, Sources, WEIGHT};
use super::model::{Model, Outline, RefreshRecord};
use super::output::{judge_all, nullable, shape};
use super::streaming::Refreshed;
use crate::catalog::cut::Cut;
use crate::engine::{Engine, logical_plan, physical_plan};
use crate::lake::{Changes, Lake, Table, TableName};
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::quality::Rules;
use crate::sql::{RefreshPolicy, ViolationAction};
use arrow::array::{AsArray as _, Int64Array, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::collect;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// When more than one row in so many of the changed inputs has changed, recomputing reads less.
const CHANGED_SHARE_MAX: u64 = 5;
/// Inputs of fewer rows are never worth recomputing for.
const SMALL_ROWS: u64 = 10_000;

/// What an incremental refresh starts from.
pub(super) struct Base<'a> {
    pub(super) lake: &'a Lake,
    pub(super) tables: &'a BTreeMap<TableName, Arc<Table>>,
    /// The versions that the stored rows were computed from.
    pub(super) consumed: &'a BTreeMap<TableName, i64>,
    /// A cut of these versions, if there is one in memory.
    pub(super) cut: Option<&'a Arc<Cut>>,
    /// The query's result changes with time.
    pub(super) depends_on_clock: bool,
}

/// What came of the attempt.
pub(super) enum Attempt {
    /// The view is up to date.
    Done(Box<Refreshed>),
    /// It must be recomputed; why.
    Refused(String),
}

/// Brings a view from its base to a cut.
pub(super) async fn refresh(
    model: &Model,
    engine: &Engine,
    cut: &Arc<Cut>,
    base: Base<'_>,
) -> Result<Attempt, Error> {
    let started = clock::instant();
    let outline = model.outline(base.depends_on_clock);
    if let Some(why) = not_by_definition(&outline) {
        return Ok(Attempt::Refused(why));
    }
    if model.is_outdated() {
        return Ok(Attempt::Refused("first computation by this definition".to_string()));
    }
    if base.consumed.is_empty() {
        return Ok(Attempt::Refused("what stands is in no epoch yet".to_string()));
    }
    let gathered = match gather(model, cut, &base).await? {
        Ok(gathered) => gathered,
        Err(why) => return Ok(Attempt::Refused(why)),
    };
    let state = engine.state_at(cut, cut.wave_time);
    let plan = logical_plan(&state, &model.query).await?;
    let derived = match derive_for(&outline, &state, &plan, &gathered.sources) {
        Ok(derived) => derived,
        Err(Refusal::NoRule(why)) => return Ok(Attempt::Refused(why)),
        Err(Refusal::Engine(error)) => return Err(error.into()),
    };
    let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
    let (target, how) = match derived {
        Way::Nothing => {
            (Target::Change { inserted: Vec::new(), deleted: Vec::new() }, "no row affected".to_string())
        }
        Way::Merge(merge) => of_merge(model, &state, &merge, base.lake, &mut rules).await?,
        Way::OfKeys(keyed) => match of_keys(model, &state, &keyed, &mut rules).await? {
            Ok(found) => found,
            Err(why) => return Ok(Attempt::Refused(why)),
        },
        Way::Change(change) => of_change(model, &state, &change, &mut rules).await?,
    };
    let inputs = model.versions_in(cut);
    let Some(Applied { snapshot, inserted, deleted }) = apply(model, target, &inputs, false).await? else {
        return Ok(Attempt::Refused("a row that should go is not there".to_string()));
    };
    Ok(Attempt::Done(Box::new(Refreshed {
        snapshot,
        quarantine: None,
        inputs,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: "incremental",
            reason: format!("{} changed input rows, {how}", gathered.changed_rows),
            rows_read: i64::try_from(gathered.changed_rows).unwrap_or(i64::MAX),
            rows_inserted: inserted,
            rows_deleted: deleted,
            seconds: started.elapsed().as_secs_f64(),
            error: None,
            rules: rules.counts(),
            at: clock::now(),
        },
    })))
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
    let sources = all_changed(cut, true);
    let state = engine.state_at(cut, cut.wave_time);
    let plan = logical_plan(&state, outline.query).await?;
    match derive_for(outline, &state, &plan, &sources) {
        Ok(_) => Ok(None),
        Err(Refusal::NoRule(why)) => Ok(Some(why)),
        Err(Refusal::Engine(error)) => Err(error.into()),
    }
}

/// A change of every table: rows came and, when `also_deleted`, went. For deriving without running.
pub(super) fn all_changed(cut: &Cut, also_deleted: bool) -> Opaque<Sources> {
    let changed = cut.tables.iter().filter_map(|(name, table)| {
        let rows = provider_as_source(table.provider.clone()?);
        let (inserted, deleted) = (Some(Arc::clone(&rows)), also_deleted.then(|| Arc::clone(&rows)));
        Some((name.clone(), Source { old: rows, inserted, deleted }))
    });
    Opaque::new(changed.collect())
}

/// What keeps a definition from being refreshed incrementally, whatever its query is.
pub(super) fn not_by_definition(outline: &Outline<'_>) -> Option<String> {
    if outline.policy == RefreshPolicy::Full {
        return Some("REFRESH POLICY FULL".to_string());
    }
    outline.depends_on_clock.then(|| "the query asks for the time".to_string())
}

/// The changed inputs.
struct Gathered {
    sources: Opaque<Sources>,
    changed_rows: u64,
}

async fn gather(model: &Model, cut: &Arc<Cut>, base: &Base<'_>) -> Result<Result<Gathered, String>, Error> {
    let (mut sources, mut changed_rows, mut all_rows) = (HashMap::new(), 0, 0);
    for (name, to) in model.versions_in(cut) {
        let Some(from) = base.consumed.get(&name).copied() else {
            return Ok(Err(format!("{name} is read for the first time")));
        };
        if from == to {
            continue;
        }
        let Some(table) = base.tables.get(&name) else { return Ok(Err(format!("{name} keeps no changes"))) };
        let changes = match from < to {
            true => table.changes(from, to).await?,
            false => None,
        };
        let Some(changes) = changes else { return Ok(Err(format!("the changes of {name} are gone"))) };
        let snapshot = table.snapshot();
        let Some((inserted, deleted)) = changes.rows(&snapshot) else {
            return Ok(Err(format!("a file of {name} does not say how many rows it has")));
        };
        changed_rows += inserted + deleted;
        all_rows += snapshot.rows().unwrap_or_default();
        let Some(old) = old_version(table, from, base).await? else {
            return Ok(Err(format!("version {from} of {name} is gone")));
        };
        let new = cut.tables.get(&name).and_then(|table| table.provider.clone());
        if new.is_none_or(|new| new.schema() != old.schema()) {
            return Ok(Err(format!("the columns of {name} have changed")));
        }
        sources.insert(name, source(base.lake, table, old, changes));
    }
    // Who asked for INCREMENTAL has weighed it.
    if model.policy == RefreshPolicy::Auto
        && all_rows > SMALL_ROWS
        && changed_rows > all_rows / CHANGED_SHARE_MAX
    {
        return Ok(Err(format!("{changed_rows} of {all_rows} input rows have changed")));
    }
    Ok(Ok(Gathered { sources: Opaque::new(sources), changed_rows }))
}

async fn old_version(
    table: &Arc<Table>,
    version: i64,
    base: &Base<'_>,
) -> Result<Option<Arc<dyn TableProvider>>, Error> {
    let in_memory =
        base.cut.and_then(|cut| cut.tables.get(table.name())).filter(|old| old.version == version);
    if let Some(provider) = in_memory.and_then(|old| old.provider.clone()) {
        return Ok(Some(provider));
    }
    match table.snapshot_at(version).await {
        Ok(snapshot) => Ok(Some(base.lake.provider(&snapshot))),
        Err(crate::lake::Error::Gone { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn source(lake: &Lake, table: &Table, old: Arc<dyn TableProvider>, changes: Changes) -> Source {
    let snapshot = table.snapshot();
    let rows = |files: Vec<_>| {
        (!files.is_empty()).then(|| provider_as_source(lake.provider_of_files(&snapshot, files)))
    };
    Source { old: provider_as_source(old), inserted: rows(changes.inserted), deleted: rows(changes.deleted) }
}

/// How a view's change is found.
pub(super) enum Way {
    Nothing,
    Merge(Opaque<Merge>),
    OfKeys(Opaque<Keyed>),
    Change(Opaque<LogicalPlan>),
}

pub(super) fn derive_for(
    outline: &Outline<'_>,
    state: &SessionState,
    plan: &LogicalPlan,
    sources: &Sources,
) -> derive::Derived<Way> {
    let plan = derive::normalise(state, plan.clone())?;
    let stored_type = |column: usize| outline.schema.field(column).data_type();
    let drops_rows = outline.expectations.iter().any(|rule| rule.action != ViolationAction::Warn);
    if !drops_rows
        && let Some(merge) = derive::merge(&plan, sources)?
        && merge.types().all(|(column, data_type)| is_same_value(data_type, stored_type(column)))
    {
        return Ok(Way::Merge(Opaque::new(merge)));
    }
    if let Some(keyed) = derive::keyed(&plan, sources)? {
        if keyed.affected.is_none() {
            return Ok(Way::Nothing);
        }
        let keeps_type =
            |column: &usize| is_same_value(plan.schema().field(*column).data_type(), stored_type(*column));
        if keyed.columns.iter().all(keeps_type) {
            return Ok(Way::OfKeys(Opaque::new(keyed)));
        }
    }
    Ok(derive::change(&plan, sources)?.map_or(Way::Nothing, |plan| Way::Change(Opaque::new(plan))))
}

/// True when a cast from one to the other, which fails where a value does not fit, tells all values apart.
fn is_same_value(from: &DataType, to: &DataType) -> bool {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let are_decimals_alike =
        matches!((from, to), (DataType::Decimal128(_, a), DataType::Decimal128(_, b)) if a == b);
    from == to
        || are_decimals_alike
        || (is_text(from) && is_text(to))
        || (from.is_integer() && to.is_integer())
}

/// The rows of the affected keys.
async fn of_keys(
    model: &Model,
    state: &Opaque<SessionState>,
    keyed: &Opaque<Keyed>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let Some(affected) = keyed.affected.clone() else { return Ok(Err("no key is affected".to_string())) };
    let affected = Opaque::new(affected);
    let keys = run(state, &affected).await?;
    let set = KeySet::new(&model.schema, keyed.columns.clone(), &keys)?;
    let how = format!("{} keys computed anew", set.len());
    let plan = match keyed.rows(&scan_of(KEYS, affected.schema().as_arrow(), derive::key_name, keys)?) {
        Ok(plan) => Opaque::new(plan),
        Err(Refusal::NoRule(why)) => return Ok(Err(why)),
        Err(Refusal::Engine(error)) => return Err(error.into()),
    };
    let rows = run(state, &plan).await?;
    let rows = judge_all(model, rules, &rows)?;
    Ok(Ok((Target::OfKeys { rows, keys: Arc::new(set) }, how)))
}

/// The stored rows of the keys that came, with what came added.
async fn of_merge(
    model: &Model,
    state: &Opaque<SessionState>,
    merge: &Opaque<Merge>,
    lake: &Lake,
    rules: &mut Rules,
) -> Result<(Target, String), Error> {
    let came = run(state, &Opaque::new(merge.came.clone())).await?;
    let key_columns: Vec<usize> = (0..merge.keys.len()).collect();
    let keys = came.iter().map(|batch| batch.project(&key_columns)).collect::<Result<Vec<_>, _>>()?;
    let set = KeySet::new(&model.schema, merge.keys.clone(), &keys)?;
    let how = format!("added to {} keys", set.len());
    let plan = {
        let names = |prefix: char| move |column| format!("{prefix}{column}");
        let schema = merge.came.schema().as_arrow();
        let came = scan_of("__came", schema, names('c'), came)?;
        let keys = scan_of(KEYS, &schema.project(&key_columns)?, derive::key_name, keys)?;
        let stored = provider_as_source(lake.provider(&model.table.snapshot()));
        match merge.rows(came, keys, stored, model.schema.fields().len()) {
            Ok(plan) => Opaque::new(plan),
            Err(Refusal::Engine(error)) => return Err(error.into()),
            Err(Refusal::NoRule(why)) => return Err(Error::Output(format!("{}: {why}", model.name))),
        }
    };
    let rows = judge_all(model, rules, &run(state, &plan).await?)?;
    Ok((Target::OfKeys { rows, keys: Arc::new(set) }, how))
}

/// A scan of rows in memory, its columns named by their position.
fn scan_of(
    name: &str,
    schema: &Schema,
    column_name: impl Fn(usize) -> String,
    rows: Vec<RecordBatch>,
) -> Result<LogicalPlan, Error> {
    let fields = schema.fields().iter().enumerate();
    let fields = fields.map(|(i, field)| Field::new(column_name(i), field.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = rows
        .into_iter()
        .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()))
        .collect::<Result<Vec<_>, _>>()?;
    let table = MemTable::try_new(schema, vec![rows])?;
    Ok(LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()?)
}

/// The rows that are more and those that are fewer.
async fn of_change(
    model: &Model,
    state: &Opaque<SessionState>,
    change: &Opaque<LogicalPlan>,
    rules: &mut Rules,
) -> Result<(Target, String), Error> {
    let output = nullable(&model.schema);
    let mut weighted: Vec<(RecordBatch, Int64Array)> = Vec::new();
    for batch in run(state, change).await? {
        let last = batch.num_columns() - 1;
        debug_assert_eq!(batch.schema().field(last).name(), WEIGHT);
        let weights = batch.column(last).as_primitive::<Int64Type>().clone();
        let columns: Vec<usize> = (0..last).collect();
        weighted.push((shape(&model.name, &batch.project(&columns)?, &output)?, weights));
    }
    let (more, fewer) = consolidate(&output, &weighted)?;
    let sources: Vec<&RecordBatch> = weighted.iter().map(|(batch, _)| batch).collect();
    let pick = |places: &[(usize, usize)]| -> Result<Vec<RecordBatch>, Error> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![interleave_record_batch(&sources, places)?])
    };
    let how = format!("{} rows more, {} fewer", more.len(), fewer.len());
    let inserted = judge_all(model, rules, &pick(&more)?)?;
    // Rows that the rules dropped were never stored.
    let mut uncounted = Rules::compile(state, &model.expectations, &model.schema)?;
    let deleted = judge_all(model, &mut uncounted, &pick(&fewer)?)?;
    Ok((Target::Change { inserted, deleted }, how))
}

async fn run(state: &Opaque<SessionState>, plan: &Opaque<LogicalPlan>) -> Result<Vec<RecordBatch>, Error> {
    let physical = physical_plan(state, plan).await?;
    Ok(collect(physical, state.task_ctx()).await?)
}
