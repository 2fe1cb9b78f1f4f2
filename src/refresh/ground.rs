//! What a refresh reads: the tables of a cut, hidden ones as far as they have come, and what has changed in them.

use super::Error;
use super::derive::{self, Source, Sources};
use super::incremental::Base;
use super::model::DEFINITION;
use super::watermark;
use crate::catalog::cut::Cut;
use crate::lake::{self, Changes, DataFile, Lake, Snapshot, Table, TableKind, TableName};
use crate::ops::opaque::Opaque;
use crate::sql::RefreshPolicy;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::DateTime;
use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlan;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// When more than one row in so many of the changed inputs has changed, recomputing reads less.
const CHANGED_SHARE_MAX: u64 = 5;
/// Inputs of fewer rows are never worth recomputing for.
pub(super) const SMALL_ROWS: u64 = 10_000;

/// What a refresh reads: the tables of a cut, and hidden ones as far as they have come.
pub(super) struct Ground<'a> {
    pub(super) base: &'a Base<'a>,
    pub(super) cut: &'a Arc<Cut>,
    pub(super) states: BTreeMap<TableName, (Arc<Table>, Arc<Snapshot>)>,
}

impl Ground<'_> {
    pub(super) fn version(&self, name: &TableName) -> Option<i64> {
        match self.states.get(name) {
            Some((_, snapshot)) => Some(snapshot.version),
            None => self.cut.tables.get(name).map(|table| table.version),
        }
    }

    fn table(&self, name: &TableName) -> Option<&Arc<Table>> {
        self.states.get(name).map(|(table, _)| table).or_else(|| self.base.tables.get(name))
    }

    fn rows(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        match self.states.get(name) {
            Some((_, snapshot)) => Some(self.base.lake.provider(snapshot)),
            None => self.cut.tables.get(name)?.provider.clone(),
        }
    }

    /// How many rows a plan reads, when it reads hidden tables alone.
    pub(super) fn hidden_rows(&self, plan: &LogicalPlan) -> Result<Option<u64>, Error> {
        let rows = |name: &TableName| self.states.get(name)?.1.rows();
        Ok(derive::tables_of(plan)?.iter().map(rows).sum())
    }

    /// The plan over these tables.
    pub(super) fn stand_in(&self, plan: &LogicalPlan) -> Result<Opaque<LogicalPlan>, Error> {
        Ok(Opaque::new(derive::reading(plan, |name| self.rows(name).map(provider_as_source))?))
    }
}

/// The changed inputs.
pub(super) struct Gathered {
    pub(super) sources: Opaque<Sources>,
    pub(super) changed_rows: u64,
}

/// What has changed in a plan's inputs, and in the time, since they were consumed; or why that is not to be had, or
/// not worth it.
pub(super) async fn gather(
    plan: &Opaque<LogicalPlan>,
    consumed: &BTreeMap<TableName, i64>,
    ground: &Ground<'_>,
    policy: RefreshPolicy,
) -> Result<Result<Gathered, String>, Error> {
    let (mut tables, mut watermarks) = (HashMap::new(), HashMap::new());
    let (mut changed_rows, mut all_rows) = (0, 0);
    for name in derive::tables_of(plan)? {
        let Some(to) = ground.version(&name) else { continue };
        let Some(from) = consumed.get(&name).copied() else {
            return Ok(Err(format!("{name} is read for the first time")));
        };
        if from == to {
            continue;
        }
        if let Some(source) = name.source_of_watermark().and_then(|source| ground.table(&source)) {
            match watermark::change(source, (from, to)).await? {
                Ok(None) => {}
                Ok(Some((change, moved))) => {
                    watermarks.insert(name.clone(), moved);
                    tables.insert(name, change);
                }
                Err(why) => return Ok(Err(why)),
            }
            continue;
        }
        let Some(table) = ground.table(&name) else { return Ok(Err(format!("{name} keeps no changes"))) };
        let changes = match from < to {
            true => table.changes(from, to).await?,
            false => None,
        };
        let Some(changes) = changes else { return Ok(Err(format!("the changes of {name} are gone"))) };
        let snapshot = table.snapshot();
        if snapshot.kind() == TableKind::AppendOnly && !changes.deleted.is_empty() {
            return Ok(Err(format!("the rows of {name} were made anew")));
        }
        let Some((inserted, deleted)) = changes.rows(&snapshot) else {
            return Ok(Err(format!("a file of {name} does not say how many rows it has")));
        };
        changed_rows += inserted + deleted;
        all_rows += snapshot.rows().unwrap_or_default();
        let Some(new) = ground.rows(&name) else { return Ok(Err(format!("{name} is not read here"))) };
        let newest = snapshot.showing(&new.schema());
        let Some(old) = old_version(table, from, &newest, &new.schema(), ground.base).await? else {
            return Ok(Err(format!("version {from} of {name} is gone")));
        };
        if new.schema() != old.schema() {
            return Ok(Err(format!("the columns of {name} have changed")));
        }
        // A version without rows of its own is no change: joined, it would have the other side read for nothing.
        if inserted + deleted > 0 {
            tables.insert(name, source(ground.base.lake, &newest, old, changes)?);
        }
    }
    // Who asked for INCREMENTAL has weighed it.
    if policy == RefreshPolicy::Auto && all_rows > SMALL_ROWS && changed_rows > all_rows / CHANGED_SHARE_MAX {
        return Ok(Err(format!("{changed_rows} of {all_rows} input rows have changed")));
    }
    let since = match derive::asks_for_time(plan)? {
        false => None,
        true => match consumed.get(&derive::clock_input()) {
            None => return Ok(Err("the time of its last refresh is not known".to_string())),
            Some(since) => DateTime::from_timestamp_micros(*since),
        },
    };
    let since =
        since.filter(|since| derive::clock_version(*since) != derive::clock_version(ground.cut.wave_time));
    Ok(Ok(Gathered { sources: Opaque::new(Sources { tables, since, watermarks }), changed_rows }))
}

/// A version of a table, in its newest columns where these only became more, fewer or wider: new ones are NULL in it.
async fn old_version(
    table: &Arc<Table>,
    version: i64,
    newest: &Arc<Snapshot>,
    new_schema: &SchemaRef,
    base: &Base<'_>,
) -> Result<Option<Arc<dyn TableProvider>>, Error> {
    let in_memory =
        base.cut.and_then(|cut| cut.tables.get(table.name())).filter(|old| old.version == version);
    let provider = in_memory.and_then(|old| old.provider.clone());
    if let Some(provider) = provider.filter(|provider| provider.schema() == *new_schema) {
        return Ok(Some(provider));
    }
    let old = match table.snapshot_at(version).await {
        Ok(snapshot) => snapshot,
        Err(lake::Error::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // A view by another definition has other rows in its columns: nothing follows from what it had.
    let is_redefined = newest.kind() == TableKind::Maintained
        && newest.transaction(DEFINITION) != old.transaction(DEFINITION);
    let is_alike = !is_redefined && lake::reads_alike(&old.schema, &newest.schema);
    let shown = if is_alike { newest } else { &old };
    Ok(Some(base.lake.provider_of_files(shown, old.files.clone())))
}

fn source(
    lake: &Lake,
    newest: &Arc<Snapshot>,
    old: Arc<dyn TableProvider>,
    changes: Changes,
) -> Result<Source, Error> {
    let sources = |files: Vec<Arc<DataFile>>, rows: Vec<RecordBatch>| -> Result<Vec<_>, Error> {
        let mut sources = Vec::new();
        if !files.is_empty() {
            sources.push(provider_as_source(lake.provider_of_files(newest, files)));
        }
        if !rows.is_empty() {
            sources.push(provider_as_source(lake.provider_of_rows(newest, &rows)?));
        }
        Ok(sources)
    };
    Ok(Source {
        old: provider_as_source(old),
        inserted: sources(changes.inserted, changes.rows.came)?,
        deleted: sources(changes.deleted, changes.rows.went)?,
    })
}
