//! Tables that others write: read where they lie, never written to.
//!
//! Comes in: a folder. Goes out: a [`Table`] whose newest version moves when [`Table::follow`] finds another commit. What
//! is odd about others' logs is put right when lines are read, so that all else sees lines like our own.
//!
//! Guarantee: nothing is written in the folder (the [`Store`] refuses it). Failure: what cannot be read leaves the last
//! version standing; a table that has other columns, or is another table altogether, is said to be so and not followed,
//! since models were planned over the old one.

use super::action::Line;
use super::index::Indexes;
use super::snapshot::{DataFile, Snapshot};
use super::stats::FileStatistics;
use super::store::{Stamp, Store, io_error};
use super::table::Table;
use super::{Error, TableName, log, schema, storable};
use arrow::datatypes::SchemaRef;
use object_store::path::Path as ObjectPath;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// What a look at a table found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Nothing new.
    Rests,
    /// A newer version, which stands from now on.
    Moved,
    /// Other columns, or another table: it must be opened anew.
    Changed,
}

impl Table {
    /// Opens the table in a folder of others. [`Error::Missing`] when there is none. Blocks.
    pub fn open_foreign(name: &TableName, folder: &Path) -> Result<Arc<Self>, Error> {
        let folder = folder.canonicalize().map_err(|e| io_error("open", folder, e))?;
        let store = Store::foreign(folder.clone());
        let table = Self::open(name, store, Arc::new(Indexes::default()))?;
        let table = table.ok_or_else(|| missing(name, &folder))?;
        Ok(Arc::new(table))
    }

    /// Takes over what was committed since the last look. Costs three looks at names while nothing is. Blocks.
    pub fn follow(&self) -> Result<Followed, Error> {
        let mut found = Followed::Rests;
        // Before anything else: what is done to the log meanwhile shows at the next look.
        let folder = self.store().stamp(log::FOLDER)?;
        loop {
            let snapshot = self.snapshot();
            let Some(lines) = log::read_commit(self.store(), self.name(), snapshot.version + 1)? else {
                break;
            };
            let added = log::added_files(self.store(), self.name(), &lines)?;
            let next = Arc::new(snapshot.next(snapshot.version + 1, &lines, added.clone())?);
            if !is_like(&snapshot, &next) {
                return Ok(Followed::Changed);
            }
            self.publish(&next, &lines, added, None);
            found = Followed::Moved;
        }
        if found == Followed::Rests && [self.stamp()?, folder] != *self.seen.lock() {
            found = self.look_again()?;
        }
        if found != Followed::Changed {
            *self.seen.lock() = [self.stamp()?, folder];
        }
        Ok(found)
    }

    /// The log was cleaned up, perhaps of commits that were never seen; or this is another table.
    fn look_again(&self) -> Result<Followed, Error> {
        let loaded = log::load(self.store(), self.name(), None)?;
        let newest = loaded.ok_or_else(|| missing(self.name(), &self.store().path("")))?.snapshot;
        let stands = self.snapshot();
        if !is_like(&stands, &newest) || newest.version < stands.version {
            return Ok(Followed::Changed);
        }
        let moved = newest.version > stands.version;
        if moved {
            self.set_snapshot(Arc::new(newest));
        }
        Ok(if moved { Followed::Moved } else { Followed::Rests })
    }

    /// A version, to be read at a start. One of a table of others must have the columns of the newest, and its files.
    pub async fn standing_at(self: &Arc<Self>, version: i64) -> Result<Arc<Snapshot>, Error> {
        let snapshot = self.snapshot_at(version).await?;
        if !self.is_foreign() {
            return Ok(snapshot);
        }
        let found = Arc::clone(&snapshot);
        let is_whole =
            move |table: &Self| Ok(is_like(&table.snapshot(), &found) && table.has_files_of(&found));
        match self.blocking(is_whole).await? {
            true => Ok(snapshot),
            false => Err(Error::Gone { table: self.name().clone(), version }),
        }
    }

    /// True for a table that others write.
    pub fn is_foreign(&self) -> bool {
        self.store().is_foreign()
    }

    /// False when a file of a version is gone, as after the writer's vacuum. Blocks.
    fn has_files_of(&self, snapshot: &Snapshot) -> bool {
        snapshot.files.iter().all(|file| self.store().path(&file.path).exists())
    }

    fn stamp(&self) -> Result<Option<Stamp>, Error> {
        let version = self.snapshot().version;
        match self.store().stamp(&log::commit_path(version))? {
            None => self.store().stamp(&log::checkpoint_path(version)),
            stamp => Ok(stamp),
        }
    }
}

fn missing(table: &TableName, folder: &Path) -> Error {
    Error::Missing { table: table.clone(), path: folder.to_path_buf() }
}

/// True when what was planned over one version holds over the other.
fn is_like(one: &Snapshot, other: &Snapshot) -> bool {
    one.id() == other.id() && one.schema == other.schema && one.partition_columns == other.partition_columns
}

/// Lines as ours would be: plain paths, partition values that are NULL where they are empty. A file outside of the table's
/// folder is refused.
pub(super) fn localise(table: &TableName, mut lines: Vec<Line>) -> Result<Vec<Line>, Error> {
    for line in &mut lines {
        if let Some(add) = &mut line.add {
            add.path = local_path(table, &add.path)?;
            add.partition_values.values_mut().for_each(emptied);
        }
        if let Some(remove) = &mut line.remove {
            remove.path = local_path(table, &remove.path)?;
        }
        if let Some(cdc) = &mut line.cdc {
            cdc.path = local_path(table, &cdc.path)?;
            cdc.partition_values.values_mut().for_each(emptied);
        }
    }
    Ok(lines)
}

fn emptied(value: &mut Option<String>) {
    if value.as_ref().is_some_and(String::is_empty) {
        *value = None;
    }
}

fn local_path(table: &TableName, path: &str) -> Result<String, Error> {
    let is_outside = path.starts_with('/') || path.starts_with("file:") || path.contains("://");
    match ObjectPath::parse(path) {
        Ok(inside) if !is_outside => Ok(inside.to_string()),
        _ => {
            let feature = format!("files outside of its folder ({path})");
            Err(Error::Unsupported { table: table.clone(), feature })
        }
    }
}

/// Counts the rows of a file of others whose commit does not say how many it has. A file that is gone stays uncounted:
/// who reads it will say so.
pub(super) fn count_rows(store: &Store, table: &TableName, file: &mut Arc<DataFile>) -> Result<(), Error> {
    if !store.is_foreign() || file.says_rows() {
        return Ok(());
    }
    let path = store.path(&file.path);
    let open = match File::open(&path) {
        Ok(open) => open,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io_error("read", &path, e)),
    };
    let reader = SerializedFileReader::new(open);
    let reader = reader.map_err(|source| Error::Parquet { table: table.clone(), source })?;
    let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).ok();
    *file = Arc::new(file.with_rows(rows));
    Ok(())
}

/// A `schemaString` of others. Every column may be NULL: what others promise of their rows is theirs to keep.
pub(super) fn arrow_schema(table: &TableName, text: &str) -> Result<SchemaRef, Error> {
    let corrupt = |reason: String| Error::Corrupt {
        table: table.clone(),
        file: "_delta_log (schemaString)".to_string(),
        reason,
    };
    let mut columns: Value = serde_json::from_str(text).map_err(|e| corrupt(e.to_string()))?;
    allow_null(&mut columns);
    let schema = schema::arrow_schema(table, &columns.to_string())?;
    // Without the fields' metadata, which would tell one version's columns from another's.
    storable(&schema).map(Arc::new).map_err(|e| corrupt(e.to_string()))
}

fn allow_null(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match key.as_str() {
            "nullable" | "containsNull" | "valueContainsNull" => *value = Value::Bool(true),
            _ => allow_null(value),
        }),
        Value::Array(values) => values.iter_mut().for_each(allow_null),
        _ => {}
    }
}

/// The files of a checkpoint, given what stands behind `<version>.checkpoint.` and the whole name of each; `None` when
/// a part is missing. One file, parts that are numbered, or one file under a unique name that names others.
pub(super) fn whole_checkpoint(files: &[(String, String)]) -> Option<Vec<String>> {
    let mut parts: BTreeMap<usize, BTreeMap<usize, &String>> = BTreeMap::new();
    let mut unique = None;
    for (rest, name) in files {
        match rest.split('.').collect::<Vec<_>>().as_slice() {
            ["parquet"] => return Some(vec![name.clone()]),
            [part, of, "parquet"] => {
                parts.entry(of.parse().ok()?).or_default().insert(part.parse().ok()?, name);
            }
            [id, "parquet" | "json"] if uuid::Uuid::try_parse(id).is_ok() => {
                unique = Some(vec![name.clone()])
            }
            _ => {}
        }
    }
    let whole = parts.into_iter().find(|(of, parts)| parts.len() == *of);
    whole.map(|(_, parts)| parts.into_values().cloned().collect()).or(unique)
}

impl DataFile {
    fn says_rows(&self) -> bool {
        // Only the count is looked for: bounds are read with the columns' types.
        let says =
            |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|stats| stats["numRecords"].is_u64());
        self.stats_json.as_deref().is_some_and(says)
    }

    /// The same file with nothing known but its rows.
    pub(super) fn with_rows(&self, rows: Option<u64>) -> Self {
        let known = FileStatistics { rows, ..FileStatistics::default() };
        Self { stats: OnceLock::from(Arc::new(known)), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(names: &[&str]) -> Option<Vec<String>> {
        let files: Vec<_> =
            names.iter().map(|name| (name.to_string(), format!("7.checkpoint.{name}"))).collect();
        whole_checkpoint(&files)
    }

    #[test]
    fn a_checkpoint_counts_when_all_of_it_is_there() {
        assert_eq!(whole(&["parquet"]), Some(vec!["7.checkpoint.parquet".to_string()]));
        assert_eq!(whole(&["0000000002.0000000002.parquet"]), None);
        assert_eq!(
            whole(&["0000000002.0000000002.parquet", "0000000001.0000000002.parquet"]),
            Some(vec![
                "7.checkpoint.0000000001.0000000002.parquet".to_string(),
                "7.checkpoint.0000000002.0000000002.parquet".to_string()
            ])
        );
        let unique = "80a083e8-7026-4e79-81be-64bd76c43a11.parquet";
        assert_eq!(whole(&[unique]), Some(vec![format!("7.checkpoint.{unique}")]));
        assert_eq!(whole(&["parquet.tmp"]), None);
    }

    #[test]
    fn paths_stay_inside() {
        let table = TableName::new("lakehouse", "x");
        let inside = "day=2026-01-01 00%3A00/a.parquet";
        assert_eq!(local_path(&table, inside).unwrap(), inside);
        for outside in
            ["../x.parquet", "/etc/x.parquet", "s3://bucket/x.parquet", "file:/x.parquet", "a/../../x"]
        {
            assert!(local_path(&table, outside).is_err(), "{outside}");
        }
    }

    #[test]
    fn every_column_of_others_may_be_null() {
        let text = r#"{"type":"struct","fields":[{"name":"a","type":{"type":"array","elementType":"long",
            "containsNull":false},"nullable":false,"metadata":{"comment":"x"}}]}"#;
        let schema = arrow_schema(&TableName::new("lakehouse", "x"), text).unwrap();
        assert!(schema.field(0).is_nullable() && schema.field(0).metadata().is_empty());
        let arrow::datatypes::DataType::List(element) = schema.field(0).data_type() else { panic!("a list") };
        assert!(element.is_nullable());
    }
}
