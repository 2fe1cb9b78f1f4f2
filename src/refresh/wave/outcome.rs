//! What refreshes come to: rows that stand from now on, or a failure that leaves the last good ones.

use super::super::Error;
use super::super::control::Extent;
use super::super::lane::LaneReport;
use super::super::model::{Model, ModelStatus, RefreshRecord};
use super::super::standing::Standing;
use super::super::streaming::Refreshed;
use super::{Run, Setback};
use crate::catalog::cut::Freshness;
use crate::lake::{TableName, chain};
use crate::ops::retry;
use crate::quality::Verdict;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Run {
    pub(super) fn take_outcome(
        &mut self,
        model: &Arc<Model>,
        seconds: f64,
        outcome: Result<Option<Refreshed>, Error>,
    ) {
        match outcome {
            Ok(done) => {
                self.setbacks.remove(&model.name);
                self.last_refresh.insert(model.name.clone(), self.wave_time);
                match done {
                    Some(done) => self.take_refreshed(&model.name, done, self.wave_time),
                    None => self.rest(model),
                }
            }
            // Only who asked is told: what stands is as good as it was.
            Err(error @ Error::HistoryLost { .. }) if self.asked.extent(&model.name) > Extent::Changes => {
                self.asked.refuse(&model.name, &Arc::new(error));
            }
            Err(error) => {
                let failures = self.setbacks.get(&model.name).map_or(0, |s| s.failures) + 1;
                let pause =
                    chrono::Duration::from_std(retry::spread(retry::backoff(failures), rand::random()))
                        .unwrap_or_default();
                self.setbacks
                    .insert(model.name.clone(), Setback { failures, retry_at: self.wave_time + pause });
                let error = Arc::new(error);
                self.take_failure(&model.name, "append", seconds, &error);
                self.asked.refuse(&model.name, &error);
            }
        }
    }

    /// Only empty commits (folds, positions) came in: nothing to do but to note that they were seen.
    fn rest(&mut self, model: &Model) {
        let seen: Vec<_> = model
            .streams
            .iter()
            .filter_map(|s| Some((s.clone(), self.standing.get(s)?.snapshot.version)))
            .collect();
        if let Some(standing) = self.standing.get_mut(&model.name) {
            standing.inputs.extend(seen);
        }
    }

    pub(super) fn take_report(&mut self, report: Option<LaneReport>) {
        let Some(report) = report else { return };
        self.asked.extend(report.asks);
        match report.result {
            Ok(done) => self.take_refreshed(&report.model, done, report.as_of),
            Err(error) => {
                let error = Arc::new(error);
                self.take_failure(&report.model, "recompute", report.seconds, &error);
                self.asked.refuse(&report.model, &error);
            }
        }
    }

    pub(super) fn take_refreshed(&mut self, name: &TableName, done: Refreshed, as_of: DateTime<Utc>) {
        if let Some(drafts) = self.drafts.as_mut().filter(|drafts| drafts.contain(name)) {
            return drafts.take(name, done, as_of);
        }
        let before = self.standing.get(name);
        let moved = before
            .is_none_or(|s| s.snapshot.version != done.snapshot.version || s.freshness != Freshness::Fresh);
        // Who asked for it reads what was done, also when nothing was to do.
        let shows = moved || self.asked.of(name);
        // Unchanged rows of newer inputs: what they were computed from is told, too.
        let stands_on = |(input, version): (&TableName, &i64)| {
            before.is_some_and(|standing| standing.inputs.get(input) == Some(version))
        };
        self.unpublished |= shows || !done.inputs.iter().all(stands_on);
        if shows || done.record.verdict.rules.iter().any(|r| r.failed > 0) {
            self.records.push(done.record);
        }
        if let Some(quarantine) = done.quarantine {
            self.standing.insert(name.quarantine(), Standing::fresh(quarantine, BTreeMap::new(), as_of));
        }
        let status = ModelStatus::standing(Freshness::Fresh, Some(as_of));
        self.waves.board.set(name, status);
        self.standing.insert(name.clone(), Standing::fresh(done.snapshot, done.inputs, as_of));
    }

    /// A replay that failed changes nothing of what stands.
    pub(super) fn note_failed_replay(&self, name: &TableName, seconds: f64, error: &Error) {
        let reason = chain(error);
        tracing::warn!(model = %name, error = reason, "replay failed; what was set apart stays");
        let failure = RefreshRecord::failure(self.epoch, name, "replay", seconds, reason);
        (self.waves.record)(RefreshRecord { reason: "REPLAY QUARANTINE".to_string(), ..failure });
    }

    fn take_failure(&mut self, name: &TableName, mode: &'static str, seconds: f64, error: &Error) {
        let reason = chain(error);
        tracing::error!(model = %name, error = reason, "refresh failed; the last good version stands");
        let mut as_of = None;
        let freshness = match error {
            Error::Rejected { .. } => Freshness::Rejected,
            _ => Freshness::Failed,
        };
        if let Some(standing) = self.standing.get_mut(name) {
            self.unpublished |= standing.freshness != freshness;
            standing.freshness = freshness;
            as_of = standing.fresh_as_of;
        }
        self.waves.board.fail(name, freshness, as_of, reason.clone());
        let verdict = match error {
            Error::Rejected { verdict, .. } => Verdict::clone(verdict),
            _ => Verdict::default(),
        };
        let failure = RefreshRecord::failure(self.epoch, name, mode, seconds, reason);
        (self.waves.record)(RefreshRecord { verdict, ..failure });
    }
}
