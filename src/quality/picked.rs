//! Rows of a quarantine table that are taken out of it again.

use super::quarantine::ApartState;
use crate::engine::expression;
use crate::lake::{DataFile, Effort, Error, Snapshot, Table};
use crate::sql::quarantine_schema;
use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::context::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Which record a row of a quarantine table stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The table that the record came to, or was to.
    pub source: String,
    /// `_partition`.
    pub partition: String,
    /// `_offset`.
    pub offset: i64,
    /// `_batch`; none of a record that has not become a row.
    pub batch: Option<i64>,
}

impl Place {
    /// Places of one input as rows.
    pub fn rows(places: &[&Self]) -> Result<RecordBatch, ArrowError> {
        let partitions: ArrayRef =
            Arc::new(StringArray::from_iter_values(places.iter().map(|p| p.partition.as_str())));
        let offsets: ArrayRef = Arc::new(Int64Array::from_iter_values(places.iter().map(|p| p.offset)));
        let batches: ArrayRef = Arc::new(Int64Array::from_iter(places.iter().map(|p| p.batch)));
        RecordBatch::try_from_iter_with_nullable([
            ("partition", partitions, true),
            ("offset", offsets, true),
            ("batch", batches, true),
        ])
    }
}

/// Which rows of a quarantine table are meant.
#[derive(Debug)]
pub struct Predicate(Arc<dyn PhysicalExpr>);

impl Predicate {
    /// A condition over the columns of quarantine tables.
    pub fn compile(session: &SessionState, text: &str) -> EngineResult<Self> {
        let schema = DFSchema::try_from(quarantine_schema())?;
        let expression = expression(session, text, &schema)?;
        Ok(Self(session.create_physical_expr(expression, &schema)?))
    }

    fn holds(&self, rows: &RecordBatch) -> EngineResult<BooleanArray> {
        let verdict = self.0.evaluate(rows)?.into_array(rows.num_rows())?;
        let verdict = verdict.as_boolean_opt();
        verdict.cloned().ok_or_else(|| DataFusionError::Plan("the condition is not a boolean".to_string()))
    }
}

/// What a predicate picks.
#[derive(Debug, Default)]
pub struct Picked {
    /// The records of the rows that can be replayed.
    pub places: HashSet<Place>,
    /// How many rows cannot.
    pub unpicked: i64,
}

impl Picked {
    /// Reads a quarantine table.
    pub async fn of(table: &Arc<Table>, predicate: Option<Predicate>) -> EngineResult<Self> {
        let table = Arc::clone(table);
        let read = tokio::task::spawn_blocking(move || {
            let mut picked = Self::default();
            let snapshot = table.snapshot();
            for file in &snapshot.files {
                table.read_file::<Failure>(&snapshot, file, |rows, _| {
                    picked.take(&rows, predicate.as_ref()).map_err(Failure::Engine)
                })?;
            }
            Ok::<_, Failure>(picked)
        });
        match read.await {
            Ok(Ok(picked)) => Ok(picked),
            Ok(Err(Failure::Engine(error))) => Err(error),
            Ok(Err(Failure::Lake(error))) => Err(DataFusionError::External(Box::new(error))),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    fn take(&mut self, rows: &RecordBatch, predicate: Option<&Predicate>) -> EngineResult<()> {
        let rows = match predicate {
            Some(predicate) => filter_record_batch(rows, &predicate.holds(rows)?)?,
            None => rows.clone(),
        };
        for place in replayable(&rows) {
            match place {
                Some(place) => drop(self.places.insert(place)),
                None => self.unpicked += 1,
            }
        }
        Ok(())
    }
}

/// Why a table was not read.
enum Failure {
    Lake(Error),
    Engine(DataFusionError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Lake(error)
    }
}

/// The record of each row that can be replayed.
fn replayable(rows: &RecordBatch) -> Vec<Option<Place>> {
    let text = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let number =
        |name: &str| rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let (sources, partitions, states) = (text("source"), text("partition"), text("state"));
    let (offsets, batches) = (number("offset"), number("input_batch"));
    let value = |column: Option<&StringArray>, row: usize| {
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row).to_string())
    };
    let count = |column: Option<&Int64Array>, row: usize| {
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
    };
    let can = [ApartState::Open.as_str(), ApartState::FailedAgain.as_str()];
    let place = |row| {
        value(states, row).filter(|state| can.contains(&state.as_str()))?;
        let (source, partition) = (value(sources, row)?, value(partitions, row)?);
        Some(Place { source, partition, offset: count(offsets, row)?, batch: count(batches, row) })
    };
    (0..rows.num_rows()).map(place).collect()
}

/// What became of rows that were set apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Rows of the quarantine that were taken again.
    pub taken: i64,
    /// Rows that are in the table now.
    pub passed: i64,
    /// Rows that are set apart again.
    pub failed: i64,
    /// Rows that were meant and stayed as they were: their record is not known, or not there any more.
    pub left: i64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, passed, failed, .. } = self;
        write!(f, "{taken} rows taken again, {passed} passed, {failed} failed again")
    }
}

/// What takes rows out of a quarantine table.
#[derive(Debug, Default)]
pub struct TakenOut {
    /// Files that hold such rows: they leave.
    pub files: Vec<Arc<DataFile>>,
    /// What else they hold, in files of no table yet.
    pub remaining: Vec<DataFile>,
    /// How many rows are taken out.
    pub rows: i64,
}

/// Prepares to take the rows of these records out of a quarantine table; `take` is shown them.
pub async fn take_out(
    table: &Arc<Table>,
    places: HashSet<Place>,
    take: impl FnMut(RecordBatch) + Send + 'static,
) -> Result<TakenOut, Error> {
    let (name, table) = (table.name().clone(), Arc::clone(table));
    let taken = tokio::task::spawn_blocking(move || taken_out(&table, &table.snapshot(), &places, take));
    taken.await.map_err(|_| Error::Stopped { table: name })?
}

fn taken_out(
    table: &Table,
    snapshot: &Snapshot,
    places: &HashSet<Place>,
    mut take: impl FnMut(RecordBatch),
) -> Result<TakenOut, Error> {
    let mut taken = TakenOut::default();
    let mut writer = table.writer(Effort::Fast)?;
    let arrow = |source| Error::Arrow { table: table.name().clone(), source };
    for file in &snapshot.files {
        let (mut staying, mut leaving) = (Vec::new(), Vec::new());
        table.read_file::<Error>(snapshot, file, |rows, _| {
            let leaves = |place: &Option<Place>| place.as_ref().is_some_and(|place| places.contains(place));
            let leaves: BooleanArray = replayable(&rows).iter().map(leaves).map(Some).collect();
            if leaves.true_count() > 0 {
                leaving.push(filter_record_batch(&rows, &leaves).map_err(arrow)?);
            }
            let stays = arrow::compute::not(&leaves).map_err(arrow)?;
            staying.push(filter_record_batch(&rows, &stays).map_err(arrow)?);
            Ok(())
        })?;
        if leaving.is_empty() {
            continue;
        }
        taken.files.push(Arc::clone(file));
        staying.iter().try_for_each(|rows| writer.write(rows))?;
        for rows in leaving {
            taken.rows += i64::try_from(rows.num_rows()).unwrap_or(i64::MAX);
            take(rows);
        }
    }
    taken.remaining = writer.finish()?;
    Ok(taken)
}
