//! Replays in their wave: before a streaming table takes what is new, it takes again what was set apart.

use super::super::replay::replay;
use super::super::settled;
use super::Run;
use crate::ops::clock;
use std::sync::Arc;

impl Run {
    /// Does what is asked of the streaming tables of a level.
    pub(super) async fn replay(&mut self, level: usize) {
        for model in self.levels[level].clone() {
            // It is replayed once its slice is done.
            if self.is_sliced(&model.name) {
                continue;
            }
            for ask in self.replays.take(&model.name) {
                let started = clock::instant();
                let cut = Arc::new(self.cut(self.epoch));
                let snapshots = self.snapshots();
                let ground = self.ground(&cut, &snapshots);
                let outcome = settled(replay(&model, &ground, ask.predicate.as_deref())).await;
                match outcome {
                    Ok((refreshed, replayed)) => {
                        if let Some(refreshed) = refreshed {
                            self.take_refreshed(&model.name, refreshed, self.wave_time);
                        }
                        self.replays.note(ask, replayed);
                    }
                    // What stands is as good as it was: only who asked is told, and the record.
                    Err(error) => {
                        self.note_failed_replay(&model.name, started.elapsed().as_secs_f64(), &error);
                        ask.refuse(&Arc::new(error));
                    }
                }
            }
        }
    }
}
