//! Is a view what its query gives? The stored rows of one cut against the query computed whole over the input versions
//! that they were computed from, as bags of rows. Rows that agree but for the rounding of their FLOAT columns are the same
//! ([`super::near`]): the sum of floats depends on the order in which they are added.
//!
//! Runs as one plan of the engine, which spills and is stopped like any other query.

use super::Error;
use super::control::Refusal;
use super::derive::clock_input;
use super::model::Model;
use super::near::{Columns, Odd, Pairing};
use super::watermark;
use crate::catalog::cut::{Cut, CutTable};
use crate::engine::{Engine, expression, logical_plan, physical_plan};
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
use datafusion::functions_aggregate::expr_fn::{count, sum};
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
    let rows = Opaque::new(stored_rows(Arc::clone(&stored)).map_err(Error::from)?);
    let plan = differing(&state, &query, stored, &model.schema, &model.expectations);
    let plan = Opaque::new(plan.map_err(Error::from)?);
    let mut verified =
        Verified { epoch: cut.epoch, rows: 0, missing: 0, unexpected: 0, examples: Vec::new() };
    run(&state, &rows, |batch| {
        verified.rows = batch.column(0).as_primitive::<Int64Type>().value(0);
        Ok(())
    })
    .await?;
    let mut pairing = Pairing::new(Columns::of(&model.schema));
    run(&state, &plan, |batch| take(&mut verified, &mut pairing, batch, &model.schema)).await?;
    for odd in pairing.finish() {
        differ(&mut verified, &odd, &model.schema)?;
    }
    Ok(verified)
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

/// How many rows are stored.
fn stored_rows(stored: Arc<dyn TableProvider>) -> Result<LogicalPlan, DataFusionError> {
    let scan = LogicalPlanBuilder::scan("__stored", provider_as_source(stored), None)?;
    scan.aggregate(Vec::<Expr>::new(), [count(lit(1))])?.build()
}

/// Each row that the query gives more or less often than it is stored, once, with how many more it gives; in the order in
/// which [`super::near`] looks for pairs.
fn differing(
    state: &SessionState,
    query: &LogicalPlan,
    stored: Arc<dyn TableProvider>,
    schema: &SchemaRef,
    expectations: &[Expectation],
) -> Result<LogicalPlan, DataFusionError> {
    // A union's inputs may call their columns otherwise: what is made of its columns must not be pushed into it by name.
    let given = typed(LogicalPlanBuilder::from(query.clone()).alias("__given")?, schema)?;
    let kept = expectations.iter().filter(|rule| rule.action.keeps_rows_out());
    let kept = kept.map(|rule| expression(state, &rule.predicate, given.schema()));
    let given =
        kept.collect::<Result<Vec<_>, _>>()?.into_iter().try_fold(given, LogicalPlanBuilder::filter)?;
    let stored = typed(LogicalPlanBuilder::scan("__stored", provider_as_source(stored), None)?, schema)?;
    let both = marked(given, 1)?.union(marked(stored, -1)?.build()?)?;
    let columns: Vec<Expr> = (0..schema.fields().len()).map(|i| ident(column_name(i))).collect();
    let differing = both.aggregate(columns, [sum(ident(MORE)).alias(MORE)])?;
    let differing = differing.filter(ident(MORE).not_eq(lit(0_i64)))?;
    let order = Columns::of(schema).order().into_iter().map(|i| ident(column_name(i)).sort(true, true));
    let order: Vec<_> = order.collect();
    if order.is_empty() { differing.build() } else { differing.sort(order)?.build() }
}

/// The column that tells how many more of a row are given than stored.
const MORE: &str = "more";

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

fn marked(plan: LogicalPlanBuilder, more: i64) -> Result<LogicalPlanBuilder, DataFusionError> {
    let columns = plan.schema().columns().into_iter().enumerate();
    let mut exprs: Vec<Expr> =
        columns.map(|(i, column)| Expr::Column(column).alias(column_name(i))).collect();
    exprs.push(lit(more).alias(MORE));
    plan.project(exprs)
}

fn column_name(position: usize) -> String {
    format!("c{position}")
}

/// Runs a plan, and does something with each batch of its rows.
async fn run(
    state: &Opaque<SessionState>,
    plan: &Opaque<LogicalPlan>,
    mut each: impl FnMut(&RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let physical = physical_plan(state, plan).await?;
    let mut batches = execute_stream(physical, state.task_ctx())?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        if batch.num_rows() > 0 {
            each(&batch)?;
        }
    }
    Ok(())
}

/// Counts the rows of a batch of [`differing`].
fn take(
    verified: &mut Verified,
    pairing: &mut Pairing,
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<(), Error> {
    let more = batch.column(schema.fields().len()).as_primitive::<Int64Type>();
    for odd in pairing.take(batch, more.values())? {
        differ(verified, &odd, schema)?;
    }
    Ok(())
}

/// Counts a row that has no partner.
fn differ(verified: &mut Verified, odd: &Odd, schema: &SchemaRef) -> Result<(), Error> {
    verified.missing += odd.more.max(0);
    verified.unexpected += (-odd.more).max(0);
    if verified.examples.len() < EXAMPLES_MAX {
        let what = if odd.more > 0 { "missing" } else { "unexpected" };
        let times = match odd.more.unsigned_abs() {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        let shown = shown(&odd.batch.columns()[..schema.fields().len()], odd.row, schema)?;
        verified.examples.push(format!("{what}{times}: {shown}"));
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
        let plan = differing(&state, &query.unwrap(), table(stored), &schema(), &[rule]).unwrap();
        let batches = async |plan| context.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let rows: Vec<RecordBatch> = batches(stored_rows(table(stored)).unwrap()).await;
        let rows = rows[0].column(0).as_primitive::<Int64Type>().value(0);
        let mut verified = Verified { epoch: 1, rows, missing: 0, unexpected: 0, examples: vec![] };
        let mut pairing = Pairing::new(Columns::of(&schema()));
        for batch in &batches(plan).await {
            take(&mut verified, &mut pairing, batch, &schema()).unwrap();
        }
        pairing.finish().for_each(|odd| differ(&mut verified, &odd, &schema()).unwrap());
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

    /// As sums are whose values were added in another order.
    #[tokio::test]
    async fn floats_are_equal_but_for_their_rounding() {
        let given = [(Some(0.1 + 0.2), Some("a")), (Some(0.3), Some("b")), (Some(1.0), Some("c"))];
        let stored = [(Some(0.3), Some("a")), (Some(0.1 + 0.2), Some("b")), (Some(1.1), Some("c"))];
        let verified = compared(&given, &stored).await;
        assert_eq!((verified.rows, verified.missing, verified.unexpected), (3, 1, 1), "{verified:?}");
        assert_eq!(verified.examples, ["missing: x = 1.0, t = c", "unexpected: x = 1.1, t = c"]);
    }

    /// DataFusion looks for `x` in the union's second input, too, where it cannot rename `y` on the way.
    #[tokio::test]
    async fn a_unions_columns_are_called_by_its_first_input() {
        let context = SessionContext::new();
        context.register_table("v", table(&[(Some(1.0), Some("a")), (Some(2.0), Some("b"))])).unwrap();
        let query = "SELECT x, t FROM v UNION ALL (SELECT x + 1 AS y, t FROM v ORDER BY y DESC, t LIMIT 1)";
        let query = context.sql(query).await.unwrap().logical_plan().clone();
        let stored = table(&[(Some(1.0), Some("a")), (Some(2.0), Some("b")), (Some(3.0), Some("b"))]);
        let plan = differing(&context.state(), &query, stored, &schema(), &[]).unwrap();
        let rows = context.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "{rows:?}");
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
