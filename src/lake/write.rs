//! Record batches become data files: parquet, statistics from the footer, synced.

use super::partition::{PartitionValues, folder_of, partition_text};
use super::snapshot::DataFile;
use super::stats::{FileStatistics, is_bounded};
use super::store::Store;
use super::{Error, TableName};
use crate::ops::clock;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::{Arc, OnceLock};

/// A file is closed and the next begun when it is about this large.
const FILE_BYTES_MAX: usize = 128 << 20;

/// What a file is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Written once, folded soon: cheapest to write.
    Fast,
    /// Kept: smaller on disk.
    Compact,
}

/// Writes batches into new files of a table. Until a commit names them they belong to nothing; dropped without
/// [`DataWriter::finish`], they are deleted.
#[derive(Debug)]
pub struct DataWriter {
    table: TableName,
    store: Store,
    schema: SchemaRef,
    file_schema: SchemaRef,
    partition_indices: Vec<usize>,
    converter: Option<RowConverter>,
    properties: WriterProperties,
    open: HashMap<Option<OwnedRow>, OpenFile>,
    closed: Vec<DataFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: String,
    partition_values: PartitionValues,
    writer: ArrowWriter<File>,
}

impl DataWriter {
    pub(super) fn new(
        table: TableName,
        store: Store,
        schema: SchemaRef,
        partition_columns: &[String],
        effort: Effort,
    ) -> Result<Self, Error> {
        let arrow = |source| Error::Arrow { table: table.clone(), source };
        let partition_indices: Vec<usize> =
            partition_columns.iter().filter_map(|c| schema.index_of(c).ok()).collect();
        let kept = schema.fields().iter().enumerate().filter(|(i, _)| !partition_indices.contains(i));
        let file_schema = Arc::new(Schema::new(kept.map(|(_, f)| Arc::clone(f)).collect::<Vec<_>>()));
        let converter = if partition_indices.is_empty() {
            None
        } else {
            let fields =
                partition_indices.iter().map(|i| SortField::new(schema.field(*i).data_type().clone()));
            Some(RowConverter::new(fields.collect()).map_err(arrow)?)
        };
        let properties = properties(effort, &file_schema);
        Ok(Self {
            table,
            store,
            schema,
            file_schema,
            partition_indices,
            converter,
            properties,
            open: HashMap::new(),
            closed: Vec::new(),
        })
    }

    /// The columns that batches must have.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Writes a batch in the table's schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Some(converter) = &self.converter else {
            return self.write_part(None, &BTreeMap::new(), batch);
        };
        let arrow = |source| Error::Arrow { table: self.table.clone(), source };
        let keys: Vec<_> = self.partition_indices.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        let rows = converter.convert_columns(&keys).map_err(arrow)?;
        let mut parts: HashMap<OwnedRow, Vec<u32>> = HashMap::new();
        for (row, position) in rows.iter().zip(0u32..) {
            parts.entry(row.owned()).or_default().push(position);
        }
        let mut split = Vec::with_capacity(parts.len());
        for (key, positions) in parts {
            let first = usize::try_from(positions[0]).unwrap_or_default();
            let mut values = BTreeMap::new();
            for (index, column) in self.partition_indices.iter().zip(&keys) {
                values.insert(self.schema.field(*index).name().clone(), partition_text(column, first));
            }
            let part = take_record_batch(batch, &UInt32Array::from(positions)).map_err(arrow)?;
            let kept: Vec<usize> =
                (0..part.num_columns()).filter(|i| !self.partition_indices.contains(i)).collect();
            split.push((key, values, part.project(&kept).map_err(arrow)?));
        }
        for (key, values, part) in split {
            self.write_part(Some(key), &values, &part)?;
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        key: Option<OwnedRow>,
        values: &PartitionValues,
        batch: &RecordBatch,
    ) -> Result<(), Error> {
        let parquet = |source| Error::Parquet { table: self.table.clone(), source };
        if !self.open.contains_key(&key) {
            let columns = self.partition_indices.iter().map(|i| self.schema.field(*i).name().as_str());
            let folder = folder_of(columns, values);
            if !folder.is_empty() {
                self.store.make_folder(&folder)?;
            }
            let path = format!("{folder}part-{}.parquet", uuid::Uuid::new_v4());
            let file = self.store.create(&path)?;
            let writer =
                ArrowWriter::try_new(file, Arc::clone(&self.file_schema), Some(self.properties.clone()))
                    .map_err(parquet)?;
            let open = OpenFile { path, partition_values: values.clone(), writer };
            self.open.insert(key.clone(), open);
        }
        let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
        open.writer.write(batch).map_err(|e| write_error(&self.table, &self.store, &open.path, e))?;
        if open.writer.bytes_written() + open.writer.in_progress_size() >= FILE_BYTES_MAX
            && let Some(full) = self.open.remove(&key)
        {
            self.close(full)?;
        }
        Ok(())
    }

    fn close(&mut self, mut open: OpenFile) -> Result<(), Error> {
        let metadata =
            open.writer.finish().map_err(|e| write_error(&self.table, &self.store, &open.path, e))?;
        let file = open.writer.inner();
        self.store.settle(&open.path, file)?;
        let size = file
            .metadata()
            .map_err(|e| super::store::io_error("read", &self.store.path(&open.path), e))?
            .len();
        let stats = FileStatistics::of_footer(&metadata, &self.file_schema);
        let stats_json = Arc::from(stats.to_json());
        self.closed.push(DataFile {
            path: open.path,
            size,
            modified_ms: clock::now_ms(),
            partition_values: open.partition_values,
            tags: BTreeMap::new(),
            deletion_vector: None,
            only: None,
            descriptor: None,
            stats_json: Some(stats_json),
            stats: OnceLock::from(Arc::new(stats)),
        });
        Ok(())
    }

    /// Closes and syncs what was written.
    pub fn finish(mut self) -> Result<Vec<DataFile>, Error> {
        for (_, open) in std::mem::take(&mut self.open) {
            self.close(open)?;
        }
        Ok(std::mem::take(&mut self.closed))
    }
}

impl Drop for DataWriter {
    fn drop(&mut self) {
        let unfinished = self.open.values().map(|open| &open.path).chain(self.closed.iter().map(|f| &f.path));
        for path in unfinished {
            let _ = self.store.delete(path);
        }
    }
}

/// Parquet reports a failed write as text; a full disk must stay recognisable.
fn write_error(table: &TableName, store: &Store, path: &str, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
            Ok(io) => super::store::io_error("write", &store.path(path), *io),
            Err(cause) => Error::Parquet {
                table: table.clone(),
                source: parquet::errors::ParquetError::External(cause),
            },
        },
        source => Error::Parquet { table: table.clone(), source },
    }
}

/// Rows of a page: single rows are read back by their pages.
const PAGE_ROWS: usize = 512;
/// Rows of a row group: what a reader fetches, and a writer holds, at once. Of a million rows, the format's default, these
/// are tens of MiB on each thread.
const GROUP_ROWS: usize = 131_072;
/// A dictionary beyond this is given up: it must be read before any row is.
const DICTIONARY_BYTES_MAX: usize = 32 << 10;

/// `_raw` holds each record's bytes: all different, never filtered on, so neither dictionary nor statistics pay; but to be
/// kept, it is compressed well. All other columns are looked up by row, and a page is unpacked for each row: what unpacks
/// fast costs less than what is small. Columns whose bounds cannot be relied on have none here either: row groups are
/// passed over by them. Rows mostly come in the order of their times, so that these have bounds by page too: what a window of
/// time lets in and out as it moves is a page of each file.
fn properties(effort: Effort, schema: &Schema) -> WriterProperties {
    let of_raw = match effort {
        Effort::Fast => Compression::LZ4_RAW,
        Effort::Compact => Compression::ZSTD(ZstdLevel::default()),
    };
    let raw = || ColumnPath::from("_raw");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_column_compression(raw(), of_raw)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(raw(), false)
        .set_column_statistics_enabled(raw(), EnabledStatistics::None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX);
    for field in schema.fields() {
        let bounds = match field.data_type() {
            DataType::Timestamp(..) | DataType::Date32 => EnabledStatistics::Page,
            other if is_bounded(other) => continue,
            _ => EnabledStatistics::None,
        };
        let column = ColumnPath::from(field.name().as_str());
        properties = properties.set_column_statistics_enabled(column, bounds);
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, TimeUnit};

    #[test]
    fn times_have_bounds_by_page() {
        let columns = [
            ("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ("day", DataType::Date32),
            ("id", DataType::Int64),
            ("price", DataType::Float64),
            ("_raw", DataType::Binary),
        ];
        let schema = Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec());
        let properties = properties(Effort::Fast, &schema);
        let bounds = |column: &str| properties.statistics_enabled(&ColumnPath::from(column));
        assert_eq!((bounds("at"), bounds("day")), (EnabledStatistics::Page, EnabledStatistics::Page));
        assert_eq!(bounds("id"), EnabledStatistics::Chunk);
        assert_eq!((bounds("price"), bounds("_raw")), (EnabledStatistics::None, EnabledStatistics::None));
    }
}
