//! Bringing a model's table to what it should hold: what is gone by deletion vectors, what is new in one file, both in
//! one commit with the versions consumed.
//!
//! A table that stands in columns of an older definition gets the new columns and all rows in them in one commit, so
//! that no version is half of each. Older versions keep their columns: an epoch pins both by pinning the version, which
//! is why the new rows need no folder of their own to be built beside the old.

#[cfg(test)]
mod tests;

use super::Error;
use super::compare::{Bag, KeySet, row_count};
use super::judge::Bench;
use super::model::{CONSUMED, DEFINITION, Model, REFRESH};
use super::stood::{Stood, files_of};
use crate::lake::{
    self, ChangedRows, Commit, DataFile, Effort, PartitionValues, Snapshot, Table, TableDefinition,
    TableName, files_of_partitions,
};
use crate::quality::Verdict;
use arrow::array::RecordBatch;
use arrow::compute::{filter_record_batch, interleave_record_batch};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Rows a batch of new rows is written in.
const WRITE_ROWS: usize = 8192;

/// Changed rows that are handed on in memory.
const KEPT_ROWS_MAX: usize = 32_768;

/// How often the comparison is made again when upkeep has folded a file that it read.
const ATTEMPTS_MAX: usize = 5;

/// What a table is to hold, in the table's own columns.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// These rows and no others.
    All(Vec<RecordBatch>),
    /// Of the rows that have one of the keys, these and no others; and those that stand now.
    OfKeys { rows: Vec<RecordBatch>, keys: Arc<KeySet>, stood: Arc<Stood> },
    /// Of the rows of these partitions, these and no others. What stands in them is replaced unread.
    OfPartitions { rows: Vec<RecordBatch>, partitions: BTreeSet<PartitionValues> },
    /// These rows more and those fewer.
    Change { inserted: Vec<RecordBatch>, deleted: Vec<RecordBatch> },
}

impl Target {
    /// What a refresh that brings a table to it is called.
    pub(super) fn mode(&self) -> &'static str {
        match self {
            Target::OfPartitions { .. } => "partition overwrite",
            _ => "incremental",
        }
    }
}

/// What became of a table.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) inserted: i64,
    pub(super) deleted: i64,
    /// Stored rows that were read to find those that go.
    pub(super) rows_compared: u64,
    /// What was found of what is stored now.
    pub(super) verdict: Verdict,
}

/// Brings the table to its target, unless who judges it first objects. It is committed only when rows change or when `always`, so that models above it rest
/// when nothing moved. `None` when a row that should go is not there: the target is not what it was derived for.
pub(super) async fn apply(
    model: &Model,
    target: Target,
    inputs: &BTreeMap<TableName, i64>,
    always: bool,
    bench: Option<&Bench<'_>>,
) -> Result<Option<Applied>, Error> {
    let target = Arc::new(target);
    let number = model.table.snapshot().transaction(REFRESH).unwrap_or(0) + 1;
    let mut attempt = 1;
    loop {
        let change = compare(&model.table, model.table_definition(), &target).await?;
        let Some(Change { commit, inserted, deleted, rows_compared }) = change else { return Ok(None) };
        if inserted + deleted == 0 && !always {
            let verdict = Verdict {
                rules: bench.map(|bench| bench.rules.counts()).unwrap_or_default(),
                audits: Vec::new(),
            };
            let snapshot = model.table.snapshot();
            return Ok(Some(Applied { snapshot, inserted, deleted, rows_compared, verdict }));
        }
        let verdict = match bench {
            Some(bench) => bench.judge(model, &commit).await?,
            None => Verdict::default(),
        };
        let mut transactions =
            vec![(REFRESH.to_string(), number), (DEFINITION.to_string(), model.definition_hash)];
        transactions.extend(inputs.iter().map(|(name, version)| (format!("{CONSUMED}{name}"), *version)));
        let operation = match (&commit.definition, deleted) {
            (Some(_), _) => "CREATE OR REPLACE TABLE AS SELECT",
            (None, 0) => "WRITE",
            (None, _) => "UPDATE",
        };
        match model.table.commit(Commit { operation, transactions, ..commit }).await {
            Ok(snapshot) => {
                return Ok(Some(Applied { snapshot, inserted, deleted, rows_compared, verdict }));
            }
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
    rows_compared: u64,
}

async fn compare(
    table: &Arc<Table>,
    definition: TableDefinition,
    target: &Arc<Target>,
) -> Result<Option<Change>, Error> {
    let (table, target) = (Arc::clone(table), Arc::clone(target));
    let name = table.name().clone();
    let compare = move || {
        let snapshot = table.snapshot();
        match (snapshot.fits(&definition), target.as_ref()) {
            (true, target) => compare_blocking(&table, &snapshot, target),
            (false, Target::All(rows)) => {
                replace_blocking(&table, &snapshot, snapshot.files.clone(), Some(definition), rows).map(Some)
            }
            // What is derived from the old rows does not fit the new columns.
            (false, _) => Ok(None),
        }
    };
    let compared = tokio::task::spawn_blocking(compare).await;
    compared.map_err(|_| lake::Error::Stopped { table: name })?
}

/// Rows in place of those of some files; in other columns when there is a definition.
fn replace_blocking(
    table: &Table,
    snapshot: &Snapshot,
    removes: Vec<Arc<DataFile>>,
    definition: Option<TableDefinition>,
    rows: &[RecordBatch],
) -> Result<Change, Error> {
    let mut writer = match &definition {
        Some(definition) => table.writer_as(definition, Effort::Fast)?,
        None => table.writer(Effort::Fast)?,
    };
    rows.iter().try_for_each(|batch| writer.write(batch))?;
    let inserted = row_count(rows);
    let deleted: Option<u64> = removes.iter().map(|file| file.live_rows(&snapshot.schema)).sum();
    Ok(Change {
        commit: Commit { removes, definition, ..Commit::append(writer.finish()?, Vec::new()) },
        inserted: i64::try_from(inserted).unwrap_or(i64::MAX),
        deleted: i64::try_from(deleted.unwrap_or_default()).unwrap_or(i64::MAX),
        rows_compared: 0,
    })
}

fn compare_blocking(table: &Table, snapshot: &Snapshot, target: &Target) -> Result<Option<Change>, Error> {
    let mut taking = Taking::new(table, snapshot);
    let (rows, left) = match target {
        Target::All(rows) => {
            let mut bag = Bag::new(&snapshot.schema, rows)?;
            taking.take(&snapshot.files, |old| Ok(inverted(bag.held(old)?)))?;
            (rows, bag.left())
        }
        Target::OfKeys { rows, keys, stood } => {
            let mut bag = Bag::new(&snapshot.schema, rows)?;
            let moved;
            let stood = match stood.stands_in(snapshot) {
                true => stood.as_ref(),
                false => {
                    moved = Stood::read_blocking(table, keys)?;
                    &moved
                }
            };
            taking.rows_compared += stood.rows_read;
            for (file, gone, rows) in stood.not_in(&mut bag)? {
                taking.changed.went.extend(rows);
                taking.note(&file, gone);
            }
            (rows, bag.left())
        }
        Target::OfPartitions { rows, partitions } => {
            let files = files_of_partitions(&snapshot.files, partitions);
            return replace_blocking(table, snapshot, files, None, rows).map(Some);
        }
        Target::Change { inserted, deleted } => {
            let mut bag = Bag::new(&snapshot.schema, deleted)?;
            if deleted.iter().any(|batch| batch.num_rows() > 0) {
                let columns: Vec<usize> = (0..snapshot.schema.fields().len()).collect();
                let files = files_of(table, snapshot, &columns, deleted)?;
                taking.take(&files, |old| Ok(bag.held(old)?))?;
            }
            if !bag.left().is_empty() {
                return Ok(None);
            }
            let rows = inserted.iter().enumerate();
            let all = rows.flat_map(|(b, batch)| (0..batch.num_rows()).map(move |row| (b, row)));
            (inserted, all.collect())
        }
    };
    let Taking { mut commit, mut changed, deleted, rows_compared, .. } = taking;
    if !left.is_empty() {
        let sources: Vec<&RecordBatch> = rows.iter().collect();
        let mut writer = table.writer(Effort::Fast)?;
        for chunk in left.chunks(WRITE_ROWS) {
            let rows = interleave_record_batch(&sources, chunk)?;
            writer.write(&rows)?;
            if left.len() <= KEPT_ROWS_MAX {
                changed.came.push(rows);
            }
        }
        commit.adds = writer.finish()?;
    }
    let inserted = i64::try_from(left.len()).unwrap_or(i64::MAX);
    let kept = changed.came.iter().chain(&changed.went).map(RecordBatch::num_rows).sum::<usize>();
    commit.rows = (i64::try_from(kept) == Ok(inserted + deleted)).then_some(changed);
    Ok(Some(Change { commit, inserted, deleted, rows_compared }))
}

/// Stored rows being marked to go.
struct Taking<'a> {
    table: &'a Table,
    snapshot: &'a Snapshot,
    commit: Commit,
    /// The rows themselves, unless they are many.
    changed: ChangedRows,
    deleted: i64,
    rows_compared: u64,
}

impl<'a> Taking<'a> {
    fn new(table: &'a Table, snapshot: &'a Snapshot) -> Self {
        let commit = Commit::append(Vec::new(), Vec::new());
        Self { table, snapshot, commit, changed: ChangedRows::default(), deleted: 0, rows_compared: 0 }
    }

    /// Notes in the commit the rows of these files for which `goes` is true.
    fn take(
        &mut self,
        files: &[Arc<DataFile>],
        mut goes: impl FnMut(&RecordBatch) -> Result<Vec<bool>, Error>,
    ) -> Result<(), Error> {
        let whole: HashMap<&str, &Arc<DataFile>> =
            self.snapshot.files.iter().map(|file| (file.path.as_str(), file)).collect();
        for read in files {
            let mut gone = RoaringTreemap::new();
            self.table.read_file::<Error>(self.snapshot, read, |old, positions| {
                self.rows_compared += positions.len() as u64;
                let goes = goes(&old)?;
                if self.deleted as usize + gone.len() as usize <= KEPT_ROWS_MAX {
                    self.changed.went.push(filter_record_batch(&old, &goes.clone().into())?);
                }
                gone.extend(positions.into_iter().zip(goes).filter(|(_, goes)| *goes).map(|(at, _)| at));
                Ok(())
            })?;
            if let Some(file) = whole.get(read.path.as_str()) {
                self.note(file, gone);
            }
        }
        Ok(())
    }

    /// Notes in the commit that these rows of a file go.
    fn note(&mut self, file: &Arc<DataFile>, gone: RoaringTreemap) {
        if gone.is_empty() {
            return;
        }
        self.deleted += i64::try_from(gone.len()).unwrap_or(i64::MAX);
        if file.live_rows(&self.snapshot.schema) == Some(gone.len()) {
            self.commit.removes.push(Arc::clone(file));
        } else {
            self.commit.deletes.push((Arc::clone(file), gone | Table::deleted_rows(file)));
        }
    }
}

fn inverted(mut flags: Vec<bool>) -> Vec<bool> {
    flags.iter_mut().for_each(|flag| *flag = !*flag);
    flags
}
