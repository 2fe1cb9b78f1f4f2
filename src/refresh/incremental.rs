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
use super::derive::{self, KEYS, Keyed, Merge, Refusal, Source, Sources, Split, WEIGHT};
use super::evaluate::Evaluator;
use super::model::{Model, RefreshRecord};
use super::output::{judge_all, nullable, shape};
use super::streaming::Refreshed;
use crate::catalog::cut::Cut;
use crate::engine::{Engine, logical_plan};
use crate::lake::{self, Changes, Lake, Snapshot, Table, TableDefinition, TableKind, TableName};
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::quality::Rules;
use crate::sql::{RefreshPolicy, ViolationAction};
use arrow::array::{AsArray as _, Int64Array, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch, not};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, LogicalTableSource, TableSource};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// When more than one row in so many of the changed inputs has changed, recomputing reads less.
const CHANGED_SHARE_MAX: u64 = 5;
/// Inputs of fewer rows are never worth recomputing for.
const SMALL_ROWS: u64 = 10_000;

/// What an incremental refresh starts from.
pub(super) struct Base<'a> {
    pub(super) lake: &'a Arc<Lake>,
    pub(super) tables: &'a BTreeMap<TableName, Arc<Table>>,
    /// The versions that the stored rows were computed from, those of hidden tables too.
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

/// Brings a view from its base to a cut: first its hidden aggregates, then itself.
pub(super) async fn refresh(
    model: &Model,
    engine: &Engine,
    cut: &Arc<Cut>,
    base: Base<'_>,
) -> Result<Attempt, Error> {
    let started = clock::instant();
    if let Some(why) = not_by_definition(model, base.depends_on_clock) {
        return Ok(Attempt::Refused(why));
    }
    let state = engine.state_at(cut, cut.wave_time);
    let chain = match chain_of(model, &state, base.tables).await? {
        Ok(chain) => chain,
        Err(why) => return Ok(Attempt::Refused(why)),
    };
    let evaluator = Evaluator::new(&state);
    let mut ground = Ground { base: &base, cut, states: BTreeMap::new() };
    let (mut rows_compared, mut below) = (0, Vec::new());
    for number in 0..chain.states.len() {
        let hidden = hidden(model, &chain, number, base.lake).await?;
        let consumed = hidden.consumed();
        let plan = ground.stand_in(&chain.states[number].plan)?;
        let (applied, how) = bring_hidden(&hidden, &plan, &consumed, &ground, &evaluator).await?;
        below.push(format!("hidden aggregate {}: {how}", number + 1));
        rows_compared += applied.rows_compared;
        ground.states.insert(hidden.name.clone(), (Arc::clone(&hidden.table), applied.snapshot));
    }
    let plan = ground.stand_in(&chain.query)?;
    let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
    let mut inputs = model.versions_in(cut);
    inputs.extend(ground.states.iter().map(|(name, (_, snapshot))| (name.clone(), snapshot.version)));
    let change = if model.is_outdated() {
        Err("first computation by this definition".to_string())
    } else if base.consumed.is_empty() {
        Err("what stands is in no epoch yet".to_string())
    } else {
        change_of(model, &plan, base.consumed, &ground, &evaluator, &mut rules).await?
    };
    let applied = match change {
        Ok((target, how)) => match apply(model, target, &inputs, false).await? {
            Some(applied) => Ok((applied, how)),
            None => Err("a row that should go is not there".to_string()),
        },
        Err(why) => Err(why),
    };
    let (mode, applied, reason) = match applied {
        Ok((applied, how)) => ("incremental", applied, how),
        // Without hidden aggregates the query's own text does as well.
        Err(why) if chain.states.is_empty() => return Ok(Attempt::Refused(why)),
        Err(why) => {
            let rows = judge_all(model, &mut rules, &evaluator.run(&plan).await?)?;
            let applied = apply(model, Target::All(rows), &inputs, model.is_outdated()).await?;
            let gone = || lake::Error::Stopped { table: model.name.clone() };
            ("recompute", applied.ok_or_else(gone)?, why)
        }
    };
    rows_compared += applied.rows_compared;
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
            rows_read: i64::try_from(evaluator.rows_read() + rows_compared).unwrap_or(i64::MAX),
            rows_inserted: applied.inserted,
            rows_deleted: applied.deleted,
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
    model: &Model,
    engine: &Engine,
    cut: &Arc<Cut>,
    base: &Base<'_>,
) -> Result<Option<String>, Error> {
    if let Some(why) = not_by_definition(model, base.depends_on_clock) {
        return Ok(Some(why));
    }
    let state = engine.state_at(cut, cut.wave_time);
    let chain = match chain_of(model, &state, base.tables).await? {
        Ok(chain) => chain,
        Err(why) => return Ok(Some(why)),
    };
    let all = |rows: Arc<dyn TableSource>| Source {
        old: Arc::clone(&rows),
        inserted: Some(Arc::clone(&rows)),
        deleted: Some(rows),
    };
    let of_cut = |name: &TableName| Some(provider_as_source(cut.tables.get(name)?.provider.clone()?));
    let mut sources: Sources =
        model.inputs.iter().filter_map(|name| Some((name.clone(), all(of_cut(name)?)))).collect();
    for state in &chain.states {
        let rows: Arc<dyn TableSource> = Arc::new(LogicalTableSource::new(lake::query_schema(&state.schema)));
        sources.insert(state.name.clone(), all(rows));
    }
    let states = chain.states.iter().map(|state| derive_for(&state.schema, false, &state.plan, &sources));
    let query = || derive_for(&model.schema, drops_rows(model), &chain.query, &sources);
    match states.collect::<Result<Vec<_>, _>>().and_then(|_| query()) {
        Ok(_) => Ok(None),
        Err(Refusal::NoRule(why)) => Ok(Some(why)),
        Err(Refusal::Engine(error)) => Err(error.into()),
    }
}

fn not_by_definition(model: &Model, depends_on_clock: bool) -> Option<String> {
    if model.policy == RefreshPolicy::Full {
        return Some("REFRESH POLICY FULL".to_string());
    }
    depends_on_clock.then(|| "the query asks for the time".to_string())
}

/// The query as a chain of hidden aggregates and what is left of it.
async fn chain_of(
    model: &Model,
    state: &Opaque<SessionState>,
    tables: &BTreeMap<TableName, Arc<Table>>,
) -> Result<Result<Opaque<Split>, String>, Error> {
    let plan = logical_plan(state, &model.query).await?;
    let loses =
        |name: &TableName| tables.get(name).is_none_or(|table| table.snapshot().kind() == TableKind::Maintained);
    let chain = derive::normalise(state, LogicalPlan::clone(&plan))
        .and_then(|plan| derive::split(&plan, |number| model.hidden_name(number), loses));
    match chain {
        Ok(chain) => Ok(Ok(Opaque::new(chain))),
        Err(Refusal::NoRule(why)) => Ok(Err(why)),
        Err(Refusal::Engine(error)) => Err(error.into()),
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
    Ok(model.hidden(table, tables_of(&chain.states[number].plan)?))
}

/// Brings a hidden aggregate to where the ground stands.
async fn bring_hidden(
    hidden: &Model,
    plan: &Opaque<LogicalPlan>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
    evaluator: &Evaluator<'_>,
) -> Result<(Applied, String), Error> {
    let mut rules = Rules::default();
    let inputs: BTreeMap<TableName, i64> =
        hidden.inputs.iter().filter_map(|name| Some((name.clone(), ground.version(name)?))).collect();
    let change = match hidden.is_outdated() {
        true => Err("first computation by this definition".to_string()),
        false => change_of(hidden, plan, consumed, ground, evaluator, &mut rules).await?,
    };
    let why = match change {
        Ok((target, how)) => match apply(hidden, target, &inputs, inputs != *consumed).await? {
            Some(applied) => return Ok((applied, how)),
            None => "a row that should go is not there".to_string(),
        },
        Err(why) => why,
    };
    let rows = judge_all(hidden, &mut rules, &evaluator.run(plan).await?)?;
    let applied = apply(hidden, Target::All(rows), &inputs, true).await?;
    let applied = applied.ok_or_else(|| lake::Error::Stopped { table: hidden.name.clone() })?;
    Ok((applied, format!("recomputed: {why}")))
}

/// What changes in a table that holds a plan's rows; or why that is not computed.
async fn change_of(
    model: &Model,
    plan: &Opaque<LogicalPlan>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
    evaluator: &Evaluator<'_>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let gathered = match gather(tables_of(plan)?, consumed, ground).await? {
        Ok(gathered) => gathered,
        Err(why) => return Ok(Err(why)),
    };
    let derived = match derive_for(&model.schema, drops_rows(model), plan, &gathered.sources) {
        Ok(derived) => derived,
        Err(Refusal::NoRule(why)) => return Ok(Err(why)),
        Err(Refusal::Engine(error)) => return Err(error.into()),
    };
    let found = match derived {
        Way::Nothing => {
            let nothing = Target::Change { inserted: Vec::new(), deleted: Vec::new() };
            Ok((nothing, "no row affected".to_string()))
        }
        Way::Merge(merge, keyed) => {
            of_merge(model, evaluator, &merge, keyed.as_ref(), ground.base.lake, rules).await?
        }
        Way::OfKeys(keyed) => of_keys(model, evaluator, &keyed, rules).await?,
        Way::Change(change) => Ok(of_change(model, evaluator, &change, rules).await?),
    };
    Ok(found.map(|(target, how)| (target, format!("{} changed input rows, {how}", gathered.changed_rows))))
}

/// What a refresh reads: the tables of a cut, and hidden ones as far as they have come.
struct Ground<'a> {
    base: &'a Base<'a>,
    cut: &'a Arc<Cut>,
    states: BTreeMap<TableName, (Arc<Table>, Arc<Snapshot>)>,
}

impl Ground<'_> {
    fn version(&self, name: &TableName) -> Option<i64> {
        match self.states.get(name) {
            Some((_, snapshot)) => Some(snapshot.version),
            None => self.cut.tables.get(name).map(|table| table.version),
        }
    }

    fn table(&self, name: &TableName) -> Option<&Arc<Table>> {
        self.states.get(name).map(|(table, _)| table).or_else(|| self.base.tables.get(name))
    }

    fn rows(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        match self.states.get(name) {
            Some((_, snapshot)) => Some(self.base.lake.provider(snapshot)),
            None => self.cut.tables.get(name)?.provider.clone(),
        }
    }

    /// The plan with hidden tables where their places are.
    fn stand_in(&self, plan: &LogicalPlan) -> Result<Opaque<LogicalPlan>, Error> {
        let rows = |name: &TableName| self.states.contains_key(name).then(|| self.rows(name)).flatten();
        Ok(Opaque::new(derive::reading(plan, |name| rows(name).map(provider_as_source))?))
    }
}

/// The changed inputs.
struct Gathered {
    sources: Opaque<Sources>,
    changed_rows: u64,
}

async fn gather(
    inputs: Vec<TableName>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
) -> Result<Result<Gathered, String>, Error> {
    let (mut sources, mut changed_rows, mut all_rows) = (HashMap::new(), 0, 0);
    for name in inputs {
        let Some(to) = ground.version(&name) else { continue };
        let Some(from) = consumed.get(&name).copied() else {
            return Ok(Err(format!("{name} is read for the first time")));
        };
        if from == to {
            continue;
        }
        let Some(table) = ground.table(&name) else { return Ok(Err(format!("{name} keeps no changes"))) };
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
        let Some(old) = old_version(table, from, ground.base).await? else {
            return Ok(Err(format!("version {from} of {name} is gone")));
        };
        if ground.rows(&name).is_none_or(|new| new.schema() != old.schema()) {
            return Ok(Err(format!("the columns of {name} have changed")));
        }
        sources.insert(name, source(ground.base.lake, table, old, changes));
    }
    if all_rows > SMALL_ROWS && changed_rows > all_rows / CHANGED_SHARE_MAX {
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
        Err(lake::Error::Gone { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The stored tables that a plan scans.
fn tables_of(plan: &LogicalPlan) -> Result<Vec<TableName>, Error> {
    Ok(derive::tables_of(plan)?)
}

fn source(lake: &Lake, table: &Table, old: Arc<dyn TableProvider>, changes: Changes) -> Source {
    let snapshot = table.snapshot();
    let rows = |files: Vec<_>| {
        (!files.is_empty()).then(|| provider_as_source(lake.provider_of_files(&snapshot, files)))
    };
    Source { old: provider_as_source(old), inserted: rows(changes.inserted), deleted: rows(changes.deleted) }
}

/// How a view's change is found.
enum Way {
    Nothing,
    /// And how keys are computed anew whose least or greatest value went.
    Merge(Opaque<Merge>, Option<Opaque<Keyed>>),
    OfKeys(Opaque<Keyed>),
    Change(Opaque<LogicalPlan>),
}

/// True when the model's rules may keep rows of its query from being stored.
fn drops_rows(model: &Model) -> bool {
    model.expectations.iter().any(|rule| rule.action != ViolationAction::Warn)
}

/// How the change of a table with these columns is found, which holds the plan's rows (but those that rules drop).
fn derive_for(
    stored: &SchemaRef,
    drops_rows: bool,
    plan: &LogicalPlan,
    sources: &Sources,
) -> derive::Derived<Way> {
    let stored_type = |column: usize| stored.field(column).data_type();
    if !drops_rows
        && let Some(merge) = derive::merge(plan, sources)?
        && merge.types().all(|(column, data_type)| is_same_value(data_type, stored_type(column)))
    {
        let keyed = if merge.may_redo() { derive::keyed(plan, sources)? } else { None };
        return Ok(Way::Merge(Opaque::new(merge), keyed.map(Opaque::new)));
    }
    if let Some(keyed) = derive::keyed(plan, sources)? {
        if keyed.affected.is_none() {
            return Ok(Way::Nothing);
        }
        let keeps_type =
            |column: &usize| is_same_value(plan.schema().field(*column).data_type(), stored_type(*column));
        if keyed.columns.iter().all(keeps_type) {
            return Ok(Way::OfKeys(Opaque::new(keyed)));
        }
    }
    Ok(derive::change(plan, sources)?.map_or(Way::Nothing, |plan| Way::Change(Opaque::new(plan))))
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
    evaluator: &Evaluator<'_>,
    keyed: &Opaque<Keyed>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let Some(affected) = keyed.affected.clone() else { return Ok(Err("no key is affected".to_string())) };
    let affected = Opaque::new(affected);
    let keys = evaluator.run(&affected).await?;
    let set = KeySet::new(&model.schema, keyed.columns.clone(), &keys)?;
    let how = format!("{} keys computed anew", set.len());
    let plan = match keyed.rows(&scan_of(KEYS, affected.schema().as_arrow(), derive::key_name, keys)?) {
        Ok(plan) => Opaque::new(plan),
        Err(Refusal::NoRule(why)) => return Ok(Err(why)),
        Err(Refusal::Engine(error)) => return Err(error.into()),
    };
    let rows = evaluator.run(&plan).await?;
    let rows = judge_all(model, rules, &rows)?;
    Ok(Ok((Target::OfKeys { rows, keys: Arc::new(set) }, how)))
}

/// The stored rows of the changed keys, with what came added and what went taken off.
async fn of_merge(
    model: &Model,
    evaluator: &Evaluator<'_>,
    merge: &Opaque<Merge>,
    keyed: Option<&Opaque<Keyed>>,
    lake: &Lake,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let schema = merge.changed.schema().inner();
    let changed = evaluator.run(&Opaque::new(merge.changed.clone())).await?;
    let key_columns: Vec<usize> = (0..merge.keys.len()).collect();
    let keys = changed.iter().map(|batch| batch.project(&key_columns)).collect::<Result<Vec<_>, _>>()?;
    let set = KeySet::new(&model.schema, merge.keys.clone(), &keys)?;
    let mut how = format!("added to {} keys", set.len());
    let plan = {
        let changed = scan_of("__changed", schema, |column| schema.field(column).name().clone(), changed)?;
        let stored = provider_as_source(lake.provider(&model.table.snapshot()));
        match merge.rows(changed, stored) {
            Ok(plan) => Opaque::new(plan),
            Err(Refusal::Engine(error)) => return Err(error.into()),
            Err(Refusal::NoRule(why)) => return Ok(Err(why)),
        }
    };
    let (mut rows, mut redone) = (Vec::new(), Vec::new());
    for batch in evaluator.run(&plan).await? {
        let columns: Vec<usize> = (0..batch.num_columns() - 1).collect();
        let redo = batch.column(columns.len()).as_boolean();
        let values = batch.project(&columns)?;
        redone.push(filter_record_batch(&values, redo)?.project(&merge.keys)?);
        rows.push(filter_record_batch(&values, &not(redo)?)?);
    }
    if redone.iter().any(|batch| batch.num_rows() > 0) {
        let Some(keyed) = keyed else { return Ok(Err("an extreme value went".to_string())) };
        let count: usize = redone.iter().map(RecordBatch::num_rows).sum();
        how = format!("{how}, {count} of them computed anew");
        let schema = schema.project(&key_columns)?;
        match keyed.rows(&scan_of(KEYS, &schema, derive::key_name, redone)?) {
            Ok(plan) => rows.extend(evaluator.run(&Opaque::new(plan)).await?),
            Err(Refusal::NoRule(why)) => return Ok(Err(why)),
            Err(Refusal::Engine(error)) => return Err(error.into()),
        }
    }
    let rows = judge_all(model, rules, &rows)?;
    Ok(Ok((Target::OfKeys { rows, keys: Arc::new(set) }, how)))
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
    evaluator: &Evaluator<'_>,
    change: &Opaque<LogicalPlan>,
    rules: &mut Rules,
) -> Result<(Target, String), Error> {
    let output = nullable(&model.schema);
    let mut weighted: Vec<(RecordBatch, Int64Array)> = Vec::new();
    for batch in evaluator.run(change).await? {
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
    let deleted = judge_all(model, &mut rules.clone(), &pick(&fewer)?)?;
    Ok((Target::Change { inserted, deleted }, how))
}
