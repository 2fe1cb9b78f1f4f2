//! Audits that block nothing: judged on what readers see, beside the waves and the lanes, so that none of them waits.

use super::judge::found;
use super::model::Model;
use crate::catalog::cut::{Cut, Freshness};
use crate::engine::Engine;
use crate::lake::TableName;
use crate::ops::clock;
use crate::quality::Audited;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How an audit fared over an epoch.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// The epoch that it looked at.
    pub epoch: i64,
    /// The model that it is on.
    pub model: TableName,
    /// What it found.
    pub audited: Audited,
    /// When.
    pub at: DateTime<Utc>,
}

/// Judges models whenever they, or what their audits compare them with, have moved.
pub(super) struct Auditor {
    pub(super) models: Vec<Arc<Model>>,
    pub(super) engine: Engine,
    pub(super) cuts: watch::Receiver<Arc<Cut>>,
    pub(super) record: Arc<dyn Fn(AuditRecord) + Send + Sync>,
    pub(super) stop: CancellationToken,
}

impl Auditor {
    /// Runs until stopped.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut judged: HashMap<TableName, BTreeMap<TableName, i64>> = HashMap::new();
        loop {
            let cut = Arc::clone(&self.cuts.borrow_and_update());
            let started = clock::instant();
            for model in self.models.clone() {
                let Some(versions) = versions(&model, &cut) else { continue };
                if judged.get(&model.name) != Some(&versions) {
                    self.judge(&model, &cut).await;
                    judged.insert(model.name.clone(), versions);
                }
            }
            // As long a rest as the work took.
            tokio::time::sleep(started.elapsed()).await;
            if self.cuts.changed().await.is_err() {
                return;
            }
        }
    }

    async fn judge(&self, model: &Model, cut: &Arc<Cut>) {
        let state = self.engine.state_at(cut, cut.wave_time);
        let audits: Vec<_> = model.audits.iter().filter(|audit| !audit.blocking).collect();
        for audit in audits {
            let audited = found(&state, audit).await;
            let (epoch, model, at) = (cut.epoch, model.name.clone(), clock::now());
            (self.record)(AuditRecord { epoch, model, audited, at });
        }
    }
}

/// What decides over the audits' outcome; `None` before the model was ever computed.
fn versions(model: &Model, cut: &Cut) -> Option<BTreeMap<TableName, i64>> {
    let own = cut.tables.get(&model.name)?;
    if own.version == 0 && own.freshness != Freshness::Fresh {
        return None;
    }
    let compared = model.audits.iter().flat_map(|audit| &audit.inputs);
    let version = |name: &TableName| Some((name.clone(), cut.tables.get(name)?.version));
    Some(compared.filter_map(version).collect())
}
