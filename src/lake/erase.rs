//! Rows that must not be there any more, in any version: taken out by rewriting their files, and then the files, the log
//! and the memory of what they were.
//!
//! Two steps, since who follows a table must first see that the rows went:
//!
//! ```text
//! rework   files with such rows ─► files without, one commit      readers and followers see rows go
//! purge    files under a vector folded, a checkpoint, then every older commit and every file that left: deleted
//! ```

use super::Error;
use super::changes::ChangedRows;
use super::log;
use super::read::{conform, read_rows};
use super::snapshot::DataFile;
use super::table::{Commit, Table};
use super::write::Effort;
use super::{Lake, TableName};
use crate::ops::failpoint::{self, Point};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of some rows.
#[derive(Debug)]
pub struct Reworked {
    /// What stands in their place.
    pub kept: RecordBatch,
    /// Those among them that go.
    pub went: RecordBatch,
}

/// Decides over rows: `None` for such as stay as they are.
pub type Rework<'a> = &'a dyn Fn(&RecordBatch) -> Result<Option<Reworked>, ArrowError>;

impl Table {
    /// Rows of the newest version for which a function, given some of the columns, counts.
    pub fn count(
        &self,
        columns: &[String],
        count: &dyn Fn(&RecordBatch) -> Result<usize, ArrowError>,
    ) -> Result<u64, Error> {
        let snapshot = self.snapshot();
        let schema = some_of(&snapshot.schema, columns);
        let mut found = 0;
        for file in &snapshot.files {
            read_rows::<Error>(self.indexes(), &snapshot, file, &schema, |batch, _| {
                found += count(&batch).map_err(|source| self.arrow(source))? as u64;
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Rewrites the files of which rows change or go, in one commit; how many went, and whether there was a commit. Which
    /// do is decided by these columns; by all, where none are named. Files keep their marks. Blocks.
    pub fn rework(
        &self,
        columns: &[String],
        rework: Rework<'_>,
        transactions: &dyn Fn(u64) -> Vec<(String, i64)>,
    ) -> Result<Option<u64>, Error> {
        let snapshot = self.snapshot();
        let (mut adds, mut removes, mut gone): (Vec<DataFile>, Vec<Arc<DataFile>>, _) =
            (vec![], vec![], vec![]);
        for file in &snapshot.files {
            if !self.is_touched(file, columns, rework)? {
                continue;
            }
            let mut writer = self.writer(Effort::Compact)?;
            self.read_file::<Error>(&snapshot, file, |batch, _| {
                match rework(&batch).map_err(|source| self.arrow(source))? {
                    None => writer.write(&conform(self.name(), &batch, &snapshot.schema)?),
                    Some(Reworked { kept, went }) => {
                        gone.push(went);
                        writer.write(&conform(self.name(), &kept, &snapshot.schema)?)
                    }
                }
            })?;
            let mut written = writer.finish()?;
            written.iter_mut().for_each(|add| add.tags = file.tags.clone());
            adds.extend(written);
            removes.push(Arc::clone(file));
        }
        if removes.is_empty() {
            return Ok(None);
        }
        let rows = gone.iter().map(|rows: &RecordBatch| rows.num_rows() as u64).sum();
        let commit = Commit {
            operation: "DELETE",
            removes,
            rows: Some(ChangedRows { came: vec![], went: gone }),
            ..Commit::append(adds, transactions(rows))
        };
        self.commit_blocking(&commit)?;
        failpoint::pass(Point::RowsErased, || self.name().to_string());
        Ok(Some(rows))
    }

    fn is_touched(&self, file: &DataFile, columns: &[String], rework: Rework<'_>) -> Result<bool, Error> {
        let (snapshot, mut touched) = (self.snapshot(), false);
        let schema = match columns {
            [] => Arc::clone(&snapshot.schema),
            columns => some_of(&snapshot.schema, columns),
        };
        read_rows::<Error>(self.indexes(), &snapshot, file, &schema, |batch, _| {
            touched = touched || rework(&batch).map_err(|source| self.arrow(source))?.is_some();
            Ok(())
        })?;
        Ok(touched)
    }

    /// Makes that no file holds a row which is deleted, and gives the version that this comes to. Blocks.
    pub fn fold_deleted(self: &Arc<Self>) -> Result<i64, Error> {
        loop {
            let snapshot = self.snapshot();
            let Some(file) = snapshot.files.iter().find(|file| file.deletion_vector.is_some()) else {
                return Ok(snapshot.version);
            };
            self.fold_blocking(vec![Arc::clone(file)])?;
        }
    }

    /// Deletes everything that is not needed to read the newest version; how many files went. Nobody else may write to the
    /// table, and who follows it must have come to this version. Blocks.
    pub fn purge(self: &Arc<Self>) -> Result<u64, Error> {
        let snapshot = self.snapshot();
        self.recent.lock().clear();
        self.forget_previous();
        log::write_checkpoint(self.store(), &snapshot, &Default::default())?;
        failpoint::pass(Point::CheckpointHinted, || self.name().to_string());
        let listing = log::list(self.store())?;
        let old_commits = listing.commits.iter().filter(|version| **version < snapshot.version);
        let old_checkpoints = listing.checkpoints.iter().filter(|version| **version < snapshot.version);
        let old_log = old_commits.map(|version| log::commit_path(*version));
        for path in old_log.chain(old_checkpoints.map(|version| log::checkpoint_path(*version))) {
            self.store().delete(&path)?;
        }
        // What was being written when an earlier process ended.
        for left in self.store().list(log::FOLDER)?.iter().filter(|name| name.ends_with(".tmp")) {
            self.store().delete(&format!("{}/{left}", log::FOLDER))?;
        }
        self.tombstones.lock().clear();
        let went = self.sweep_blocking(Duration::ZERO)?;
        // The names of folders tell values.
        self.store().delete_empty("")?;
        failpoint::pass(Point::TablePurged, || self.name().to_string());
        Ok(went)
    }

    fn arrow(&self, source: ArrowError) -> Error {
        Error::Arrow { table: self.name().clone(), source }
    }
}

fn some_of(schema: &SchemaRef, columns: &[String]) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| columns.contains(field.name()));
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

/// Where notes lie that must last until what they say is done.
const NOTES: &str = ".erasures";

impl Lake {
    /// Forgets what is kept in memory of files: rows, keys, footers.
    pub fn forget_files(&self) {
        self.indexes.clear();
    }

    /// The schemas that hold tables. Blocks.
    pub fn schemas(&self) -> Result<Vec<String>, Error> {
        let names = super::store::Store::new(self.root.clone()).list("")?.into_iter();
        Ok(names.filter(|name| !name.starts_with('.') && self.root.join(name).is_dir()).collect())
    }

    /// Keeps a note, in the place of an older one of its name; durable when it returns. Blocks.
    pub fn keep_note(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        let notes = super::store::Store::new(self.root.join(NOTES));
        notes.make_folder("")?;
        notes.replace(name, text)?;
        super::store::sync_folder(&self.root.join(NOTES))
    }

    /// The notes that there are. Blocks.
    pub fn notes(&self) -> Result<Vec<Vec<u8>>, Error> {
        let notes = super::store::Store::new(self.root.join(NOTES));
        let names = notes.list("")?.into_iter().filter(|name| !name.ends_with(".tmp"));
        names.filter_map(|name| notes.read(&name).transpose()).collect()
    }

    /// Forgets a note, and what was left of writing others. Blocks.
    pub fn drop_note(&self, name: &str) -> Result<(), Error> {
        let notes = super::store::Store::new(self.root.join(NOTES));
        for left in notes.list("")?.iter().filter(|left| *left == name || left.ends_with(".tmp")) {
            notes.delete(left)?;
        }
        super::store::sync_folder(&self.root.join(NOTES))
    }

    /// A table that there is, by its full name. Blocks.
    pub fn tables_of(&self, schema: &str) -> Result<Vec<Arc<Table>>, Error> {
        let names = self.names_in(schema)?.into_iter();
        names.filter_map(|name: TableName| self.table(&name).transpose()).collect()
    }
}
