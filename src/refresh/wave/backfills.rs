//! Backfills beside the waves: a slice, then a rest as long as it took. While a slice of a table is computed, waves leave that
//! table alone; all others go on.

use super::super::Error;
use super::super::backfill::{BackfillRecord, Range, Slice, done_us, refresh_slice, shown, time_column};
use super::super::control::BackfillAsk;
use super::super::model::Model;
use super::super::settled;
use super::super::streaming::Ground;
use super::Run;
use crate::bronze::Stream;
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{Lake, Snapshot, Table, TableName, chain};
use crate::ops::{clock, retry};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A first slice, and the shortest.
const SLICE_FIRST_US: i64 = 3_600_000_000;
const SLICE_SHORTEST_US: i64 = 1_000_000;
/// Slices become longer while they take less, and shorter when they take more: the table's own new rows wait for them.
const SLICE_QUICK: Duration = Duration::from_millis(500);
const SLICE_SLOW: Duration = Duration::from_secs(2);

/// A backfill that runs.
pub(super) struct Backfill {
    record: BackfillRecord,
    slice_us: i64,
    failures: u32,
    /// When its next slice is due.
    due: DateTime<Utc>,
}

/// A slice that is being computed.
pub(super) struct Slicing {
    backfill: Backfill,
    to_us: i64,
    as_of: DateTime<Utc>,
    task: JoinHandle<(Duration, Result<Slice, Error>)>,
}

impl Slicing {
    /// The table that the waves leave alone meanwhile.
    pub(super) fn table(&self) -> &TableName {
        &self.backfill.record.model
    }
}

/// Resolves when the slice that is being computed is done.
pub(super) async fn slice_done(slicing: &mut Option<Slicing>) -> (Duration, Result<Slice, Error>) {
    let Some(slicing) = slicing else { return std::future::pending().await };
    let stopped = |_| {
        let table = slicing.backfill.record.model.clone();
        (Duration::ZERO, Err(Error::Lake(crate::lake::Error::Stopped { table })))
    };
    (&mut slicing.task).await.unwrap_or_else(stopped)
}

/// What a slice is computed over: its own, since waves go on meanwhile.
struct SliceGround {
    lake: Arc<Lake>,
    engine: Engine,
    cut: Arc<Cut>,
    snapshots: BTreeMap<TableName, Arc<Snapshot>>,
    tables: BTreeMap<TableName, Arc<Table>>,
    streams: Vec<Arc<Stream>>,
    time: DateTime<Utc>,
}

impl SliceGround {
    async fn take(&self, model: &Model, record: &BackfillRecord, slice: Range) -> Result<Slice, Error> {
        let Self { lake, engine, cut, snapshots, tables, streams, time } = self;
        let ground = Ground { lake, engine, cut, snapshots, tables, time: *time };
        let column = time_column(model, &ground, streams).await?;
        let names = (record.id.as_str(), column.as_str());
        refresh_slice(model, &ground, names, slice, record.history_may_be_lost).await
    }
}

impl Run {
    /// Goes on with the backfills that an earlier process began.
    pub(super) fn recall_backfills(&mut self) {
        for mut record in std::mem::take(&mut self.waves.backfills) {
            let model = self.waves.shape.models.iter().find(|model| model.name == record.model);
            let Some(model) = model.filter(|model| model.is_streaming) else {
                record.state = "failed";
                record.error = Some(format!("{} is no streaming table any more that runs", record.model));
                self.backfills_noted.push(record);
                continue;
            };
            record.done_us = record.done_us.max(done_us(model, &record.id).unwrap_or(i64::MIN));
            self.backfills.push(Backfill {
                record,
                slice_us: SLICE_FIRST_US,
                failures: 0,
                due: clock::now(),
            });
        }
    }

    /// Begins a backfill, if the table can be backfilled.
    pub(super) async fn begin_backfill(&mut self, ask: BackfillAsk) {
        let model = self.waves.shape.models.iter().find(|model| model.name == ask.model).cloned();
        let Some(model) = model else { return };
        let cut = Arc::new(self.cut(self.epoch));
        let snapshots = self.snapshots();
        let checked = async {
            let ground = self.ground(&cut, &snapshots);
            time_column(&model, &ground, &self.waves.shape.streams).await?;
            match ask.history_may_be_lost {
                true => Ok(()),
                false => super::super::redo::refuse_loss(&model, &snapshots),
            }
        };
        if let Err(error) = checked.await {
            return ask.answer(Err(Arc::new(error)));
        }
        let record = BackfillRecord {
            id: uuid::Uuid::new_v4().to_string(),
            model: model.name.clone(),
            range: ask.range,
            done_us: ask.range.from_us,
            rows_taken: 0,
            rows_made: 0,
            state: "running",
            started_at: clock::now(),
            error: None,
            history_may_be_lost: ask.history_may_be_lost,
        };
        // Who is told that it has begun may rely on it, whatever is killed when.
        (self.waves.backfilled)(record.clone()).await;
        let id = record.id.clone();
        self.backfills.push(Backfill { record, slice_us: SLICE_FIRST_US, failures: 0, due: clock::now() });
        ask.answer(Ok(id));
    }

    /// Notes how far backfills have come, now that readers see it.
    pub(super) async fn note_backfills(&mut self) {
        for record in std::mem::take(&mut self.backfills_noted) {
            (self.waves.backfilled)(record).await;
        }
    }

    /// True while a slice of a table is computed.
    pub(super) fn is_sliced(&self, model: &TableName) -> bool {
        self.slicing.as_ref().map(Slicing::table) == Some(model)
    }

    /// When the next slice is due; never while one is computed, whose end wakes the waves.
    pub(super) fn slice_due(&self) -> Option<DateTime<Utc>> {
        let due = self.backfills.iter().map(|backfill| backfill.due);
        due.min().filter(|_| self.slicing.is_none())
    }

    /// Begins a slice of the backfill that has waited longest, if one is due and none is computed.
    pub(super) fn begin_slice(&mut self) {
        let now = clock::now();
        if self.slice_due().is_none_or(|due| due > now) {
            return;
        }
        let due = self.backfills.iter().enumerate().min_by_key(|(_, backfill)| backfill.due);
        let Some(place) = due.map(|(place, _)| place) else { return };
        let mut backfill = self.backfills.swap_remove(place);
        let model = self.waves.shape.models.iter().find(|model| model.name == backfill.record.model).cloned();
        let Some(model) = model else { return };
        if self.held_back.contains(&model.name) {
            backfill.due = now + chrono::Duration::seconds(1);
            self.backfills.push(backfill);
            return;
        }
        let record = backfill.record.clone();
        let to_us = record.range.to_us.min(record.done_us.saturating_add(backfill.slice_us));
        let slice = Range { from_us: record.done_us, to_us };
        let ground = SliceGround {
            lake: Arc::clone(&self.waves.lake),
            engine: self.waves.engine.clone(),
            cut: Arc::new(self.cut(self.epoch)),
            snapshots: self.snapshots(),
            tables: self.tables.clone(),
            streams: self.waves.shape.streams.clone(),
            time: now,
        };
        let task = tokio::spawn(async move {
            let started = clock::instant();
            let taken = settled(ground.take(&model, &record, slice)).await;
            (started.elapsed(), taken)
        });
        self.slicing = Some(Slicing { backfill, to_us, as_of: now, task });
    }

    /// Waits for the slice that is being computed.
    pub(super) async fn finish_slice(&mut self) {
        if self.slicing.is_some() {
            let done = slice_done(&mut self.slicing).await;
            self.take_slice(done);
        }
    }

    /// Takes what a slice came to; it joins the next epoch.
    pub(super) fn take_slice(&mut self, (spent, taken): (Duration, Result<Slice, Error>)) {
        let Some(Slicing { mut backfill, to_us, as_of, .. }) = self.slicing.take() else { return };
        let model = backfill.record.model.clone();
        let pause = match taken {
            Ok(done) => {
                tracing::debug!(model = %model, to = shown(to_us), rows = done.taken, "a slice of a backfill");
                backfill.take(&done, to_us, spent);
                if let Some(refreshed) = done.refreshed {
                    self.take_refreshed(&model, refreshed, as_of);
                }
                spent
            }
            Err(error) => {
                tracing::warn!(model = %model, error = chain(&error), "a slice of a backfill failed");
                backfill.fail(&error);
                retry::spread(retry::backoff(backfill.failures), rand::random())
            }
        };
        self.backfills_noted.push(backfill.record.clone());
        if backfill.record.state == "running" {
            backfill.due = clock::now() + chrono::Duration::from_std(pause).unwrap_or_default();
            self.backfills.push(backfill);
        }
    }
}

impl Backfill {
    fn take(&mut self, done: &Slice, to_us: i64, spent: Duration) {
        self.failures = 0;
        if spent < SLICE_QUICK {
            self.slice_us = self.slice_us.saturating_mul(2);
        } else if spent > SLICE_SLOW {
            self.slice_us = (self.slice_us / 2).max(SLICE_SHORTEST_US);
        }
        let record = &mut self.record;
        record.error = None;
        record.done_us = to_us;
        record.rows_taken += done.taken;
        record.rows_made += done.made;
        if record.done_us >= record.range.to_us {
            record.state = "done";
        }
    }

    fn fail(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        self.record.error = Some(chain(error));
        if matches!(error, Error::HistoryLost { .. } | Error::Backfill { .. }) {
            self.record.state = "failed";
        }
    }
}
