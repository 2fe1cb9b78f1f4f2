//! Where in a file the rows of a key stand: an index by hash, made when first asked for, kept in memory while it fits.
//!
//! ```text
//! (file, key columns) ─► sorted [hash of the key, 32 bits | row, 32 bits]      8 bytes a row, built by one read of the columns
//! keys ─► their hashes ─► rows that may have one of them ─► read by a selection ─► the caller compares the keys themselves
//! ```
//!
//! Data files never change, so an index never does: folding makes other files, deletion vectors are looked at afterwards.
//! An index is a cache of what the file says and may be dropped at any time.

use super::decoded::Decoded;
use super::in_place::InPlace;
use super::snapshot::{DataFile, Snapshot};
use super::{Error, TableName, read};
use arrow::array::{Array as _, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::PageIndexPolicy;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use roaring::RoaringTreemap;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of indexes kept in memory: 128 million rows. Where they do not fit, each refresh builds some of them anew.
const INDEX_BYTES_MAX: u64 = 1 << 30;
/// Bytes of footers kept in memory.
const FOOTER_BYTES_MAX: u64 = 256 << 20;
/// Files whose footers are expected to be kept.
const FILES_EXPECTED: usize = 1024;
/// When more than one row in so many has one of the keys, a file is read whole: scattered, they stand in every page.
const ROWS_A_FOUND_ROW_MIN: usize = 16;
/// So many rows are always looked up.
const FEW_ROWS: usize = 1024;
/// Rows a batch when key columns are read.
const BATCH_ROWS: usize = 65_536;

/// The key columns of a file: its path, and their names and the types that they are hashed in.
type IndexKey = (Arc<Path>, Fields);

/// The indexes, footers and columns that a lake keeps in memory.
#[derive(Debug)]
pub(super) struct Indexes {
    pub(super) decoded: Decoded,
    indexes: Cache<IndexKey, Arc<KeyIndex>, Weight>,
    footers: Cache<Arc<Path>, ArrowReaderMetadata, Weight>,
}

/// What things in memory weigh.
#[derive(Clone, Debug)]
pub(super) struct Weight;

impl Weighter<IndexKey, Arc<KeyIndex>> for Weight {
    fn weight(&self, _: &IndexKey, index: &Arc<KeyIndex>) -> u64 {
        size_of_val(index.entries.as_slice()) as u64 + 128
    }
}

impl Weighter<Arc<Path>, ArrowReaderMetadata> for Weight {
    fn weight(&self, _: &Arc<Path>, footer: &ArrowReaderMetadata) -> u64 {
        footer.metadata().memory_size() as u64 + 128
    }
}

impl Default for Indexes {
    fn default() -> Self {
        Self {
            indexes: bounded(FILES_EXPECTED, INDEX_BYTES_MAX),
            footers: bounded(FILES_EXPECTED, FOOTER_BYTES_MAX),
            decoded: Decoded::default(),
        }
    }
}

/// A cache of at most so much weight.
pub(super) fn bounded<K: std::hash::Hash + Eq, V: Clone>(
    expected: usize,
    weight_max: u64,
) -> Cache<K, V, Weight>
where
    Weight: Weighter<K, V>,
{
    // One shard: an index of a large file may take most of the room.
    let options = OptionsBuilder::new()
        .estimated_items_capacity(expected)
        .weight_capacity(weight_max)
        .shards(1)
        .build();
    match options {
        Ok(options) => Cache::with_options(options, Weight, Default::default(), Default::default()),
        Err(_) => Cache::with_weighter(expected, weight_max, Weight),
    }
}

impl Indexes {
    /// Forgets everything: it is a cache.
    pub(super) fn clear(&self) {
        self.decoded.clear();
        self.indexes.clear();
        self.footers.clear();
    }

    /// Forgets what is kept of some files.
    pub(super) fn forget(&self, files: &HashSet<PathBuf>) {
        self.decoded.forget(files);
        self.indexes.retain(|(path, _), _| !files.contains(path.as_ref()));
        self.footers.retain(|path, _| !files.contains(path.as_ref()));
    }

    /// True when something is kept of a file.
    #[cfg(test)]
    pub(super) fn has(&self, file: &Path) -> bool {
        self.footers.iter().any(|(path, _)| path.as_ref() == file)
    }

    /// A file's footer with its offset index, so that a selection of rows reads their pages alone. Blocks.
    pub(super) fn footer(
        &self,
        table: &TableName,
        path: &Arc<Path>,
        file: &InPlace,
    ) -> Result<ArrowReaderMetadata, Error> {
        if let Some(footer) = self.footers.get(path) {
            return Ok(footer);
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer = ArrowReaderMetadata::load(file, options)
            .map_err(|source| Error::Parquet { table: table.clone(), source })?;
        self.footers.insert(Arc::clone(path), footer.clone());
        Ok(footer)
    }

    /// The live rows of `files` that may have one of the keys, as files that stand for these rows alone; files of which
    /// most rows may have one stay whole. Blocks.
    pub(super) fn narrow(
        &self,
        snapshot: &Snapshot,
        root: &Path,
        files: &[Arc<DataFile>],
        keys: &Keys,
    ) -> Result<Vec<Arc<DataFile>>, Error> {
        let mut narrowed = Vec::new();
        for file in files {
            if !keys.may_be_in(file, &snapshot.schema) {
                continue;
            }
            let index = self.index(&snapshot.table, root, file, keys)?;
            let Some(mut rows) = index.rows(&keys.hashes) else {
                narrowed.push(Arc::clone(file));
                continue;
            };
            if let Some(only) = &file.only {
                rows &= only.as_ref();
            } else if let Some(vector) = &file.deletion_vector {
                rows -= vector.rows.as_ref();
            }
            if !rows.is_empty() {
                narrowed.push(Arc::new(file.with_only(rows)));
            }
        }
        Ok(narrowed)
    }

    fn index(
        &self,
        table: &TableName,
        root: &Path,
        file: &DataFile,
        keys: &Keys,
    ) -> Result<Arc<KeyIndex>, Error> {
        let path: Arc<Path> = Arc::from(root.join(&file.path));
        let key = (Arc::clone(&path), keys.schema.fields().clone());
        if let Some(index) = self.indexes.get(&key) {
            return Ok(index);
        }
        let index = Arc::new(self.build(table, &path, keys)?);
        self.indexes.insert(key, Arc::clone(&index));
        Ok(index)
    }

    fn build(&self, table: &TableName, path: &Arc<Path>, keys: &Keys) -> Result<KeyIndex, Error> {
        let open = InPlace::open(path)?;
        let footer = self.footer(table, path, &open)?;
        let mask = ProjectionMask::columns(footer.parquet_schema(), keys.names.iter().map(String::as_str));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(open, footer)
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|source| Error::Parquet { table: table.clone(), source })?;
        let arrow = |source| Error::Arrow { table: table.clone(), source };
        let mut hashes = Vec::new();
        for batch in reader {
            let batch = read::conform(table, &batch.map_err(arrow)?, &keys.schema)?;
            hashes.extend(key_hashes(batch.columns(), batch.num_rows()).map_err(arrow)?);
        }
        Ok(KeyIndex::of(&hashes))
    }
}

/// Keys that rows are looked for by.
#[derive(Debug)]
pub(super) struct Keys {
    names: Arc<[String]>,
    /// The columns as they are stored.
    schema: SchemaRef,
    /// Sorted, each once.
    hashes: Vec<u32>,
    /// Of each column.
    bounds: Vec<Bounds>,
}

/// The least and the greatest of a column's values; `None` when one of them is NULL or their type has no order.
type Bounds = Option<(ScalarValue, ScalarValue)>;

fn bounds_of(data_type: &DataType, columns: &[ArrayRef]) -> Result<Bounds, DataFusionError> {
    let (mut least, mut greatest) =
        (MinAccumulator::try_new(data_type)?, MaxAccumulator::try_new(data_type)?);
    for column in columns.iter().filter(|column| !column.is_empty()) {
        if column.null_count() > 0 {
            return Ok(None);
        }
        least.update_batch(std::slice::from_ref(column))?;
        greatest.update_batch(std::slice::from_ref(column))?;
    }
    Ok(Some((least.evaluate()?, greatest.evaluate()?)).filter(|(least, _)| !least.is_null()))
}

impl Keys {
    /// The keys in these batches: for each of `columns` of the snapshot a column of values. Values of partition
    /// columns are left out,
    /// which are not in the files; `None` when nothing is left.
    pub(super) fn new(
        snapshot: &Snapshot,
        columns: &[usize],
        batches: &[RecordBatch],
    ) -> Result<Option<Self>, ArrowError> {
        let is_in_files =
            |column: &usize| !snapshot.partition_columns.contains(snapshot.schema.field(*column).name());
        let mut places: Vec<(usize, usize)> =
            columns.iter().copied().enumerate().filter(|(_, column)| is_in_files(column)).collect();
        // One order of the columns, so that one index serves however the keys are written.
        places.sort_unstable_by_key(|(_, column)| *column);
        let (at, columns): (Vec<usize>, Vec<usize>) = places.into_iter().unzip();
        if columns.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(snapshot.schema.project(&columns)?);
        let mut hashes = Vec::new();
        let mut values = vec![Vec::new(); columns.len()];
        for batch in batches {
            let batch = batch.project(&at)?;
            let stored = batch.columns().iter().zip(schema.fields());
            // What its column cannot hold becomes NULL here and equals nothing there: a few rows more are read.
            let stored = stored.map(|(column, field)| cast(column, field.data_type()));
            let stored = stored.collect::<Result<Vec<_>, _>>()?;
            hashes.extend(key_hashes(&stored, batch.num_rows())?);
            values.iter_mut().zip(stored).for_each(|(values, column)| values.push(column));
        }
        hashes.sort_unstable();
        hashes.dedup();
        let names = schema.fields().iter().map(|field| field.name().clone()).collect();
        let bounds = schema.fields().iter().zip(&values);
        let bounds =
            bounds.map(|(field, values)| bounds_of(field.data_type(), values).unwrap_or_default()).collect();
        Ok(Some(Self { names, schema, hashes, bounds }))
    }

    /// False when the file's bounds say that it holds none of the keys.
    fn may_be_in(&self, file: &DataFile, stored: &SchemaRef) -> bool {
        if self.hashes.is_empty() {
            return false;
        }
        let statistics = file.statistics(stored);
        self.names.iter().zip(&self.bounds).all(|(name, bounds)| {
            let (Some((least, greatest)), Some(column)) = (bounds, statistics.columns.get(name)) else {
                return true;
            };
            let is_beyond = |a: &Option<ScalarValue>, b: &ScalarValue, order| {
                a.as_ref().and_then(|a| a.partial_cmp(b)).is_some_and(|found| found == order)
            };
            !is_beyond(&column.max, least, Ordering::Less)
                && !is_beyond(&column.min, greatest, Ordering::Greater)
        })
    }
}

/// One file's rows by the hash of their key.
#[derive(Debug)]
struct KeyIndex {
    /// The hash above, the row below; sorted.
    entries: Vec<u64>,
}

impl KeyIndex {
    fn of(hashes: &[u32]) -> Self {
        let mut entries: Vec<u64> =
            hashes.iter().zip(0u64..).map(|(hash, row)| u64::from(*hash) << 32 | row).collect();
        entries.sort_unstable();
        Self { entries }
    }

    /// The rows with one of these hashes, which are sorted; `None` when they are so many that reading all costs no more:
    /// that is known before any is picked.
    fn rows(&self, hashes: &[u32]) -> Option<RoaringTreemap> {
        let rows_max = (self.entries.len() / ROWS_A_FOUND_ROW_MIN).max(FEW_ROWS);
        let mut ranges = Vec::with_capacity(hashes.len());
        let (mut from, mut count) = (0, 0);
        for hash in hashes {
            let first = u64::from(*hash) << 32;
            from += gallop(&self.entries[from..], first);
            let same = gallop(&self.entries[from..], first.saturating_add(1 << 32));
            ranges.push(from..from + same);
            from += same;
            count += same;
            if count > rows_max {
                return None;
            }
        }
        let row = |entry: &u64| entry & u64::from(u32::MAX);
        let mut rows: Vec<u64> = ranges.into_iter().flat_map(|range| &self.entries[range]).map(row).collect();
        rows.sort_unstable();
        Some(rows.into_iter().collect())
    }
}

/// How many of the sorted entries are below `wanted`; cheap when it is near.
fn gallop(entries: &[u64], wanted: u64) -> usize {
    let mut step = 1;
    while entries.get(step).is_some_and(|entry| *entry < wanted) {
        step *= 2;
    }
    let from = step / 2;
    let to = (step + 1).min(entries.len());
    from.min(to) + entries[from.min(to)..to].partition_point(|entry| *entry < wanted)
}

/// The upper halves of the keys' hashes: equal keys have equal ones, NULL being a value like any other.
fn key_hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>, ArrowError> {
    let mut hashes = vec![0u64; rows];
    create_hashes(columns, &QualityRandomState::with_seed(0), &mut hashes)
        .map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
    Ok(hashes.into_iter().map(|hash| u32::try_from(hash >> 32).unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_index_finds_the_rows_of_its_hashes(
            stored in prop::collection::vec(0u32..40, 0..200),
            mut wanted in prop::collection::vec(0u32..50, 0..30),
        ) {
            wanted.sort_unstable();
            wanted.dedup();
            let found: Vec<u64> = KeyIndex::of(&stored).rows(&wanted).unwrap().iter().collect();
            let rows = stored.iter().zip(0u64..).filter(|(hash, _)| wanted.contains(hash));
            prop_assert_eq!(found, rows.map(|(_, row)| row).collect::<Vec<_>>());
        }
    }
}
