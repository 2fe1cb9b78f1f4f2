//! Refreshing a streaming table: each new input row is taken once and appended. Asked to, or where an input was, it is
//! redone: all input rows are taken again, and what comes of them stands in the place of all there was.

use super::control::Extent;
use super::judge::Bench;
use super::model::{CONSUMED, DEFINITION, Model, REFRESH, RefreshRecord};
use super::{Error, intake, redo};
use crate::bronze::{mark, watermark_at};
use crate::catalog::cut::{Cut, CutTable};
use crate::engine::Engine;
use crate::lake::{Commit, DataFile, Lake, Snapshot, Table, TableName};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::quality::{ApartState, Verdict};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a refresh brought.
#[derive(Debug)]
pub(super) struct Refreshed {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) quarantine: Option<Arc<Snapshot>>,
    /// The versions of its inputs.
    pub(super) inputs: BTreeMap<TableName, i64>,
    /// The same, and those of its hidden tables: what the next refresh starts from.
    pub(super) consumed: BTreeMap<TableName, i64>,
    pub(super) record: RefreshRecord,
}

/// What the refresh stands on: the cut that other inputs are read at, and the snapshots of the streams.
pub(super) struct Ground<'a> {
    pub(super) lake: &'a Lake,
    pub(super) engine: &'a Engine,
    pub(super) cut: &'a Arc<Cut>,
    pub(super) snapshots: &'a BTreeMap<TableName, Arc<Snapshot>>,
    pub(super) tables: &'a BTreeMap<TableName, Arc<Table>>,
    pub(super) time: DateTime<Utc>,
}

/// Streaming tables by depth: a level reads streams of earlier levels only.
pub(super) fn levels(models: &[Arc<Model>]) -> Vec<Vec<Arc<Model>>> {
    let mut depth: HashMap<&TableName, usize> = HashMap::new();
    let mut levels: Vec<Vec<Arc<Model>>> = Vec::new();
    for model in models.iter().filter(|m| m.is_streaming) {
        let level = model.inputs.iter().filter_map(|i| depth.get(i)).max().map_or(0, |d| d + 1);
        depth.insert(&model.name, level);
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push(Arc::clone(model));
    }
    levels
}

/// Takes back quarantine rows whose main commit never came.
pub(super) async fn recover(model: &Model) -> Result<(), Error> {
    let Some(quarantine) = &model.quarantine else { return Ok(()) };
    let number = |table: &Snapshot| table.transaction(REFRESH).unwrap_or(0);
    let mut done = number(&model.table.snapshot());
    if number(&quarantine.snapshot()) > done {
        done = number(&*model.table.newest().await?);
    }
    Ok(quarantine.take_back(REFRESH, done).await?)
}

/// Takes what is new in the streams, or all that is in them; `None` when there is nothing to do, and what stands was
/// shown.
pub(super) async fn refresh(
    model: &Model,
    ground: &Ground<'_>,
    extent: Extent,
) -> Result<Option<Refreshed>, Error> {
    let started = clock::instant();
    // What a commit that failed has left beside.
    recover(model).await?;
    let redo = redo::why(model, ground.snapshots, extent)?;
    let consumed = model.consumed();
    let mut overlay = ground.cut.as_ref().clone();
    let mut inputs = BTreeMap::new();
    let mut taken = Vec::new();
    let mut rows_read = 0;
    for stream in &model.streams {
        let Some(snapshot) = ground.snapshots.get(stream) else { continue };
        let from = consumed.get(stream).copied().filter(|_| redo.is_none());
        inputs.insert(stream.clone(), snapshot.version);
        let files = new_files(ground, stream, snapshot, from).await?;
        let rows = files.iter().filter_map(|f| f.live_rows(&snapshot.schema)).sum::<u64>();
        taken.extend(redo::taken(model, stream, snapshot, rows, redo.is_some()));
        rows_read += rows;
        if let Some(table) = overlay.tables.get_mut(stream) {
            let provider = ground.lake.provider_of_files(snapshot, files);
            *table = CutTable { provider: Some(provider), ..table.clone() };
        }
    }
    let watermark = watermark(model, ground.snapshots);
    let has_moved = watermark > watermark_at(&model.table.snapshot());
    let is_followed = model.streams.iter().all(|stream| consumed.contains_key(stream));
    if rows_read == 0 && redo.is_none() && is_followed && !has_moved {
        return Ok(unshown(model, ground, inputs));
    }
    let number = model.table.snapshot().transaction(REFRESH).unwrap_or(0) + 1;
    let written = intake::take(model, ground, &Arc::new(overlay), number, ApartState::Open).await?;
    let inserted = live_rows(&written.rows, &model.schema);
    let commit = Commit {
        removes: if redo.is_some() { model.table.snapshot().files.clone() } else { Vec::new() },
        ..Commit::append(written.rows.clone(), Vec::new())
    };
    let bench = Bench { engine: ground.engine, cut: ground.cut, rules: &written.rules };
    let verdict = bench.judge(model, &commit).await?;

    let quarantine = match &model.quarantine {
        Some(table) if redo.is_some() => {
            let committed = table.commit_beside_anew(REFRESH, number, written.quarantined).await?;
            failpoint::pass(Point::StreamSideCommitted, || model.name.to_string());
            Some(committed)
        }
        Some(table) if !written.quarantined.is_empty() => {
            let committed = table.commit_beside(REFRESH, number, written.quarantined).await?;
            failpoint::pass(Point::StreamSideCommitted, || model.name.to_string());
            Some(committed)
        }
        Some(table) => Some(table.snapshot()),
        None => None,
    };
    let mut transactions =
        vec![(REFRESH.to_string(), number), (DEFINITION.to_string(), model.definition_hash)];
    transactions.extend(inputs.iter().map(|(name, version)| (format!("{CONSUMED}{name}"), *version)));
    transactions.extend(taken);
    transactions.extend(watermark.map(mark));
    let (snapshot, deleted) = match redo {
        Some(_) => {
            let deleted = model.table.snapshot().rows().unwrap_or_default();
            transactions.push(redo::mark(number));
            (model.table.overwrite(written.rows, transactions).await?, deleted)
        }
        None => (model.table.commit(Commit::append(written.rows, transactions)).await?, 0),
    };
    failpoint::pass(Point::StreamCommitted, || model.name.to_string());
    Ok(Some(Refreshed {
        snapshot,
        quarantine,
        consumed: inputs.clone(),
        inputs,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: if redo.is_some() { "recompute" } else { "append" },
            reason: redo.unwrap_or_else(|| appended(rows_read).to_string()),
            rows_read: i64::try_from(rows_read).unwrap_or(i64::MAX),
            rows_inserted: inserted,
            rows_deleted: i64::try_from(deleted).unwrap_or(i64::MAX),
            seconds: started.elapsed().as_secs_f64(),
            error: None,
            verdict,
            at: clock::now(),
        },
    }))
}

/// The watermark of what is taken: the least of the streams' that have one.
fn watermark(model: &Model, snapshots: &BTreeMap<TableName, Arc<Snapshot>>) -> Option<i64> {
    model.streams.iter().filter_map(|stream| watermark_at(snapshots.get(stream)?)).min()
}

fn appended(rows: u64) -> &'static str {
    match rows {
        0 => "no row came; the watermark may have",
        _ => "new input rows, each taken once",
    }
}

/// The rows that a kill kept out of the last epoch, or a commit that looked failed: taken, and nobody's news yet.
fn unshown(model: &Model, ground: &Ground<'_>, inputs: BTreeMap<TableName, i64>) -> Option<Refreshed> {
    let snapshot = model.table.snapshot();
    let shown = ground.snapshots.get(&model.name).and_then(|shown| shown.transaction(REFRESH));
    (shown != snapshot.transaction(REFRESH)).then(|| Refreshed {
        snapshot,
        quarantine: model.quarantine.as_ref().map(|table| table.snapshot()),
        consumed: inputs.clone(),
        inputs,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: "append",
            reason: "what stands is in no epoch yet".to_string(),
            rows_read: 0,
            rows_inserted: 0,
            rows_deleted: 0,
            seconds: 0.0,
            error: None,
            verdict: Verdict::default(),
            at: clock::now(),
        },
    })
}

async fn new_files(
    ground: &Ground<'_>,
    stream: &TableName,
    snapshot: &Arc<Snapshot>,
    from: Option<i64>,
) -> Result<Vec<Arc<DataFile>>, Error> {
    let Some(from) = from else { return Ok(snapshot.files.clone()) };
    let table = ground.tables.get(stream);
    let gone = || Error::ChangesGone { input: stream.clone(), from, to: snapshot.version };
    let table = table.ok_or_else(gone)?;
    table.appended(from, snapshot.version).await?.ok_or_else(gone)
}

pub(super) fn live_rows(files: &[DataFile], schema: &arrow::datatypes::SchemaRef) -> i64 {
    let rows: u64 = files.iter().filter_map(|f| f.live_rows(schema)).sum();
    i64::try_from(rows).unwrap_or(i64::MAX)
}
