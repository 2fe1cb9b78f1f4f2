//! `sluice.backfills`: how far each has come, and which an earlier process has left.

use super::system::{Journals, optional_text, text, time};
use crate::catalog::live::Journal;
use crate::lake::{self, TableName};
use crate::ops::clock;
use crate::refresh::{BackfillRecord, Range};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;

/// The query behind `sluice.backfills`: a backfill is noted when it begins, and after each slice.
pub(super) const QUERY: &str = "SELECT id, table_name, from_time, to_time, max(done_to) AS done_to, \
     max(rows_taken) AS rows_taken, max(rows_made) AS rows_made, last_value(state ORDER BY at) AS state, \
     last_value(error ORDER BY at) AS error, started_at, max(at) AS updated_at, bool_or(history_may_be_lost) AS \
     history_may_be_lost FROM sluice.backfill_log GROUP BY id, table_name, from_time, to_time, started_at";

/// Notes how a backfill stands, and writes it down: a kill does not forget it.
pub(super) fn note(journals: Journals, record: BackfillRecord) -> BoxFuture<'static, ()> {
    let at = |us| time(DateTime::from_timestamp_micros(us));
    journals.backfills.note(vec![
        text(&record.id),
        text(&record.model.to_string()),
        at(record.range.from_us),
        at(record.range.to_us),
        at(record.done_us),
        record.rows_taken.into(),
        record.rows_made.into(),
        text(record.state),
        optional_text(record.error.as_deref()),
        time(Some(record.started_at)),
        record.history_may_be_lost.into(),
        time(Some(clock::now())),
    ]);
    async move {
        if let Err(error) = journals.backfills.flush().await {
            tracing::warn!(error = lake::chain(&error), "could not write down a backfill");
        }
    }
    .boxed()
}

/// The backfills that were running when what is written was. Blocks.
pub(super) fn recall(journal: &Journal) -> Result<Vec<BackfillRecord>, lake::Error> {
    let mut newest: BTreeMap<String, (i64, BackfillRecord)> = BTreeMap::new();
    for rows in journal.written()? {
        for (at, record) in (0..rows.num_rows()).filter_map(|row| record_of(&rows, row)) {
            let known = newest.get(&record.id).map(|(known, _)| *known);
            if known.is_none_or(|known| known <= at) {
                newest.insert(record.id.clone(), (at, record));
            }
        }
    }
    Ok(newest.into_values().map(|(_, record)| record).filter(|record| record.state == "running").collect())
}

fn record_of(rows: &RecordBatch, row: usize) -> Option<(i64, BackfillRecord)> {
    let text = |name: &str| {
        let column = rows.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let micros = |name: &str| {
        let column = rows.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let number = |name: &str| Some(rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?.value(row));
    let (schema, name) = text("table_name")?.split_once('.')?;
    let record = BackfillRecord {
        id: text("id")?.to_string(),
        model: TableName::new(schema, name),
        range: Range { from_us: micros("from_time")?, to_us: micros("to_time")? },
        done_us: micros("done_to")?,
        rows_taken: number("rows_taken")?,
        rows_made: number("rows_made")?,
        state: if text("state")? == "running" { "running" } else { "done" },
        started_at: DateTime::from_timestamp_micros(micros("started_at")?)?,
        error: text("error").map(str::to_string),
        history_may_be_lost: rows.column_by_name("history_may_be_lost")?.as_boolean_opt()?.value(row),
    };
    Some((micros("at")?, record))
}
