//! What stands of each table, and the cut that readers are shown of it.
//!
//! A model's columns are those of its rows: where a definition has changed, the old columns are shown with the old rows
//! until a version stands that was computed by the new one.

use super::epochs::EpochRow;
use super::model::{CONSUMED, REFRESH};
use super::watermark;
use super::wave::Shape;
use crate::catalog::cut::{Computed, Cut, CutTable, Freshness, Relation, RelationKind};
use crate::lake::{Lake, Snapshot, Table, TableKind, TableName, chain};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A table as the next epoch will name it.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) inputs: BTreeMap<TableName, i64>,
    pub(super) freshness: Freshness,
    pub(super) fresh_as_of: Option<DateTime<Utc>>,
    /// What `now()` was when it was computed; `None` when that was before this process.
    computed_at: Option<DateTime<Utc>>,
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

    /// The version that the last epoch names, or the newest where it names none or names one that is gone.
    pub(super) async fn of(
        table: &Arc<Table>,
        named: Option<&EpochRow>,
        computed: bool,
        wave_time: DateTime<Utc>,
    ) -> Self {
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
        let noted = (!table.is_foreign()).then(|| snapshot.transactions_of(CONSUMED));
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
        Self { snapshot, inputs, freshness, fresh_as_of: named.map(|_| wave_time), computed_at: None }
    }

    /// The version in the columns that readers and models see. Where rows only ever come, a column that the definition
    /// has no more stays stored, so that nothing is lost, and is seen no more.
    pub(super) fn shown(&self, defined: &Relation) -> Arc<Snapshot> {
        match self.snapshot.kind() {
            TableKind::AppendOnly => self.snapshot.showing(&defined.schema),
            TableKind::Maintained => Arc::clone(&self.snapshot),
        }
    }

    /// Takes the newest version when it differs only in files and columns: rows were moved, or written in wider types.
    /// True when readers see that.
    pub(super) fn catch_up(&mut self, newest: Arc<Snapshot>) -> bool {
        if newest.transaction(REFRESH) != self.snapshot.transaction(REFRESH) {
            return false;
        }
        let shows = newest.schema.fields() != self.snapshot.schema.fields();
        self.snapshot = newest;
        shows
    }

    /// Its row of an epoch.
    pub(super) fn row(&self, name: &TableName) -> EpochRow {
        let inputs = self.inputs.iter().map(|(name, version)| (name.to_string(), (*version).into()));
        EpochRow {
            table: name.clone(),
            version: self.snapshot.version,
            inputs: serde_json::Value::Object(inputs.collect()).to_string(),
            state: self.freshness.as_str().to_string(),
        }
    }

    fn computed(&self, kind: RelationKind) -> Option<Arc<Computed>> {
        let is_model = matches!(kind, RelationKind::MaterializedView | RelationKind::StreamingTable);
        is_model.then(|| Arc::new(Computed { inputs: self.inputs.clone(), at: self.computed_at }))
    }
}

/// The source whose watermark a name shows.
pub(super) fn watermarked<'a>(
    standing: &'a BTreeMap<TableName, Standing>,
    name: &TableName,
) -> Option<&'a Standing> {
    standing.get(&name.source_of_watermark()?)
}

/// What stands behind a name that a model reads: a table, or the source whose watermark it is.
pub(super) fn behind<'a>(
    standing: &'a BTreeMap<TableName, Standing>,
    name: &TableName,
) -> Option<&'a Standing> {
    standing.get(name).or_else(|| watermarked(standing, name))
}

/// What readers are shown, kept so that it is made once a version.
pub(super) struct Showcase {
    /// Changes with any relation.
    number: u64,
    providers: HashMap<TableName, (i64, Arc<dyn TableProvider>)>,
    /// Relations in the columns of their rows, which are not those of the definition.
    relations: HashMap<TableName, Arc<Relation>>,
}

impl Showcase {
    /// Nothing is shown yet; cuts are numbered from the shape's number.
    pub(super) fn of(shape: &Shape) -> Self {
        Self { number: shape.number, providers: HashMap::new(), relations: HashMap::new() }
    }

    /// What stands now, as a cut.
    pub(super) fn cut(
        &mut self,
        shape: &Shape,
        standing: &BTreeMap<TableName, Standing>,
        lake: &Lake,
        epoch: i64,
        wave_time: DateTime<Utc>,
    ) -> Cut {
        let mut tables = BTreeMap::new();
        for (name, relation) in &shape.relations {
            let table = match standing.get(name) {
                Some(standing) => {
                    let shown = standing.shown(relation);
                    CutTable {
                        relation: self.relation(relation, &shown),
                        version: shown.version,
                        freshness: standing.freshness,
                        provider: Some(self.provider(lake, &shown)),
                        computed: standing.computed(relation.kind),
                    }
                }
                None if name.source_of_watermark().is_some() => match watermarked(standing, name) {
                    Some(source) => watermark::in_cut(relation, &source.snapshot),
                    None => continue,
                },
                None => CutTable {
                    relation: Arc::clone(relation),
                    version: 0,
                    freshness: Freshness::Fresh,
                    provider: shape.live.get(name).cloned(),
                    computed: None,
                },
            };
            tables.insert(name.clone(), table);
        }
        Cut { epoch, wave_time, tables, shape: self.number }
    }

    /// A relation in the columns of the rows that stand.
    fn relation(&mut self, defined: &Arc<Relation>, snapshot: &Snapshot) -> Arc<Relation> {
        let fits = |relation: &Relation| relation.schema.fields() == snapshot.schema.fields();
        if fits(defined) {
            self.number += u64::from(self.relations.remove(&defined.name).is_some());
            return Arc::clone(defined);
        }
        if let Some(shown) = self.relations.get(&defined.name).filter(|shown| fits(shown)) {
            return Arc::clone(shown);
        }
        let schema = Arc::clone(&snapshot.schema);
        let shown = Arc::new(Relation { schema, ..Relation::clone(defined) });
        self.relations.insert(defined.name.clone(), Arc::clone(&shown));
        self.number += 1;
        shown
    }

    /// A snapshot's provider.
    fn provider(&mut self, lake: &Lake, snapshot: &Arc<Snapshot>) -> Arc<dyn TableProvider> {
        match self.providers.get(&snapshot.table) {
            Some((version, provider)) if *version == snapshot.version => Arc::clone(provider),
            _ => {
                let provider = lake.provider(snapshot);
                self.providers.insert(snapshot.table.clone(), (snapshot.version, Arc::clone(&provider)));
                provider
            }
        }
    }
}
