//! System tables whose rows are made when they are read, and journals, which must last.

use crate::lake::{Commit, Effort, Error, Lake, Table, TableDefinition, TableName};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// A row of a system table, in the order of its columns.
pub type Row = Vec<ScalarValue>;

/// A time in a row.
pub fn time(value: Option<DateTime<Utc>>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(value.map(|time| time.timestamp_micros()), Some("UTC".into()))
}

/// Rows as a batch.
pub fn batch_of(schema: &SchemaRef, rows: Vec<Row>) -> Result<RecordBatch> {
    let columns = (0..schema.fields().len())
        .map(|column| {
            let field = schema.field(column);
            let values: Vec<ScalarValue> = rows
                .iter()
                .map(|row| match row.get(column) {
                    Some(value) if !value.is_null() => value.cast_to(field.data_type()),
                    _ => ScalarValue::try_from(field.data_type()),
                })
                .collect::<Result<_>>()?;
            if values.is_empty() {
                return Ok(arrow::array::new_empty_array(field.data_type()));
            }
            ScalarValue::iter_to_array(values)
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// All rows of a table that fit into memory. Blocks.
pub fn written(table: &Table) -> Result<Vec<RecordBatch>, Error> {
    let (snapshot, mut written) = (table.snapshot(), Vec::new());
    for file in &snapshot.files {
        table.read_file::<Error>(&snapshot, file, |rows, _| {
            written.push(rows);
            Ok(())
        })?;
    }
    Ok(written)
}

/// Makes these all rows of a table, in one commit.
pub async fn rewrite(table: &Arc<Table>, schema: &SchemaRef, rows: Vec<Row>) -> Result<(), Error> {
    let batch = batch_of(schema, rows).map_err(|error| unreadable(table, error.to_string()))?;
    let adds = if batch.num_rows() == 0 { vec![] } else { table.write(vec![batch], Effort::Fast).await? };
    table.overwrite(adds, vec![]).await.map(drop)
}

/// The error of rows that are not what they should be.
pub fn unreadable(table: &Table, reason: impl Into<String>) -> Error {
    Error::Corrupt { table: table.name().clone(), file: "its rows".to_string(), reason: reason.into() }
}

/// A table whose rows are made anew for each query.
pub struct LiveTable {
    schema: SchemaRef,
    rows: Arc<dyn Fn() -> Vec<Row> + Send + Sync>,
}

impl LiveTable {
    /// A table of these columns and of the rows that `rows` gives.
    pub fn new(schema: SchemaRef, rows: Arc<dyn Fn() -> Vec<Row> + Send + Sync>) -> Self {
        Self { schema, rows }
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTable").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = batch_of(&self.schema, (self.rows)())?;
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![vec![batch]])?;
        table.scan(state, projection, filters, limit).await
    }
}

/// The newest version of a Delta table, whatever cut the query reads: for the warehouse's own records.
#[derive(Debug)]
pub struct NewestTable {
    lake: Arc<Lake>,
    table: Arc<Table>,
}

impl NewestTable {
    /// A view of a table as it stands when read.
    pub fn new(lake: Arc<Lake>, table: Arc<Table>) -> Self {
        Self { lake, table }
    }

    fn now(&self) -> Arc<dyn TableProvider> {
        self.lake.provider(&self.table.snapshot())
    }
}

#[async_trait]
impl TableProvider for NewestTable {
    fn schema(&self) -> SchemaRef {
        self.now().schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.now().scan(state, projection, filters, limit).await
    }
}

/// Rows waiting in memory at most; more are dropped from the front when the disk refuses them for long.
const PENDING_MAX: usize = 100_000;

/// Records of what happened, appended to a Delta table of schema `sluice` in the background. A query sees what is
/// written and what still waits.
#[derive(Debug)]
pub struct Journal {
    lake: Arc<Lake>,
    table: Arc<Table>,
    schema: SchemaRef,
    /// When a row was noted.
    time_column: &'static str,
    pending: Mutex<Pending>,
    /// Held by who writes: two at once would write the same rows.
    writing: tokio::sync::Mutex<()>,
}

/// Application version: the number of the last row that is written.
const WRITTEN: &str = "sluice.journal";

/// Rows not yet written, numbered, so that a query counts none twice.
#[derive(Debug)]
struct Pending {
    next: i64,
    rows: VecDeque<(i64, Row)>,
}

impl Journal {
    /// Opens (and creates) `sluice.<name>`, whose rows are as old as `time_column` says. Blocks.
    pub fn open(
        lake: Arc<Lake>,
        name: &str,
        schema: SchemaRef,
        time_column: &'static str,
    ) -> Result<Self, Error> {
        let definition = TableDefinition::append_only(Arc::clone(&schema));
        let table = lake.ensure(&TableName::new("sluice", name), &definition)?;
        let next = table.snapshot().transaction(WRITTEN).unwrap_or(0) + 1;
        let pending = Mutex::new(Pending { next, rows: VecDeque::new() });
        Ok(Self { lake, table, schema, time_column, pending, writing: tokio::sync::Mutex::default() })
    }

    /// What is written. Blocks.
    pub fn written(&self) -> Result<Vec<RecordBatch>, Error> {
        written(&self.table)
    }

    /// Notes a row.
    pub fn note(&self, row: Row) {
        self.note_all([row]);
    }

    /// Notes rows, which are written in one commit.
    pub fn note_all(&self, rows: impl IntoIterator<Item = Row>) {
        let mut pending = self.pending.lock();
        for row in rows {
            if pending.rows.len() >= PENDING_MAX {
                pending.rows.pop_front();
            }
            let number = pending.next;
            pending.next += 1;
            pending.rows.push_back((number, row));
        }
    }

    /// Writes what waits.
    pub async fn flush(&self) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        let (last, rows): (i64, Vec<Row>) = {
            let pending = self.pending.lock();
            let Some((last, _)) = pending.rows.back() else { return Ok(()) };
            (*last, pending.rows.iter().map(|(_, row)| row.clone()).collect())
        };
        let batch = batch_of(&self.schema, rows).map_err(|e| Error::Corrupt {
            table: self.table.name().clone(),
            file: "journal".to_string(),
            reason: e.to_string(),
        })?;
        let files = self.table.write(vec![batch], Effort::Fast).await?;
        self.table.commit(Commit::append(files, vec![(WRITTEN.to_string(), last)])).await?;
        self.pending.lock().rows.retain(|(number, _)| *number > last);
        Ok(())
    }

    /// Forgets files whose rows were all noted before `before`.
    pub async fn forget(&self, before: DateTime<Utc>) -> Result<(), Error> {
        self.table.forget(self.time_column, before, |_| false).await
    }
}

/// A journal as a table.
#[derive(Debug)]
pub struct JournalTable(pub Arc<Journal>);

#[async_trait]
impl TableProvider for JournalTable {
    fn schema(&self) -> SchemaRef {
        self.0.lake.provider(&self.0.table.snapshot()).schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let waiting = self.0.pending.lock().rows.clone();
        let snapshot = self.0.table.snapshot();
        let last = snapshot.transaction(WRITTEN).unwrap_or(0);
        let rows = waiting.into_iter().filter(|(number, _)| *number > last).map(|(_, row)| row).collect();
        let written = self.0.lake.provider(&snapshot);
        let schema = written.schema();
        let waiting = batch_of(&schema, rows)?;
        let waiting = MemTable::try_new(Arc::clone(&schema), vec![vec![waiting]])?;
        let written = written.scan(state, projection, filters, limit).await?;
        let waiting = waiting.scan(state, projection, filters, limit).await?;
        UnionExec::try_new(vec![written, waiting])
            .map_err(|e| DataFusionError::Context("journal".into(), Box::new(e)))
    }
}
