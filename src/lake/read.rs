//! Reading a file's rows with their positions, for those who will delete some of them; and fitting batches to a schema.

use super::in_place::InPlace;
use super::index::{Indexes, Keys};
use super::snapshot::{DataFile, Snapshot};
use super::table::Table;
use super::{Error, TableName, vector};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;
use std::path::Path;
use std::sync::Arc;

/// Rows a batch when files are read back.
const BATCH_ROWS: usize = 8192;

/// Hands over a file's live rows (or the only ones that it stands for), in a schema of some of the table's columns, with
/// each row's position in the file. Blocks.
pub(super) fn read_rows<E: From<Error>>(
    indexes: &Indexes,
    snapshot: &Snapshot,
    file: &DataFile,
    schema: &SchemaRef,
    mut take: impl FnMut(RecordBatch, Vec<u64>) -> Result<(), E>,
) -> Result<(), E> {
    let table = &snapshot.table;
    let parquet = |source| Error::Parquet { table: table.clone(), source };
    let path: Arc<Path> = Arc::from(snapshot.store.path(&file.path));
    let open = InPlace::open(&path)?;
    let footer = indexes.footer(table, &path, &open)?;
    let wanted = footer.schema().fields().iter().enumerate();
    let wanted = wanted.filter(|(_, field)| schema.index_of(field.name()).is_ok()).map(|(place, _)| place);
    let mask = ProjectionMask::roots(footer.parquet_schema(), wanted);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open, footer)
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS);
    let physical = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    let builder = match vector::selection_of(file, physical) {
        Some(selection) => builder.with_row_selection(selection),
        None => builder,
    };
    let mut positions: Box<dyn Iterator<Item = u64>> = match (&file.only, &file.deletion_vector) {
        (Some(only), _) => Box::new(only.iter()),
        (None, Some(vector)) => Box::new((0..physical).filter(|row| !vector.rows.contains(*row))),
        (None, None) => Box::new(0..physical),
    };
    for batch in builder.build().map_err(parquet)? {
        let batch = batch.map_err(|source| Error::Arrow { table: table.clone(), source })?;
        let batch = with_partitions(snapshot, file, schema, &batch)?;
        let rows = positions.by_ref().take(batch.num_rows()).collect();
        take(batch, rows)?;
    }
    Ok(())
}

impl Table {
    /// As [`read_rows`], in all of the snapshot's columns.
    pub fn read_file<E: From<Error>>(
        &self,
        snapshot: &Snapshot,
        file: &DataFile,
        take: impl FnMut(RecordBatch, Vec<u64>) -> Result<(), E>,
    ) -> Result<(), E> {
        read_rows(self.indexes(), snapshot, file, &snapshot.schema, take)
    }

    /// The files that hold rows which may have one of the keys (for each of `columns` a column of values), each standing
    /// for these rows alone. `None` when these columns cannot be looked up. Blocks.
    pub fn files_of_keys(
        &self,
        snapshot: &Snapshot,
        columns: &[usize],
        keys: &[RecordBatch],
    ) -> Result<Option<Vec<Arc<DataFile>>>, Error> {
        let arrow = |source| Error::Arrow { table: self.name().clone(), source };
        let Some(keys) = Keys::new(snapshot, columns, keys).map_err(arrow)? else { return Ok(None) };
        self.indexes().narrow(snapshot, &self.store().path(""), &snapshot.files, &keys).map(Some)
    }

    /// The rows of a file that are deleted already.
    pub fn deleted_rows(file: &DataFile) -> RoaringTreemap {
        file.deletion_vector.as_ref().map(|v| v.rows.as_ref().clone()).unwrap_or_default()
    }
}

/// The batch in a schema of some of the table's columns, those included that the file says once for all its rows.
pub(super) fn with_partitions(
    snapshot: &Snapshot,
    file: &DataFile,
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, Error> {
    let table = &snapshot.table;
    if snapshot.partition_columns.is_empty() {
        return conform(table, batch, schema);
    }
    let rows = batch.num_rows();
    let corrupt = |reason: String| Error::Corrupt { table: table.clone(), file: file.path.clone(), reason };
    let columns = schema.fields().iter().map(|field| {
        if let Some(value) = file.partition_values.get(field.name()) {
            let scalar = match value {
                Some(text) => ScalarValue::try_from_string(text.clone(), field.data_type()),
                None => ScalarValue::try_from(field.data_type()),
            };
            return scalar.and_then(|s| s.to_array_of_size(rows)).map_err(|e| corrupt(e.to_string()));
        }
        column(table, batch, field)
    });
    assemble(table, schema, columns.collect::<Result<Vec<ArrayRef>, Error>>()?, rows)
}

/// Fits a batch to a schema by column name: casts what differs in kind (views, wider numbers), fills what is missing
/// with NULL, leaves out what the schema does not have.
pub fn conform(table: &TableName, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns =
        schema.fields().iter().map(|field| column(table, batch, field)).collect::<Result<Vec<_>, _>>()?;
    assemble(table, schema, columns, batch.num_rows())
}

fn column(
    table: &TableName,
    batch: &RecordBatch,
    field: &arrow::datatypes::Field,
) -> Result<ArrayRef, Error> {
    match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => {
            cast(column, field.data_type()).map_err(|source| Error::Arrow { table: table.clone(), source })
        }
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    }
}

fn assemble(
    table: &TableName,
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, Error> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|source| Error::Arrow { table: table.clone(), source })
}
