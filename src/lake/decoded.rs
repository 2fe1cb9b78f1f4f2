//! Columns of small files that are read again and again, kept in memory as they are after decoding.
//!
//! Dashboards ask the same tables all day, each question for few rows: opening a file and unpacking its pages costs them
//! more than all else. Files never change, so what is kept of one stays right, and so does what is kept of it under a deletion
//! vector.

use super::Error;
use super::index::{Indexes, Weight, bounded};
use super::read::{read_rows, with_partitions};
use super::snapshot::{DataFile, Snapshot};
use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use roaring::RoaringTreemap;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of columns kept in memory.
const BYTES_MAX: u64 = 128 << 20;
/// Columns that are expected to be kept.
const COLUMNS_EXPECTED: usize = 4096;
/// Files of a scan that are larger together are read from disk.
const SCAN_BYTES_MAX: u64 = 8 << 20;
/// So are files with more rows together: their row groups and pages are passed over by bounds, and read by all threads.
pub(super) const SCAN_ROWS_MAX: u64 = if cfg!(test) { 64 } else { 262_144 };
/// Of larger files columns are kept, and indexes made, when they are read for the second time.
const AT_ONCE_BYTES_MAX: u64 = 64 << 10;
/// Tables with more rows are not looked up for readers: their indexes would push out those of refreshes.
const INDEXED_ROWS_MAX: u64 = 16 << 20;

/// A session whose configuration has this extension reads small files from memory: it asks them again and again.
#[derive(Debug)]
pub struct ReadsAgain;

/// A column of a file: its path, which of the rows, the column's name.
type ColumnKey = (Arc<Path>, Rows, Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rows {
    All,
    /// Those that a deletion vector leaves. Of each file one vector's are kept: the newest that was asked for.
    Live,
}

/// A column in pieces.
type Column = Arc<[ArrayRef]>;

/// A column that is kept, and of live rows which deletion vector has taken the others.
type Kept = (Option<Arc<str>>, Column);

/// The columns that a lake keeps in memory.
#[derive(Debug)]
pub(super) struct Decoded {
    columns: Cache<ColumnKey, Kept, Weight>,
    /// Files that were read before.
    read: Cache<Arc<Path>, (), Weight>,
}

impl Default for Decoded {
    fn default() -> Self {
        Self {
            columns: bounded(COLUMNS_EXPECTED, BYTES_MAX),
            read: bounded(COLUMNS_EXPECTED, COLUMNS_EXPECTED as u64),
        }
    }
}

impl Weighter<ColumnKey, Kept> for Weight {
    fn weight(&self, _: &ColumnKey, (_, column): &Kept) -> u64 {
        column.iter().map(|piece| piece.get_array_memory_size() as u64).sum::<u64>() + 128
    }
}

impl Weighter<Arc<Path>, ()> for Weight {
    fn weight(&self, _: &Arc<Path>, (): &()) -> u64 {
        1
    }
}

impl Decoded {
    /// Forgets everything: it is a cache.
    pub(super) fn clear(&self) {
        self.columns.clear();
        self.read.clear();
    }

    /// Forgets what is kept of some files.
    pub(super) fn forget(&self, files: &HashSet<PathBuf>) {
        self.columns.retain(|(path, ..), _| !files.contains(path.as_ref()));
        self.read.retain(|path, ()| !files.contains(path.as_ref()));
    }

    /// True when reading these files from memory is what they are kept for: they are few and small, and the larger ones
    /// were read before.
    pub(super) fn suits(&self, snapshot: &Snapshot, files: &[Arc<DataFile>]) -> bool {
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        let rows: Option<u64> = files.iter().map(|file| file.statistics(&snapshot.schema).rows).sum();
        if bytes > SCAN_BYTES_MAX || rows.is_none_or(|rows| rows > SCAN_ROWS_MAX) {
            return false;
        }
        files.iter().all(|file| file.only.is_none()) && self.were_read(snapshot, files)
    }

    /// True when an index of these files is worth making.
    pub(super) fn suits_index(&self, snapshot: &Snapshot, files: &[Arc<DataFile>]) -> bool {
        let rows: Option<u64> = files.iter().map(|file| file.statistics(&snapshot.schema).rows).sum();
        rows.is_some_and(|rows| rows <= INDEXED_ROWS_MAX) && self.were_read(snapshot, files)
    }

    /// True when the larger of these files were asked about before; next time they were.
    fn were_read(&self, snapshot: &Snapshot, files: &[Arc<DataFile>]) -> bool {
        let large = files.iter().filter(|file| file.size > AT_ONCE_BYTES_MAX);
        let paths = large.map(|file| path_of(snapshot, file));
        let unread: Vec<_> = paths.filter(|path| self.read.get(path).is_none()).collect();
        let were_read = unread.is_empty();
        unread.into_iter().for_each(|path| self.read.insert(path, ()));
        were_read
    }

    /// A file's live rows, in a schema of some of the table's columns. `None` when some are not in memory, unless they may
    /// be read, which blocks.
    pub(super) fn rows(
        &self,
        indexes: &Indexes,
        snapshot: &Snapshot,
        file: &DataFile,
        schema: &SchemaRef,
        may_read: bool,
    ) -> Result<Option<Vec<RecordBatch>>, Error> {
        let arrow = |source| Error::Arrow { table: snapshot.table.clone(), source };
        let stored =
            schema.fields().iter().filter(|field| !snapshot.partition_columns.contains(field.name()));
        let stored: SchemaRef = Arc::new(Schema::new(stored.cloned().collect::<Vec<_>>()));
        if stored.fields().is_empty() {
            let rows =
                usize::try_from(file.live_rows(&snapshot.schema).unwrap_or_default()).unwrap_or(usize::MAX);
            let none = RecordBatch::try_new_with_options(
                stored,
                Vec::new(),
                &RecordBatchOptions::new().with_row_count(Some(rows)),
            );
            let none = none.map_err(arrow)?;
            return Ok(Some(vec![with_partitions(snapshot, file, schema, &none)?]));
        }
        let path = path_of(snapshot, file);
        let vector = file.deletion_vector.as_ref().map(|vector| vector.identity());
        let columns = match self.get(&path, vector.as_ref(), &stored) {
            Some(columns) => columns,
            None if !may_read => return Ok(None),
            None => {
                let whole = match self.get(&path, None, &stored) {
                    Some(columns) => columns,
                    None => self.keep(&path, None, &stored, decode(indexes, snapshot, file, &stored)?),
                };
                match &file.deletion_vector {
                    None => whole,
                    Some(gone) => {
                        let live = without(&whole, &gone.rows);
                        let live = live.map_err(arrow)?;
                        self.keep(&path, vector.as_ref(), &stored, live)
                    }
                }
            }
        };
        let pieces = (0..columns[0].len()).map(|piece| {
            let arrays = columns.iter().map(|column| Arc::clone(&column[piece])).collect();
            let batch = RecordBatch::try_new(Arc::clone(&stored), arrays);
            let batch = batch.map_err(arrow)?;
            with_partitions(snapshot, file, schema, &batch)
        });
        pieces.collect::<Result<_, _>>().map(Some)
    }

    fn get(&self, path: &Arc<Path>, vector: Option<&Arc<str>>, schema: &Schema) -> Option<Vec<Column>> {
        let kept = |name: &str| {
            let (of, column) = self.columns.get(&key(path, vector, name))?;
            (of.as_ref() == vector).then_some(column)
        };
        schema.fields().iter().map(|field| kept(field.name())).collect()
    }

    fn keep(
        &self,
        path: &Arc<Path>,
        vector: Option<&Arc<str>>,
        schema: &Schema,
        columns: Vec<Column>,
    ) -> Vec<Column> {
        for (field, column) in schema.fields().iter().zip(&columns) {
            self.columns.insert(key(path, vector, field.name()), (vector.cloned(), Arc::clone(column)));
        }
        columns
    }
}

fn key(path: &Arc<Path>, vector: Option<&Arc<str>>, column: &str) -> ColumnKey {
    let rows = if vector.is_some() { Rows::Live } else { Rows::All };
    (Arc::clone(path), rows, Arc::from(column))
}

/// Columns of all the rows of a file, deleted ones too. Blocks.
fn decode(
    indexes: &Indexes,
    snapshot: &Snapshot,
    file: &DataFile,
    schema: &SchemaRef,
) -> Result<Vec<Column>, Error> {
    let whole = DataFile { deletion_vector: None, ..file.clone() };
    let mut pieces = vec![Vec::new(); schema.fields().len()];
    read_rows::<Error>(indexes, snapshot, &whole, schema, |batch, _| {
        pieces.iter_mut().zip(batch.columns()).for_each(|(pieces, column)| pieces.push(Arc::clone(column)));
        Ok(())
    })?;
    Ok(pieces.into_iter().map(Column::from).collect())
}

/// The columns without the rows at these places.
fn without(columns: &[Column], gone: &RoaringTreemap) -> Result<Vec<Column>, ArrowError> {
    let (mut gone, mut from) = (gone.iter().peekable(), 0);
    let sizes = columns.first().into_iter().flat_map(|pieces| pieces.iter().map(|piece| piece.len()));
    let masks = sizes.map(|size| {
        let mut is_live = vec![true; size];
        let end = from + size as u64;
        while let Some(row) = gone.next_if(|row| *row < end) {
            if let Some(place) = usize::try_from(row - from).ok().and_then(|row| is_live.get_mut(row)) {
                *place = false;
            }
        }
        from = end;
        BooleanArray::from(is_live)
    });
    let masks: Vec<BooleanArray> = masks.collect();
    let live = columns.iter().map(|pieces| {
        pieces.iter().zip(&masks).map(|(piece, is_live)| filter(piece, is_live)).collect::<Result<_, _>>()
    });
    live.collect()
}

fn path_of(snapshot: &Snapshot, file: &DataFile) -> Arc<Path> {
    Arc::from(snapshot.store.path(&file.path))
}
