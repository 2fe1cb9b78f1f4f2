//! How a table stands between two epochs: which version, computed from what, how fresh.

use super::epochs::EpochRow;
use super::model::CONSUMED;
use crate::catalog::cut::{Computed, Freshness, RelationKind};
use crate::lake::{Snapshot, Table, TableName, chain};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A table as the next epoch will name it.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) inputs: BTreeMap<TableName, i64>,
    pub(super) freshness: Freshness,
    pub(super) fresh_as_of: Option<DateTime<Utc>>,
    /// What `now()` was when it was computed; `None` when that was before this process.
    pub(super) computed_at: Option<DateTime<Utc>>,
}

impl Standing {
    pub(super) fn fresh(
        snapshot: Arc<Snapshot>,
        inputs: BTreeMap<TableName, i64>,
        as_of: DateTime<Utc>,
    ) -> Self {
        let as_of = Some(as_of);
        Self { snapshot, inputs, freshness: Freshness::Fresh, fresh_as_of: as_of, computed_at: as_of }
    }

    pub(super) fn computed(&self, kind: RelationKind) -> Option<Arc<Computed>> {
        let is_view = kind == RelationKind::MaterializedView;
        is_view.then(|| Arc::new(Computed { inputs: self.inputs.clone(), at: self.computed_at }))
    }
}

/// The version that the last epoch names, or the newest where it names none or names one that is gone.
pub(super) async fn stand(
    table: &Arc<Table>,
    named: Option<&EpochRow>,
    computed: bool,
    wave_time: DateTime<Utc>,
) -> Standing {
    let newest = table.snapshot();
    let snapshot = match named {
        Some(row) => match table.standing_at(row.version).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(table = %table.name(), error = chain(&error), "the last epoch's version is gone; the newest stands");
                newest
            }
        },
        None => newest,
    };
    // What others note in their tables is about their own inputs.
    let prefix = CONSUMED;
    let noted = (!table.is_foreign()).then(|| snapshot.transactions_of(prefix));
    let inputs = noted
        .into_iter()
        .flatten()
        .filter_map(|(name, version)| {
            let (schema, name) = name.split_once('.')?;
            Some((TableName::new(schema, name), version))
        })
        .collect();
    let freshness = match named.map(|row| row.state.as_str()) {
        Some("fresh") => Freshness::Fresh,
        // What no epoch names yet is empty, and what is empty and has no inputs is as fresh as can be.
        None if !computed => Freshness::Fresh,
        _ => Freshness::Stale,
    };
    Standing { snapshot, inputs, freshness, fresh_as_of: named.map(|_| wave_time), computed_at: None }
}

pub(super) fn inputs_json(inputs: &BTreeMap<TableName, i64>) -> String {
    let map: serde_json::Map<String, serde_json::Value> =
        inputs.iter().map(|(name, version)| (name.to_string(), (*version).into())).collect();
    serde_json::Value::Object(map).to_string()
}
