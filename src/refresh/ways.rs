//! The ways in which a view's change is found, and what comes of each.
//!
//! ```text
//! first rows of a key ──── those that stand and those that came ── numbered anew
//! exact aggregates ─────── what came and went by key ── added to the stored rows, taken off them
//! a result with a key ──── affected keys ── their rows, computed anew ── compared with those stored
//!                                       └─ or all of their partitions, overwritten
//! any other with rules ─── the derived change, weights summed ── rows more, rows fewer
//! ```

use super::Error;
use super::apply::Target;
use super::compare::{KeySet, consolidate, row_count};
use super::derive::{self, First, KEYS, Keyed, Merge, Sources, State, WEIGHT, ruled};
use super::evaluate::{Evaluator, in_memory};
use super::model::Model;
use super::output::{judge_all, nullable, shape};
use super::partitions::{Overwritten, overwritten};
use super::stood::Stood;
use crate::ops::opaque::Opaque;
use crate::quality::Rules;
use crate::sql::Expectation;
use arrow::array::{AsArray as _, Int64Array, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch, not};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// How a view's change is found.
pub(super) enum Way {
    Nothing,
    /// And how keys are computed anew whose least or greatest value went.
    Merge(Opaque<Merge>, Option<Opaque<Keyed>>),
    First(Opaque<First>),
    OfKeys(Opaque<Keyed>),
    Change(Opaque<LogicalPlan>),
}

/// True when these rules may keep rows of a query from being stored.
pub(super) fn drops_rows(expectations: &[Expectation]) -> bool {
    expectations.iter().any(|rule| rule.action.keeps_rows_out())
}

/// How the change of a table with these columns is found, which holds the plan's rows (but those that rules drop).
pub(super) fn derive_for(
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
    if !drops_rows
        && let Some(first) = derive::first(plan, sources)?
        && first.types().all(|(column, data_type)| is_same_value(data_type, stored_type(column)))
    {
        return Ok(Way::First(Opaque::new(first)));
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

/// How the change of a hidden table is found.
pub(super) fn derive_for_state(state: &State, sources: &Sources) -> derive::Derived<Way> {
    match &state.best {
        None => derive_for(&state.schema, false, &state.plan, sources),
        Some(_) => Ok(derive::change(state.rows()?, sources)?
            .map_or(Way::Nothing, |plan| Way::Change(Opaque::new(plan)))),
    }
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
pub(super) async fn of_keys(
    model: &Model,
    evaluator: &Evaluator<'_>,
    keyed: &Opaque<Keyed>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let Some(affected) = keyed.affected.clone() else { return Ok(Err("no key is affected".to_string())) };
    let affected = Opaque::new(affected);
    let keys = evaluator.run(&affected).await?;
    let set = Arc::new(KeySet::new(&model.schema, keyed.columns.clone(), &keys)?);
    if let Some(overwritten) = overwritten(model, &set)? {
        return of_partitions(model, evaluator, keyed, overwritten, set.len(), rules).await;
    }
    let how = format!("{} keys computed anew", set.len());
    let rows = match of_those(model, evaluator, keyed, keys, rules).await? {
        Ok(rows) => rows,
        Err(why) => return Ok(Err(why)),
    };
    let stood = Stood::read(&model.table, &set).await?;
    Ok(Ok((Target::OfKeys { rows, keys: set, stood }, how)))
}

/// The rows of partitions that a change of so many keys mostly affects.
pub(super) async fn of_partitions(
    model: &Model,
    evaluator: &Evaluator<'_>,
    keyed: &Keyed,
    overwritten: Overwritten,
    key_count: usize,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let Overwritten { within_key, keys, partitions } = overwritten;
    let how = format!("{} partitions overwritten for {key_count} keys", partitions.len());
    let rows = of_those(model, evaluator, &keyed.within(&within_key), keys, rules).await?;
    Ok(rows.map(|rows| (Target::OfPartitions { rows, partitions }, how)))
}

/// The rows to be stored of these keys.
pub(super) async fn of_those(
    model: &Model,
    evaluator: &Evaluator<'_>,
    keyed: &Keyed,
    keys: Vec<RecordBatch>,
    rules: &mut Rules,
) -> Result<Result<Vec<RecordBatch>, String>, Error> {
    let Some(schema) = keys.first().map(RecordBatch::schema) else { return Ok(Ok(Vec::new())) };
    let plan = match ruled(keyed.rows(&scan_of(KEYS, &schema, derive::key_name, keys)?))? {
        Ok(plan) => Opaque::new(plan),
        Err(why) => return Ok(Err(why)),
    };
    Ok(Ok(judge_all(model, rules, &evaluator.run(&plan).await?)?))
}

/// The first rows of the keys that came, among those that stand and those that came.
pub(super) async fn of_first(
    model: &Model,
    evaluator: &Evaluator<'_>,
    first: &Opaque<First>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let came = Opaque::new(first.came.clone());
    let came = in_memory(&came, evaluator.run(&came).await?)?;
    let affected = match ruled(first.affected(LogicalPlan::clone(&came)))? {
        Ok(plan) => Opaque::new(plan),
        Err(why) => return Ok(Err(why)),
    };
    let keys = evaluator.run(&affected).await?;
    let set = Arc::new(KeySet::new(&model.schema, first.columns.clone(), &keys)?);
    let stood = Stood::read(&model.table, &set).await?;
    let how = format!("added to {} keys, first rows kept", set.len());
    let plan = {
        let keys = scan_of(KEYS, affected.schema().as_arrow(), derive::key_name, keys)?;
        match ruled(first.rows(LogicalPlan::clone(&came), keys, stood.rows()?))? {
            Ok(plan) => Opaque::new(plan),
            Err(why) => return Ok(Err(why)),
        }
    };
    let rows = judge_all(model, rules, &evaluator.run(&plan).await?)?;
    Ok(Ok((Target::OfKeys { rows, keys: set, stood }, how)))
}

/// The stored rows of the changed keys, with what came added and what went taken off.
pub(super) async fn of_merge(
    model: &Model,
    evaluator: &Evaluator<'_>,
    merge: &Opaque<Merge>,
    keyed: Option<&Opaque<Keyed>>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let schema = merge.changed.schema().inner();
    let changed = evaluator.run(&Opaque::new(merge.changed.clone())).await?;
    let key_columns: Vec<usize> = (0..merge.keys.len()).collect();
    let keys = changed.iter().map(|batch| batch.project(&key_columns)).collect::<Result<Vec<_>, _>>()?;
    let set = Arc::new(KeySet::new(&model.schema, merge.keys.clone(), &keys)?);
    let stood = Stood::read(&model.table, &set).await?;
    let mut how = format!("added to {} keys", set.len());
    let plan = {
        let changed = scan_of("__changed", schema, |column| schema.field(column).name().clone(), changed)?;
        match ruled(merge.rows(changed, stood.rows()?))? {
            Ok(plan) => Opaque::new(plan),
            Err(why) => return Ok(Err(why)),
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
        how = format!("{how}, {} of them computed anew", row_count(&redone));
        let schema = schema.project(&key_columns)?;
        match ruled(keyed.rows(&scan_of(KEYS, &schema, derive::key_name, redone)?))? {
            Ok(plan) => rows.extend(evaluator.run(&Opaque::new(plan)).await?),
            Err(why) => return Ok(Err(why)),
        }
    }
    let rows = judge_all(model, rules, &rows)?;
    Ok(Ok((Target::OfKeys { rows, keys: set, stood }, how)))
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
pub(super) async fn of_change(
    model: &Model,
    evaluator: &Evaluator<'_>,
    change: &Opaque<LogicalPlan>,
    rules: &mut Rules,
) -> Result<(Target, String), Error> {
    let (inserted, deleted) = weighed(model, evaluator, change, rules).await?;
    let how = format!("{} rows more, {} fewer", row_count(&inserted), row_count(&deleted));
    Ok((Target::Change { inserted, deleted }, how))
}

/// What a derived change comes to, as rows to be stored: those that are more, and those that are fewer.
pub(super) async fn weighed(
    model: &Model,
    evaluator: &Evaluator<'_>,
    change: &Opaque<LogicalPlan>,
    rules: &mut Rules,
) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>), Error> {
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
    let inserted = judge_all(model, rules, &pick(&more)?)?;
    // Rows that the rules dropped were never stored.
    let deleted = judge_all(model, &mut rules.clone(), &pick(&fewer)?)?;
    Ok((inserted, deleted))
}
