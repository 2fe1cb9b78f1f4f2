//! Bringing a model's table to what it should hold: what is gone by deletion vectors, what is new in one file, both in
//! one commit with the versions consumed.

use super::Error;
use super::compare::{Bag, KeySet};
use super::model::{CONSUMED, DEFINITION, Model, REFRESH};
use crate::lake::{self, Commit, Effort, Snapshot, Table, TableName};
use arrow::array::RecordBatch;
use arrow::compute::{filter_record_batch, interleave_record_batch};
use roaring::RoaringTreemap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows a batch of new rows is written in.
const WRITE_ROWS: usize = 8192;

/// How often the comparison is made again when upkeep has folded a file that it read.
const ATTEMPTS_MAX: usize = 5;

/// What a table is to hold, in the table's own columns.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// These rows and no others.
    All(Vec<RecordBatch>),
    /// Of the rows that have one of the keys, these and no others.
    OfKeys { rows: Vec<RecordBatch>, keys: Arc<KeySet> },
    /// These rows more and those fewer.
    Change { inserted: Vec<RecordBatch>, deleted: Vec<RecordBatch> },
}

/// What became of a table.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) inserted: i64,
    pub(super) deleted: i64,
}

/// Brings the table to its target. It is committed only when rows change or when `always`, so that models above it rest
/// when nothing moved. `None` when a row that should go is not there: the target is not what it was derived for.
pub(super) async fn apply(
    model: &Model,
    target: Target,
    inputs: &BTreeMap<TableName, i64>,
    always: bool,
) -> Result<Option<Applied>, Error> {
    let target = Arc::new(target);
    let number = model.table.snapshot().transaction(REFRESH).unwrap_or(0) + 1;
    let mut attempt = 1;
    loop {
        let Some(Change { commit, inserted, deleted }) = compare(&model.table, &target).await? else {
            return Ok(None);
        };
        if inserted + deleted == 0 && !always {
            return Ok(Some(Applied { snapshot: model.table.snapshot(), inserted, deleted }));
        }
        let mut transactions =
            vec![(REFRESH.to_string(), number), (DEFINITION.to_string(), model.definition_hash)];
        transactions.extend(inputs.iter().map(|(name, version)| (format!("{CONSUMED}{name}"), *version)));
        let operation = if deleted == 0 { "WRITE" } else { "UPDATE" };
        match model.table.commit(Commit { operation, transactions, ..commit }).await {
            Ok(snapshot) => return Ok(Some(Applied { snapshot, inserted, deleted })),
            // Upkeep moved rows: they are looked for again. A refresh in between is this one, landed although it looked
            // failed, and a change must not be made twice.
            Err(lake::Error::Conflict { .. })
                if attempt < ATTEMPTS_MAX
                    && model.table.snapshot().transaction(REFRESH).unwrap_or(0) + 1 == number =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

struct Change {
    commit: Commit,
    inserted: i64,
    deleted: i64,
}

async fn compare(table: &Arc<Table>, target: &Arc<Target>) -> Result<Option<Change>, Error> {
    let (table, target) = (Arc::clone(table), Arc::clone(target));
    let name = table.name().clone();
    let compared = tokio::task::spawn_blocking(move || compare_blocking(&table, &target)).await;
    compared.map_err(|_| lake::Error::Stopped { table: name })?
}

fn compare_blocking(table: &Table, target: &Target) -> Result<Option<Change>, Error> {
    let snapshot = table.snapshot();
    let mut commit = Commit::append(Vec::new(), Vec::new());
    let (rows, left, deleted) = match target {
        Target::All(rows) => {
            let mut bag = Bag::new(&snapshot.schema, rows)?;
            let deleted = take(table, &snapshot, &mut commit, |old| Ok(inverted(bag.held(old)?)))?;
            (rows, bag.left(), deleted)
        }
        Target::OfKeys { rows, keys } => {
            let mut bag = Bag::new(&snapshot.schema, rows)?;
            let deleted = take(table, &snapshot, &mut commit, |old| {
                let meant = keys.held(old)?;
                let mut held = bag.held(&filter_record_batch(old, &meant.clone().into())?)?.into_iter();
                Ok(meant.into_iter().map(|meant| meant && !held.next().unwrap_or(true)).collect())
            })?;
            (rows, bag.left(), deleted)
        }
        Target::Change { inserted, deleted } => {
            let all = |batches: &[RecordBatch]| -> Vec<(usize, usize)> {
                let rows = batches.iter().enumerate();
                rows.flat_map(|(b, batch)| (0..batch.num_rows()).map(move |row| (b, row))).collect()
            };
            let mut bag = Bag::new(&snapshot.schema, deleted)?;
            let gone = if all(deleted).is_empty() {
                0
            } else {
                take(table, &snapshot, &mut commit, |old| Ok(bag.held(old)?))?
            };
            if !bag.left().is_empty() {
                return Ok(None);
            }
            (inserted, all(inserted), gone)
        }
    };
    if !left.is_empty() {
        let sources: Vec<&RecordBatch> = rows.iter().collect();
        let mut writer = table.writer(Effort::Fast)?;
        for chunk in left.chunks(WRITE_ROWS) {
            writer.write(&interleave_record_batch(&sources, chunk)?)?;
        }
        commit.adds = writer.finish()?;
    }
    Ok(Some(Change { commit, inserted: i64::try_from(left.len()).unwrap_or(i64::MAX), deleted }))
}

/// Notes in the commit the stored rows for which `goes` is true; gives how many they are.
fn take(
    table: &Table,
    snapshot: &Snapshot,
    commit: &mut Commit,
    mut goes: impl FnMut(&RecordBatch) -> Result<Vec<bool>, Error>,
) -> Result<i64, Error> {
    let mut count = 0;
    for file in &snapshot.files {
        let mut gone = RoaringTreemap::new();
        let mut live = 0;
        table.read_file::<Error>(snapshot, file, |old, positions| {
            live += positions.len();
            let goes = goes(&old)?;
            gone.extend(positions.into_iter().zip(goes).filter(|(_, goes)| *goes).map(|(at, _)| at));
            Ok(())
        })?;
        if gone.is_empty() {
            continue;
        }
        count += i64::try_from(gone.len()).unwrap_or(i64::MAX);
        if usize::try_from(gone.len()).is_ok_and(|gone| gone == live) {
            commit.removes.push(Arc::clone(file));
        } else {
            commit.deletes.push((Arc::clone(file), gone | Table::deleted_rows(file)));
        }
    }
    Ok(count)
}

fn inverted(mut flags: Vec<bool>) -> Vec<bool> {
    flags.iter_mut().for_each(|flag| *flag = !*flag);
    flags
}
