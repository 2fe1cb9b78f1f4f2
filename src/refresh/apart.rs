//! Rows that a refresh sets apart, on their way into the quarantine table: traced ones get the bytes of their input row.
//!
//! The bytes are read only when a row is set apart, and then by its position: a refresh without such rows reads none.

use super::Error;
use super::intake::write;
use crate::catalog::cut::Cut;
use crate::lake::{DataFile, DataWriter, Effort, Table, TableName};
use crate::ops::opaque::Opaque;
use crate::sql::quarantine_schema;
use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, cast, col, lit};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows that wait in memory for their bytes at most.
const WAITING_ROWS_MAX: usize = 65_536;

/// The writer of a quarantine table.
pub(super) struct Apart<'a> {
    table: TableName,
    writer: DataWriter,
    inputs: BTreeMap<String, Arc<dyn TableProvider>>,
    session: &'a Opaque<SessionState>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    rows: u64,
}

impl<'a> Apart<'a> {
    /// Rows come from tables of this cut.
    pub(super) fn new(
        table: &Arc<Table>,
        cut: &Cut,
        session: &'a Opaque<SessionState>,
    ) -> Result<Self, Error> {
        let inputs = cut.tables.iter();
        let inputs = inputs.filter_map(|(name, table)| Some((name.to_string(), table.provider.clone()?)));
        Ok(Self {
            table: table.name().clone(),
            writer: table.writer(Effort::Fast)?,
            inputs: inputs.collect(),
            session,
            waiting: Vec::new(),
            waiting_rows: 0,
            rows: 0,
        })
    }

    /// Takes rows in the shape of [`quarantine_schema`].
    pub(super) async fn take(&mut self, rows: RecordBatch) -> Result<(), Error> {
        self.waiting_rows += rows.num_rows();
        self.waiting.push(rows);
        match self.waiting_rows >= WAITING_ROWS_MAX {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// The files, and how many rows they hold.
    pub(super) async fn finish(mut self) -> Result<(Vec<DataFile>, u64), Error> {
        self.flush().await?;
        let files = tokio::task::block_in_place(|| self.writer.finish())?;
        Ok((files, self.rows))
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = concat_batches(&quarantine_schema(), &std::mem::take(&mut self.waiting))?;
        self.waiting_rows = 0;
        self.rows += u64::try_from(rows.num_rows()).unwrap_or(u64::MAX);
        let sources = rows.column(0).as_string::<i32>();
        let batches = rows.column(INPUT_BATCH).as_primitive::<Int64Type>();
        let traced: BooleanArray = batches.iter().map(|batch| Some(batch.is_some())).collect();
        let untraced = filter_record_batch(&rows, &arrow::compute::not(&traced)?)?;
        tokio::task::block_in_place(|| write(&mut self.writer, &self.table, &untraced))?;
        let mut names: Vec<&str> = sources.iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let Some(input) = self.inputs.get(name) else { continue };
            let is_of =
                |(source, batch): (Option<&str>, Option<i64>)| source == Some(name) && batch.is_some();
            let mask: BooleanArray = sources.iter().zip(batches).map(is_of).map(Some).collect();
            let rows = filter_record_batch(&rows, &mask)?;
            if rows.num_rows() == 0 {
                continue;
            }
            let plan = Opaque::new(with_bytes(rows, input)?);
            let physical = crate::engine::physical_plan(self.session, &plan).await?;
            let mut batches = execute_stream(physical, self.session.task_ctx())?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                tokio::task::block_in_place(|| write(&mut self.writer, &self.table, &batch))?;
            }
        }
        Ok(())
    }
}

/// Where [`quarantine_schema`] has the input row's `_batch`.
const INPUT_BATCH: usize = 8;

/// Rows of one input with the bytes that their input rows came as, and where from.
fn with_bytes(rows: RecordBatch, input: &Arc<dyn TableProvider>) -> Result<LogicalPlan, DataFusionError> {
    let schema = rows.schema();
    let commits = rows.column(INPUT_BATCH).as_primitive::<Int64Type>();
    let (first, last) = (min(commits).unwrap_or(i64::MIN), max(commits).unwrap_or(i64::MAX));
    let apart = MemTable::try_new(Arc::clone(&schema), vec![vec![rows]])?;
    let input = LogicalPlanBuilder::scan("input", provider_as_source(Arc::clone(input)), None)?
        .filter(of("input", "_batch").between(lit(first), lit(last)))?;
    let column = |table: &str, name: &str| Column::new(Some(table.to_string()), name);
    let left = ["partition", "offset", "input_batch"].map(|name| column("apart", name)).to_vec();
    let right = super::traced::POSITION.map(|name| column("input", name)).to_vec();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "raw" => coalesce(vec![cast(of("input", "_raw"), DataType::Binary), of("apart", "raw")]).alias("raw"),
        "origin" => of("input", "_source").alias("origin"),
        name => of("apart", name),
    });
    LogicalPlanBuilder::scan("apart", provider_as_source(Arc::new(apart)), None)?
        .join(input.build()?, JoinType::Left, (left, right), None)?
        .project(columns)?
        .build()
}

pub(super) fn of(table: &str, column: &str) -> Expr {
    col(Column::new(Some(table.to_string()), column))
}
