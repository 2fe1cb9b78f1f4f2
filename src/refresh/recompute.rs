//! Refreshing a materialized view: the whole query is computed at one cut and compared with what stands, so that only
//! changes are written.

use super::Error;
use super::compare::Bag;
use super::model::{CONSUMED, DEFINITION, Model, REFRESH, RefreshRecord};
use super::output::{nullable, settle, shape};
use super::streaming::Refreshed;
use crate::catalog::cut::Cut;
use crate::engine::{Engine, plan_text};
use crate::lake::{self, Commit, Effort, Snapshot, Table, TableName};
use crate::ops::clock;
use crate::quality::Rules;
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use datafusion::physical_plan::collect;
use roaring::RoaringTreemap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows a batch of new rows is written in.
const WRITE_ROWS: usize = 8192;

/// Computes a view at a cut. The table is committed only when its rows change (or when it was never computed by this
/// definition), so that views above it rest when nothing moved.
pub(super) async fn refresh(model: &Arc<Model>, engine: &Engine, cut: &Arc<Cut>) -> Result<Refreshed, Error> {
    let started = clock::instant();
    let state = engine.state_at(cut, cut.wave_time);
    let physical = plan_text(&state, &model.query).await?;
    let batches = collect(physical, state.task_ctx()).await?;
    let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
    let output = nullable(&model.schema);
    let mut rows = Vec::with_capacity(batches.len());
    let mut read = 0;
    for batch in &batches {
        read += batch.num_rows();
        let batch = shape(&model.name, batch, &output)?;
        let judged = rules.judge(&model.name.to_string(), batch, 0, clock::now_us())?;
        if judged.quarantined.is_some() {
            let broken: Vec<String> =
                rules.counts().into_iter().filter(|r| r.failed > 0).map(|r| r.predicate).collect();
            return Err(Error::Output(format!("{}: rows break {}", model.name, broken.join(" and "))));
        }
        rows.push(settle(judged.kept, &model.schema)?);
    }
    let inputs: BTreeMap<_, _> =
        model.inputs.iter().filter_map(|i| Some((i.clone(), cut.tables.get(i)?.version))).collect();
    let never_computed = model.is_outdated();
    let (snapshot, inserted, deleted) = apply(model, rows, &inputs, never_computed).await?;
    let reason = if never_computed { "first computation by this definition" } else { "inputs moved" };
    Ok(Refreshed {
        snapshot,
        quarantine: None,
        inputs,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: "recompute",
            reason: format!("{reason}; recomputed and compared"),
            rows_read: i64::try_from(read).unwrap_or(i64::MAX),
            rows_inserted: inserted,
            rows_deleted: deleted,
            seconds: started.elapsed().as_secs_f64(),
            error: None,
            rules: rules.counts(),
            at: clock::now(),
        },
    })
}

/// How often the comparison is made again when upkeep has folded a file that it read.
const APPLY_ATTEMPTS_MAX: usize = 5;

/// Brings the table to the new rows; gives its version and how many rows came and went.
async fn apply(
    model: &Arc<Model>,
    rows: Vec<RecordBatch>,
    inputs: &BTreeMap<TableName, i64>,
    never_computed: bool,
) -> Result<(Arc<Snapshot>, i64, i64), Error> {
    let mut attempt = 1;
    loop {
        let Change { commit, inserted, deleted } = compare(Arc::clone(&model.table), rows.clone()).await?;
        if inserted + deleted == 0 && !never_computed {
            return Ok((model.table.snapshot(), 0, 0));
        }
        let number = model.table.snapshot().transaction(REFRESH).unwrap_or(0) + 1;
        let mut transactions =
            vec![(REFRESH.to_string(), number), (DEFINITION.to_string(), model.definition_hash)];
        transactions.extend(inputs.iter().map(|(name, version)| (format!("{CONSUMED}{name}"), *version)));
        let operation = if deleted == 0 { "WRITE" } else { "UPDATE" };
        match model.table.commit(Commit { operation, transactions, ..commit }).await {
            Ok(snapshot) => return Ok((snapshot, inserted, deleted)),
            Err(lake::Error::Conflict { .. }) if attempt < APPLY_ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

struct Change {
    commit: Commit,
    inserted: i64,
    deleted: i64,
}

async fn compare(table: Arc<Table>, rows: Vec<RecordBatch>) -> Result<Change, Error> {
    let name = table.name().clone();
    let compared = tokio::task::spawn_blocking(move || compare_blocking(&table, &rows)).await;
    compared.map_err(|_| lake::Error::Stopped { table: name })?
}

fn compare_blocking(table: &Table, rows: &[RecordBatch]) -> Result<Change, Error> {
    let snapshot: Arc<Snapshot> = table.snapshot();
    let mut bag = Bag::new(&snapshot.schema, rows)?;
    let mut commit = Commit::append(Vec::new(), Vec::new());
    let mut deleted = 0;
    for file in &snapshot.files {
        let mut gone = RoaringTreemap::new();
        let mut live = 0;
        table.read_file::<Error>(&snapshot, file, |old, positions| {
            live += positions.len();
            let indices = bag.take_out(&old)?;
            gone.extend(indices.into_iter().filter_map(|i| positions.get(i).copied()));
            Ok(())
        })?;
        deleted += i64::try_from(gone.len()).unwrap_or(i64::MAX);
        if gone.is_empty() {
            continue;
        }
        if usize::try_from(gone.len()).is_ok_and(|gone| gone == live) {
            commit.removes.push(Arc::clone(file));
        } else {
            commit.deletes.push((Arc::clone(file), gone | Table::deleted_rows(file)));
        }
    }
    let left = bag.left();
    if !left.is_empty() {
        let sources: Vec<&RecordBatch> = rows.iter().collect();
        let mut writer = table.writer(Effort::Fast)?;
        for chunk in left.chunks(WRITE_ROWS) {
            let indices: Vec<(usize, usize)> = chunk
                .iter()
                .map(|(batch, row)| {
                    (usize::try_from(*batch).unwrap_or(0), usize::try_from(*row).unwrap_or(0))
                })
                .collect();
            writer.write(&interleave_record_batch(&sources, &indices)?)?;
        }
        commit.adds = writer.finish()?;
    }
    Ok(Change { commit, inserted: i64::try_from(left.len()).unwrap_or(i64::MAX), deleted })
}
