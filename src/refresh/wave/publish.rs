//! The end of a wave: one epoch, and the cut that readers see from then on.

use super::super::epochs::EpochRow;
use super::super::model::{ModelStatus, RefreshRecord};
use super::super::standing::behind;
use super::{Run, Waves};
use crate::catalog::cut::{Cut, Freshness};
use crate::lake::{TableName, chain};
use crate::ops::clock;
use std::sync::Arc;

impl Run {
    /// A view whose inputs or definition have changed since it was computed is stale until its lane comes round.
    pub(super) fn mark_stale(&mut self) {
        for model in self.waves.shape.models.iter().filter(|m| !m.is_streaming) {
            let Some(standing) = self.standing.get(&model.name) else { continue };
            let current = |input: &TableName| behind(&self.standing, input).map(|s| s.snapshot.version);
            let moved =
                model.inputs.iter().any(|input| standing.inputs.get(input).copied() != current(input));
            let freshness = match standing.freshness {
                failure if failure.is_failure() => failure,
                _ if moved || !model.is_of(&standing.snapshot) => Freshness::Stale,
                _ => Freshness::Fresh,
            };
            if let Some(standing) = self.standing.get_mut(&model.name) {
                standing.freshness = freshness;
            }
        }
    }

    pub(super) async fn publish(&mut self) {
        let epoch = self.epoch + 1;
        self.mark_stale();
        let rows: Vec<EpochRow> = self.standing.iter().map(|(name, standing)| standing.row(name)).collect();
        match self.waves.epochs.append(epoch, clock::now(), self.wave_time, &rows).await {
            Ok(()) => {
                self.unpublished = false;
                self.publish_cut(epoch);
                for record in std::mem::take(&mut self.records) {
                    (self.waves.record)(RefreshRecord { epoch, ..record });
                }
            }
            Err(error) => {
                // Readers keep the last cut; the tables' new versions wait for the next try.
                tracing::error!(epoch, error = chain(&error), "could not publish an epoch; will try again");
            }
        }
    }

    pub(super) fn publish_cut(&mut self, epoch: i64) {
        self.epoch = epoch;
        for (name, standing) in &self.standing {
            if !standing.freshness.is_failure() {
                let status = ModelStatus::standing(standing.freshness, standing.fresh_as_of);
                self.waves.board.set(name, status);
            }
        }
        let cut = Arc::new(self.cut(epoch));
        self.show_lanes(&cut);
        self.waves.cuts.send_replace(cut);
    }

    /// What stands now, as a cut.
    pub(super) fn cut(&mut self, epoch: i64) -> Cut {
        let Waves { shape, lake, .. } = &self.waves;
        self.showcase.cut(shape, &self.standing, lake, epoch, self.wave_time)
    }
}
