//! Change feeds gone on from where they stand. Where all that came of a key is later than its row that stands, its rows
//! follow from these: the changes that brought it there are not read again.
//!
//! ```text
//! what came ─┬─ later than what stands of its key ── with that row, which is one more change ── the continuation
//!            └─ of a key of which nothing stands, late or at the same time ── that key computed anew
//! ```

use super::Error;
use super::apply::Target;
use super::compare::{KeySet, key_rows, row_count};
use super::derive::{self, Keyed, Source, Sources, Split};
use super::evaluate::{Evaluator, distinct, in_memory};
use super::incremental::known_chain;
use super::model::{Model, Outline};
use super::output::judge_all;
use super::partitions::overwritten;
use super::stood::Stood;
use super::ways::{of_partitions, of_those};
use crate::catalog::cut::Cut;
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use crate::quality::Rules;
use crate::sql::Continuation;
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch, is_null, not};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableScan, TableSource};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How a feed is gone on from, planned, and what came.
pub(super) struct Continued<'a> {
    continuation: &'a Continuation,
    plan: Opaque<Split>,
    source: &'a Source,
}

/// How a model is gone on from; `None` when it is no such feed, or when anything but its changes has changed.
pub(super) async fn continued<'a>(
    model: &'a Model,
    evaluator: &Evaluator<'_>,
    cut: &Arc<Cut>,
    sources: &'a Opaque<Sources>,
) -> Result<Option<Continued<'a>>, Error> {
    let Some(continuation) = &model.continuation else { return Ok(None) };
    let Some(source) = sources.tables.get(&continuation.input) else { return Ok(None) };
    if sources.tables.len() > 1 || sources.since.is_some() || !source.deleted.is_empty() {
        return Ok(None);
    }
    let outline = Outline { query: &continuation.query, ..model.outline() };
    let plan = known_chain(&outline, &model.continued, evaluator.state(), cut).await?;
    Ok(plan.ok().map(|plan| Continued { continuation, plan, source }))
}

/// The rows of the keys that came.
pub(super) async fn of_feed(
    model: &Model,
    evaluator: &Evaluator<'_>,
    keyed: &Opaque<Keyed>,
    continued: &Continued<'_>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let Continued { continuation, plan, source } = continued;
    let plan = evaluator.pruned(&plan.query)?;
    let came = evaluator.run(&came(&plan, &continuation.input, source)?).await?;
    let told = Told::new(&model.schema, &keyed.columns, &continuation.sequence)?;
    let keys = distinct(each(&came, |batch| told.keys(batch))?)?;
    let set = Arc::new(KeySet::new(&model.schema, keyed.columns.clone(), &keys)?);
    if let Some(overwritten) = overwritten(model, &set)? {
        return of_partitions(model, evaluator, keyed, overwritten, set.len(), rules).await;
    }
    let stood = Stood::read(&model.table, &set).await?;
    let is_open = |rows: &RecordBatch| match continuation.end.and_then(|end| rows.column_by_name(end)) {
        Some(end) => is_null(end),
        None => Ok(BooleanArray::from(vec![true; rows.num_rows()])),
    };
    let (open, ended) = parted(stood.batches(), is_open)?;
    let followed = Followed::new(&told, &came, &open)?;
    let (came, others) = parted(&came, |rows| followed.holds(rows))?;
    let anew = distinct(each(&others, |rows| told.keys(rows))?)?;
    let anew_count = row_count(&anew);
    let mut rows = Vec::new();
    if anew_count < set.len() {
        let (open, _) = parted(&open, |rows| followed.holds(rows))?;
        let (ended, _) = parted(&ended, |rows| followed.holds(rows))?;
        rows = evaluator.run(&over(&plan, &continuation.input, came, open)?).await?;
        rows.extend(ended);
    }
    let mut rows = judge_all(model, rules, &rows)?;
    if anew_count > 0 {
        match of_those(model, evaluator, keyed, anew, rules).await? {
            Ok(of_those) => rows.extend(of_those),
            Err(why) => return Ok(Err(why)),
        }
    }
    let how = format!("{} keys gone on from, {anew_count} computed anew", set.len() - anew_count);
    Ok(Ok((Target::OfKeys { rows, keys: set, stood }, how)))
}

fn each<'a>(
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    make: impl Fn(&RecordBatch) -> Result<RecordBatch, ArrowError>,
) -> Result<Vec<RecordBatch>, ArrowError> {
    batches.into_iter().map(make).collect()
}

/// The rows that are meant, and the others.
fn parted<'a>(
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    meant: impl Fn(&RecordBatch) -> Result<BooleanArray, ArrowError>,
) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>), ArrowError> {
    let (mut these, mut others) = (Vec::new(), Vec::new());
    for batch in batches {
        let meant = meant(batch)?;
        these.push(filter_record_batch(batch, &meant)?);
        others.push(filter_record_batch(batch, &not(&meant)?)?);
    }
    Ok((these, others))
}

/// The rows that came, in the columns that the continuation reads.
fn came(plan: &LogicalPlan, input: &TableName, source: &Source) -> Result<Opaque<LogicalPlan>, Error> {
    let mut read = None;
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && derive::name_of(&scan.table_name) == *input
        {
            read = Some(scan.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let gone = || DataFusionError::Plan(format!("the continuation does not read {input}"));
    let scan = read.ok_or_else(gone)?;
    let of = |rows: &Arc<dyn TableSource>| {
        LogicalPlan::TableScan(TableScan { source: Arc::clone(rows), ..scan.clone() })
    };
    let mut parts = source.inserted.iter().map(of);
    let first = parts.next().ok_or_else(gone)?;
    let all = parts.try_fold(LogicalPlanBuilder::from(first), LogicalPlanBuilder::union)?;
    Ok(Opaque::new(all.build()?))
}

/// The continuation over rows that came and rows that stand.
fn over(
    plan: &LogicalPlan,
    input: &TableName,
    came: Vec<RecordBatch>,
    stood: Vec<RecordBatch>,
) -> Result<Opaque<LogicalPlan>, Error> {
    let plan = plan.clone().transform_up(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let rows = if derive::name_of(&scan.table_name) == *input { &came } else { &stood };
        let fields = node.schema().fields();
        let fitted = each(rows, |batch| {
            let columns = fields.iter().map(|field| {
                let place = batch.schema_ref().index_of(field.name())?;
                cast(batch.column(place), field.data_type())
            });
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let schema = Arc::new(Schema::new(fields.clone()));
            RecordBatch::try_new_with_options(schema, columns.collect::<Result<_, _>>()?, &options)
        })?;
        let rows = in_memory(&node, fitted).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Transformed::yes(LogicalPlan::clone(&rows)))
    })?;
    Ok(Opaque::new(plan.data))
}

/// What tells a row's key and its sequence, as rows that can be compared.
struct Told {
    keys: Vec<(String, DataType)>,
    sequence: (String, DataType),
    key_rows: RowConverter,
    sequence_rows: RowConverter,
}

impl Told {
    /// The key in these columns of the table.
    fn new(schema: &Schema, key: &[usize], sequence: &str) -> Result<Self, ArrowError> {
        let column = |field: &Field| (field.name().clone(), field.data_type().clone());
        let keys: Vec<_> = key.iter().map(|place| column(schema.field(*place))).collect();
        let sequence = column(schema.field_with_name(sequence)?);
        let rows = |data_type: &DataType| SortField::new(data_type.clone());
        Ok(Self {
            key_rows: RowConverter::new(keys.iter().map(|(_, data_type)| rows(data_type)).collect())?,
            // NULL is the least, as it is where changes are ordered.
            sequence_rows: RowConverter::new(vec![rows(&sequence.1)])?,
            keys,
            sequence,
        })
    }

    /// The columns of the key.
    fn keys(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let places = self.keys.iter().map(|(name, _)| rows.schema_ref().index_of(name));
        rows.project(&places.collect::<Result<Vec<_>, _>>()?)
    }

    fn keys_to_compare(&self, rows: &RecordBatch) -> Result<Rows, ArrowError> {
        let keys = self.keys(rows)?;
        let typed = keys.columns().iter().zip(&self.keys).map(|(column, (_, to))| cast(column, to));
        key_rows(&self.key_rows, &typed.collect::<Result<Vec<_>, _>>()?)
    }

    fn sequence_to_compare(&self, rows: &RecordBatch) -> Result<Rows, ArrowError> {
        let (name, to) = &self.sequence;
        let column = rows.column(rows.schema_ref().index_of(name)?);
        self.sequence_rows.convert_columns(&[cast(column, to)?])
    }
}

/// The keys that are gone on from: of each one row stands that may change, and all that came is later.
struct Followed<'a> {
    told: &'a Told,
    keys: HashSet<OwnedRow>,
}

impl<'a> Followed<'a> {
    fn new(told: &'a Told, came: &[RecordBatch], open: &[RecordBatch]) -> Result<Self, ArrowError> {
        let mut earliest: HashMap<OwnedRow, OwnedRow> = HashMap::new();
        for batch in came {
            let (keys, sequences) = (told.keys_to_compare(batch)?, told.sequence_to_compare(batch)?);
            for (key, sequence) in keys.iter().zip(sequences.iter()) {
                match earliest.entry(key.owned()) {
                    Entry::Occupied(mut known) if sequence < known.get().row() => {
                        known.insert(sequence.owned());
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(new) => {
                        new.insert(sequence.owned());
                    }
                }
            }
        }
        let (mut held, mut seen) = (HashSet::new(), HashSet::new());
        for batch in open {
            let (keys, sequences) = (told.keys_to_compare(batch)?, told.sequence_to_compare(batch)?);
            for (key, sequence) in keys.iter().zip(sequences.iter()) {
                let key = key.owned();
                let is_later = earliest.get(&key).is_some_and(|first| first.row() > sequence);
                if !seen.insert(key.clone()) {
                    // Which of several is the last is not told.
                    held.remove(&key);
                } else if is_later {
                    held.insert(key);
                }
            }
        }
        Ok(Self { told, keys: held })
    }

    /// For each of these rows, whether its key is among them.
    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let keys = self.told.keys_to_compare(rows)?;
        Ok(keys.iter().map(|key| Some(self.keys.contains(&key.owned()))).collect())
    }
}
