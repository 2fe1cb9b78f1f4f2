//! Backfills between the waves: a slice, then a rest as long as it took, so that what is live has its turn.

use super::super::backfill::{BackfillRecord, Range, done_us, refresh_slice, shown, time_column};
use super::super::control::BackfillAsk;
use super::super::model::Model;
use super::super::{Error, trigger};
use super::Run;
use crate::lake::chain;
use crate::ops::clock;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Duration;

/// A first slice, and the shortest.
const SLICE_FIRST_US: i64 = 3_600_000_000;
const SLICE_SHORTEST_US: i64 = 1_000_000;
/// Slices become longer while they take less, and shorter when they take more.
const SLICE_QUICK: Duration = Duration::from_millis(250);
const SLICE_SLOW: Duration = Duration::from_secs(1);

/// A backfill that runs.
pub(super) struct Backfill {
    record: BackfillRecord,
    slice_us: i64,
    failures: u32,
    /// When its next slice is due.
    pub(super) due: DateTime<Utc>,
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

    /// A slice of the backfill that has waited longest, if one is due.
    pub(super) async fn backfill(&mut self) {
        let due = self.backfills.iter().enumerate().filter(|(_, backfill)| backfill.due <= self.wave_time);
        let Some(place) = due.min_by_key(|(_, backfill)| backfill.due).map(|(place, _)| place) else {
            return;
        };
        let mut backfill = self.backfills.swap_remove(place);
        let model = self.waves.shape.models.iter().find(|model| model.name == backfill.record.model).cloned();
        let Some(model) = model else { return };
        if self.held_back.contains(&model.name) {
            backfill.due = self.wave_time + chrono::Duration::seconds(1);
            self.backfills.push(backfill);
            return;
        }
        let started = clock::instant();
        let outcome = self.take_slice(&model, &mut backfill).await;
        let spent = started.elapsed();
        let pause = match outcome {
            Ok(()) => {
                backfill.failures = 0;
                backfill.record.error = None;
                if spent < SLICE_QUICK {
                    backfill.slice_us = backfill.slice_us.saturating_mul(2);
                } else if spent > SLICE_SLOW {
                    backfill.slice_us = (backfill.slice_us / 2).max(SLICE_SHORTEST_US);
                }
                spent
            }
            Err(error) => {
                backfill.failures = backfill.failures.saturating_add(1);
                backfill.record.error = Some(chain(&error));
                tracing::warn!(model = %model.name, error = chain(&error), "a slice of a backfill failed");
                let is_lasting = matches!(error, Error::HistoryLost { .. } | Error::Backfill { .. });
                if is_lasting {
                    backfill.record.state = "failed";
                }
                trigger::spread(trigger::backoff(backfill.failures), rand::random())
            }
        };
        if backfill.record.done_us >= backfill.record.range.to_us {
            backfill.record.state = "done";
        }
        self.backfills_noted.push(backfill.record.clone());
        if backfill.record.state == "running" {
            backfill.due = clock::now() + chrono::Duration::from_std(pause).unwrap_or_default();
            self.backfills.push(backfill);
        }
    }

    async fn take_slice(&mut self, model: &Arc<Model>, backfill: &mut Backfill) -> Result<(), Error> {
        let record = &mut backfill.record;
        let to_us = record.range.to_us.min(record.done_us.saturating_add(backfill.slice_us));
        let slice = Range { from_us: record.done_us, to_us };
        let cut = Arc::new(self.cut(self.epoch));
        let snapshots = self.snapshots();
        let ground = self.ground(&cut, &snapshots);
        let column = time_column(model, &ground, &self.waves.shape.streams).await?;
        let names = (record.id.as_str(), column.as_str());
        let done = refresh_slice(model, &ground, names, slice, record.history_may_be_lost).await?;
        tracing::debug!(model = %model.name, to = shown(to_us), rows = done.taken, "a slice of a backfill");
        record.done_us = to_us;
        record.rows_taken += done.taken;
        record.rows_made += done.made;
        if let Some(refreshed) = done.refreshed {
            self.take_refreshed(&model.name, refreshed, self.wave_time);
        }
        Ok(())
    }
}
