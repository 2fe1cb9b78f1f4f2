//! `sluice.epochs`: one commit for each cut that readers saw, one row for each table of it.

use super::Error;
use crate::lake::{Commit, Effort, FileStatistics, Lake, Table, TableDefinition, TableName};
use crate::ops::failpoint::{self, Point};
use arrow::array::{
    Array, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use std::sync::Arc;

/// Application version: the last epoch.
const EPOCH: &str = "sluice.epoch";

/// One table in one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochRow {
    /// The table.
    pub table: TableName,
    /// Its version.
    pub version: i64,
    /// The input versions that it was computed from, as JSON.
    pub inputs: String,
    /// `fresh`, `stale` or `failed`.
    pub state: String,
}

/// The log of epochs.
#[derive(Clone, Debug)]
pub struct EpochTable {
    table: Arc<Table>,
}

/// The columns of `sluice.epochs`.
pub fn epochs_schema() -> SchemaRef {
    let timestamp = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("epoch", DataType::Int64, true),
        Field::new("published_at", timestamp(), true),
        Field::new("wave_time", timestamp(), true),
        Field::new("table_name", DataType::Utf8, true),
        Field::new("version", DataType::Int64, true),
        Field::new("inputs", DataType::Utf8, true),
        Field::new("state", DataType::Utf8, true),
    ]))
}

impl EpochTable {
    /// Opens (and creates) it. Blocks.
    pub fn open(lake: &Lake) -> Result<Self, Error> {
        let definition = TableDefinition::append_only(epochs_schema());
        Ok(Self { table: lake.ensure(&TableName::new("sluice", "epochs"), &definition)? })
    }

    /// The table itself.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The number of the last epoch; 0 before the first.
    pub fn last(&self) -> i64 {
        self.table.snapshot().transaction(EPOCH).unwrap_or(0)
    }

    /// Makes an epoch durable: this commit is what makes a wave visible.
    pub async fn append(
        &self,
        epoch: i64,
        published_at: DateTime<Utc>,
        wave_time: DateTime<Utc>,
        rows: &[EpochRow],
    ) -> Result<(), Error> {
        failpoint::pass(Point::EpochDue, || self.table.name().to_string());
        let times = |time: DateTime<Utc>| -> ArrayRef {
            Arc::new(
                TimestampMicrosecondArray::from(vec![time.timestamp_micros(); rows.len()])
                    .with_timezone("UTC"),
            )
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![epoch; rows.len()])),
            times(published_at),
            times(wave_time),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.table.to_string()))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.version))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.inputs.as_str()))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.state.as_str()))),
        ];
        let batch = RecordBatch::try_new(epochs_schema(), columns)?;
        let files = self.table.write(vec![batch], Effort::Fast).await?;
        self.table.commit(Commit::append(files, vec![(EPOCH.to_string(), epoch)])).await?;
        failpoint::pass(Point::EpochCommitted, || self.table.name().to_string());
        Ok(())
    }

    /// The last epoch's wave time and rows; `None` before the first.
    pub async fn latest(&self) -> Result<Option<(i64, DateTime<Utc>, Vec<EpochRow>)>, Error> {
        let last = self.last();
        if last == 0 {
            return Ok(None);
        }
        let table = Arc::clone(&self.table);
        let read = tokio::task::spawn_blocking(move || {
            let snapshot = table.snapshot();
            // The newest file holds it, unless folding has just moved it.
            for file in snapshot.files.iter().rev() {
                let mut rows = Vec::new();
                let mut time = None;
                table.read_file::<Error>(&snapshot, file, |batch, _| {
                    collect_rows(&batch, last, &mut rows, &mut time);
                    Ok(())
                })?;
                if let Some(time) = time {
                    return Ok(Some((last, time, rows)));
                }
            }
            Ok::<_, Error>(None)
        });
        let name = self.table.name().clone();
        read.await.map_err(|_| crate::lake::Error::Stopped { table: name })?
    }

    /// Forgets files whose epochs were all published before `before`; the last epoch always stays.
    pub async fn forget(&self, before: DateTime<Utc>) -> Result<(), Error> {
        let last = ScalarValue::Int64(Some(self.last()));
        let holds_last = |statistics: &FileStatistics| {
            statistics
                .columns
                .get("epoch")
                .and_then(|bounds| bounds.max.as_ref())
                .is_none_or(|max| *max >= last)
        };
        Ok(self.table.forget("published_at", before, holds_last).await?)
    }
}

fn collect_rows(batch: &RecordBatch, epoch: i64, rows: &mut Vec<EpochRow>, time: &mut Option<DateTime<Utc>>) {
    let column = |name: &str| batch.column_by_name(name);
    let (Some(epochs), Some(times), Some(names), Some(versions), Some(inputs), Some(states)) = (
        column("epoch"),
        column("wave_time"),
        column("table_name"),
        column("version"),
        column("inputs"),
        column("state"),
    ) else {
        return;
    };
    let epochs = epochs.as_primitive::<Int64Type>();
    for row in (0..batch.num_rows()).filter(|row| epochs.is_valid(*row) && epochs.value(*row) == epoch) {
        let text = |column: &ArrayRef| column.as_string::<i32>().value(row).to_string();
        let Some((schema, name)) = text(names).split_once('.').map(|(s, n)| (s.to_string(), n.to_string()))
        else {
            continue;
        };
        *time = DateTime::from_timestamp_micros(times.as_primitive::<TimestampMicrosecondType>().value(row));
        rows.push(EpochRow {
            table: TableName { schema, name },
            version: versions.as_primitive::<Int64Type>().value(row),
            inputs: text(inputs),
            state: text(states),
        });
    }
}
