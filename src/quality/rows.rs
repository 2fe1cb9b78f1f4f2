//! Rows as people read them in messages.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Rows that a message shows at most.
pub const ROWS_SHOWN_MAX: usize = 3;

/// Characters shown of one value.
const VALUE_CHARACTERS_MAX: usize = 100;

/// A row as `column = value, ...`.
pub fn shown(columns: &[ArrayRef], row: usize, schema: &Schema) -> Result<String, ArrowError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut shown = Vec::with_capacity(columns.len());
    for (column, field) in columns.iter().zip(schema.fields()) {
        let value = ArrayFormatter::try_new(column, &options)?.value(row).try_to_string()?;
        let cut: String = value.chars().take(VALUE_CHARACTERS_MAX).collect();
        let rest = if cut.len() < value.len() { "..." } else { "" };
        shown.push(format!("{} = {cut}{rest}", field.name()));
    }
    Ok(shown.join(", "))
}

/// Shows these rows of a batch, until there are enough examples.
pub fn show_some(
    examples: &mut Vec<String>,
    batch: &RecordBatch,
    rows: impl Iterator<Item = usize>,
) -> Result<(), ArrowError> {
    for row in rows.take(ROWS_SHOWN_MAX.saturating_sub(examples.len())) {
        examples.push(shown(batch.columns(), row, &batch.schema())?);
    }
    Ok(())
}
