//! A query's output in the shape of its model's table.

use super::Error;
use crate::lake::TableName;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::sync::Arc;

/// A cast that fails is an error, not a NULL.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// Names and casts columns by position.
pub(super) fn shape(
    model: &TableName,
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, Error> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::Output(format!(
            "{model}: the query gives {} columns, the table has {}",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            cast_with_options(column, field.data_type(), &STRICT)
                .map_err(|e| Error::Output(format!("{model}: column \"{}\": {e}", field.name())))
        })
        .collect::<Result<Vec<_>, _>>()?;
    // NULLs in NOT NULL columns are judged as a rule, so the batch itself must be able to hold them.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(nullable(schema), columns, &options)?)
}

/// The same columns, all nullable.
pub(super) fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| Field::clone(f).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Gives a judged batch the table's own schema.
pub(super) fn settle(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let rows = batch.num_rows();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)?)
}
