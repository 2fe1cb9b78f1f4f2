//! A commit before it is made: the rows that the table would then hold, for those who judge them first.

use super::scan::FilesProvider;
use super::snapshot::Snapshot;
use super::table::{Commit, Table};
use super::vector;
use datafusion::catalog::TableProvider;
use std::collections::HashSet;
use std::sync::Arc;

impl Table {
    /// The table as it would stand after a commit whose files are written. Where the newest version has moved on since
    /// the commit was made up, so has the commit's ground: it will be refused.
    pub fn staged(&self, commit: &Commit) -> Arc<dyn TableProvider> {
        let staged = Arc::new(staged(&self.snapshot(), commit));
        let files = staged.files.clone();
        Arc::new(FilesProvider::new(&staged, files, self.store().path(""), self.shared_indexes()))
    }
}

fn staged(base: &Snapshot, commit: &Commit) -> Snapshot {
    let leaving = commit.removes.iter().chain(commit.deletes.iter().map(|(file, _)| file));
    let leaving: HashSet<&str> = leaving.map(|file| file.path.as_str()).collect();
    let staying = base.files.iter().filter(|file| !leaving.contains(file.path.as_str())).cloned();
    let fewer = commit.deletes.iter();
    let fewer = fewer.map(|(file, rows)| Arc::new(file.with_vector(vector::unwritten(rows.clone()))));
    let coming = commit.adds.iter().map(|file| Arc::new(file.clone()));
    let (schema, partition_columns) = match &commit.definition {
        Some(definition) => (Arc::clone(&definition.schema), definition.partition_columns.clone()),
        None => (Arc::clone(&base.schema), base.partition_columns.clone()),
    };
    Snapshot {
        version: base.version + 1,
        schema,
        partition_columns,
        files: staying.chain(fewer).chain(coming).collect(),
        ..base.clone()
    }
}
