//! Is a view what its query gives? The stored rows of one cut against the query computed whole over the input versions
//! that they were computed from, as bags of rows.
//!
//! Runs as one plan of the engine, which spills and is stopped like any other query.

use super::Error;
use super::control::Refusal;
use super::derive::clock_input;
use super::model::Model;
use super::watermark;
use crate::catalog::cut::{Cut, CutTable};
use crate::engine::{Engine, logical_plan, physical_plan};
use crate::lake::{self, Lake, Table, TableName};
use crate::ops::opaque::Opaque;
use crate::quality::shown;
use crate::sql::Expectation;
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use chrono::DateTime;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, cast, ident, lit};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows shown of those that differ.
pub const EXAMPLES_MAX: usize = 10;

/// How a view compares with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The cut's epoch.
    pub epoch: i64,
    /// Stored rows.
    pub rows: i64,
    /// Rows that the query gives and that are not stored.
    pub missing: i64,
    /// Rows that are stored and that the query does not give.
    pub unexpected: i64,
    /// Some of either.
    pub examples: Vec<String>,
}

/// What views stand on.
pub(super) struct Ground<'a> {
    pub(super) lake: &'a Lake,
    pub(super) tables: &'a BTreeMap<TableName, Arc<Table>>,
    pub(super) engine: &'a Engine,
}

/// Compares a view's rows in a cut with its query.
pub(super) async fn verify(
    model: &Model,
    ground: &Ground<'_>,
    cut: &Arc<Cut>,
    asks_for_time: bool,
) -> Result<Verified, Refusal> {
    let not_computed = || Refusal::NotComputed(model.name.clone());
    let stands = cut.tables.get(&model.name).ok_or_else(|| Refusal::NoModel(model.name.clone()))?;
    let stored = stands.provider.clone().ok_or_else(not_computed)?;
    let snapshot = snapshot_at(&model.table, stands.version, model).await?;
    if !model.is_of(&snapshot) {
        return Err(not_computed());
    }
    let computed = stands.computed.clone().ok_or_else(not_computed)?;
    let now = match (computed.at, asks_for_time) {
        (Some(at), _) => at,
        (None, false) => cut.wave_time,
        // From before this process: as the rows' own commit has it.
        (None, true) => {
            let since =
                computed.inputs.get(&clock_input()).and_then(|at| DateTime::from_timestamp_micros(*at));
            since.ok_or_else(not_computed)?
        }
    };
    let then = Arc::new(cut_of(ground, model, cut, &computed.inputs).await?);
    let state = ground.engine.state_at(&then, now);
    let query = logical_plan(&state, &model.query).await.map_err(Error::from)?;
    let plan = counts(&state, &query, stored, &model.schema, &model.expectations).map_err(Error::from)?;
    Ok(count(model, cut.epoch, &state, &Opaque::new(plan)).await?)
}

async fn snapshot_at(
    table: &Arc<Table>,
    version: i64,
    model: &Model,
) -> Result<Arc<lake::Snapshot>, Refusal> {
    match table.snapshot_at(version).await {
        Ok(snapshot) => Ok(snapshot),
        Err(lake::Error::Gone { .. }) => {
            Err(Refusal::Gone { model: model.name.clone(), input: table.name().clone(), version })
        }
        Err(error) => Err(Error::from(error).into()),
    }
}

/// The cut with the versions of a view's inputs that it was computed from.
async fn cut_of(
    ground: &Ground<'_>,
    model: &Model,
    cut: &Cut,
    inputs: &BTreeMap<TableName, i64>,
) -> Result<Cut, Refusal> {
    let mut then = cut.clone();
    for (input, version) in inputs {
        let source = input.source_of_watermark();
        let Some(table) = ground.tables.get(source.as_ref().unwrap_or(input)) else { continue };
        let Some(now) = cut.tables.get(input).filter(|now| now.version != *version) else { continue };
        let snapshot = snapshot_at(table, *version, model).await?;
        if source.is_some() {
            then.tables.insert(input.clone(), watermark::in_cut(&now.relation, &snapshot));
            continue;
        }
        // In columns that came since they are what they were: NULL.
        let newest = table.snapshot().showing(&now.relation.schema);
        let provider = match lake::reads_alike(&snapshot.schema, &newest.schema) {
            true => ground.lake.provider_of_files(&newest, snapshot.files.clone()),
            false => ground.lake.provider(&snapshot.showing(&now.relation.schema)),
        };
        let provider = Some(provider);
        then.tables.insert(input.clone(), CutTable { version: *version, provider, ..now.clone() });
    }
    Ok(then)
}

/// Each different row once: how often the query gives it, how often it is stored.
fn counts(
    state: &SessionState,
    query: &LogicalPlan,
    stored: Arc<dyn TableProvider>,
    schema: &SchemaRef,
    expectations: &[Expectation],
) -> Result<LogicalPlan, DataFusionError> {
    let given = typed(LogicalPlanBuilder::from(query.clone()), schema)?;
    let kept = expectations.iter().filter(|rule| rule.action.keeps_rows_out());
    let kept = kept.map(|rule| state.create_logical_expr(&rule.predicate, given.schema()));
    let given =
        kept.collect::<Result<Vec<_>, _>>()?.into_iter().try_fold(given, LogicalPlanBuilder::filter)?;
    let stored = typed(LogicalPlanBuilder::scan("__stored", provider_as_source(stored), None)?, schema)?;
    let both = marked(given, 1, 0)?.union(marked(stored, 0, 1)?.build()?)?;
    let columns: Vec<Expr> = (0..schema.fields().len()).map(|i| ident(column_name(i))).collect();
    let sums = ["given", "stored"].map(|name| sum(ident(name)).alias(name));
    both.aggregate(columns, sums)?.build()
}

/// A plan's columns by position, under the names and types that are stored.
fn typed(plan: LogicalPlanBuilder, schema: &SchemaRef) -> Result<LogicalPlanBuilder, DataFusionError> {
    let columns = plan.schema().columns();
    if columns.len() != schema.fields().len() {
        let (given, stored) = (columns.len(), schema.fields().len());
        return Err(DataFusionError::Plan(format!(
            "the query gives {given} columns, the table has {stored}"
        )));
    }
    let mut exprs = Vec::with_capacity(columns.len());
    for (column, field) in columns.into_iter().zip(schema.fields()) {
        let column = Expr::Column(column);
        let stands = column.get_type(plan.schema())? == *field.data_type();
        let typed = if stands { column } else { cast(column, field.data_type().clone()) };
        exprs.push(typed.alias(field.name()));
    }
    plan.project(exprs)
}

fn marked(plan: LogicalPlanBuilder, given: i64, stored: i64) -> Result<LogicalPlanBuilder, DataFusionError> {
    let columns = plan.schema().columns().into_iter().enumerate();
    let mut exprs: Vec<Expr> =
        columns.map(|(i, column)| Expr::Column(column).alias(column_name(i))).collect();
    exprs.extend([lit(given).alias("given"), lit(stored).alias("stored")]);
    plan.project(exprs)
}

fn column_name(position: usize) -> String {
    format!("c{position}")
}

async fn count(
    model: &Model,
    epoch: i64,
    state: &Opaque<SessionState>,
    plan: &Opaque<LogicalPlan>,
) -> Result<Verified, Error> {
    let physical = physical_plan(state, plan).await?;
    let mut batches = execute_stream(physical, state.task_ctx())?;
    let mut verified = Verified { epoch, rows: 0, missing: 0, unexpected: 0, examples: Vec::new() };
    while let Some(batch) = batches.next().await {
        take(&mut verified, &batch?, &model.schema)?;
    }
    Ok(verified)
}

/// Counts the rows of a batch of [`counts`].
fn take(verified: &mut Verified, batch: &RecordBatch, schema: &SchemaRef) -> Result<(), Error> {
    let columns = schema.fields().len();
    let given = batch.column(columns).as_primitive::<Int64Type>();
    let stored = batch.column(columns + 1).as_primitive::<Int64Type>();
    for row in 0..batch.num_rows() {
        let (given, stored) = (given.value(row), stored.value(row));
        verified.rows += stored;
        verified.missing += (given - stored).max(0);
        verified.unexpected += (stored - given).max(0);
        if given != stored && verified.examples.len() < EXAMPLES_MAX {
            let what = if given > stored { "missing" } else { "unexpected" };
            let times = match given.abs_diff(stored) {
                1 => String::new(),
                times => format!(" ({times} times)"),
            };
            let shown = shown(&batch.columns()[..columns], row, schema)?;
            verified.examples.push(format!("{what}{times}: {shown}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::ViolationAction;
    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::MemTable;
    use datafusion::prelude::SessionContext;

    fn table(rows: &[(Option<f64>, Option<&str>)]) -> Arc<MemTable> {
        let floats: Float64Array = rows.iter().map(|(x, _)| *x).collect();
        let texts: StringArray = rows.iter().map(|(_, t)| *t).collect();
        let batch =
            RecordBatch::try_new(schema(), vec![Arc::new(floats) as ArrayRef, Arc::new(texts)]).unwrap();
        Arc::new(MemTable::try_new(schema(), vec![vec![batch]]).unwrap())
    }

    fn schema() -> SchemaRef {
        let fields = [("x", DataType::Float64), ("t", DataType::Utf8)];
        Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
    }

    async fn compared(
        given: &[(Option<f64>, Option<&str>)],
        stored: &[(Option<f64>, Option<&str>)],
    ) -> Verified {
        let context = SessionContext::new();
        let state = context.state();
        let query =
            LogicalPlanBuilder::scan("given", provider_as_source(table(given)), None).unwrap().build();
        let rule = Expectation {
            name: "short".to_string(),
            predicate: "t <> 'long'".to_string(),
            action: ViolationAction::DropRow,
            at_least: None,
            origin: crate::sql::Origin::default(),
        };
        let plan = counts(&state, &query.unwrap(), table(stored), &schema(), &[rule]).unwrap();
        let batches = context.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let mut verified = Verified { epoch: 1, rows: 0, missing: 0, unexpected: 0, examples: vec![] };
        for batch in &batches {
            take(&mut verified, batch, &schema()).unwrap();
        }
        verified.examples.sort_unstable();
        verified
    }

    #[tokio::test]
    async fn equal_bags_are_equal_whatever_their_order() {
        let rows = [(Some(f64::NAN), Some("a")), (None, Some("b")), (None, Some("b")), (Some(1.5), Some(""))];
        let mut other = rows;
        other.reverse();
        let verified = compared(&rows, &other).await;
        assert_eq!((verified.rows, verified.missing, verified.unexpected), (4, 0, 0), "{verified:?}");
        assert!(verified.examples.is_empty());
    }

    #[tokio::test]
    async fn copies_count_and_rules_drop() {
        let given = [(Some(1.0), Some("a")), (Some(1.0), Some("a")), (Some(2.0), Some("long")), (None, None)];
        let stored = [(Some(1.0), Some("a")), (None, Some("z")), (None, Some("z"))];
        let verified = compared(&given, &stored).await;
        // A rule that is NULL drops, too.
        assert_eq!((verified.rows, verified.missing, verified.unexpected), (3, 1, 2), "{verified:?}");
        assert_eq!(verified.examples, ["missing: x = 1.0, t = a", "unexpected (2 times): x = NULL, t = z"]);
    }
}
