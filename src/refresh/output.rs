//! A query's output in the shape of its model's table.

use super::Error;
use super::model::Model;
use crate::lake::TableName;
use crate::ops::clock;
use crate::quality::{ApartState, Entry, Rules};
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

/// A view's rows as they are stored, those left out that its rules drop.
pub(super) fn judge_all(
    model: &Model,
    rules: &mut Rules,
    batches: &[RecordBatch],
) -> Result<Vec<RecordBatch>, Error> {
    let output = nullable(&model.schema);
    let mut rows = Vec::with_capacity(batches.len());
    let (name, definition) = (model.name.to_string(), model.definition_id());
    let entry = Entry {
        model: &name,
        number: 0,
        definition: &definition,
        at_us: clock::now_us(),
        state: ApartState::Untraced,
    };
    for batch in batches {
        let batch = shape(&model.name, batch, &output)?;
        let judged = rules.judge(batch, None, &entry)?;
        // What rules set apart stands in a view beside; what is NULL and must not be, nowhere.
        if rules.breaks_declared() {
            let broken: Vec<String> =
                rules.counts().into_iter().filter(|r| r.failed > 0).map(|r| r.predicate).collect();
            return Err(Error::Output(format!("{}: rows break {}", model.name, broken.join(" and "))));
        }
        rows.push(settle(judged.kept, &model.schema)?);
    }
    Ok(rows)
}

/// Gives a judged batch the table's own schema.
pub(super) fn settle(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let rows = batch.num_rows();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)?)
}
