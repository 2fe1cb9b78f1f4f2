//! The rows of an alert's query become instances.

use super::instance::{Labels, Seen, Values};
use crate::catalog::cut::Cut;
use crate::engine::{Engine, plan_text};
use crate::sql::AlertDefinition;
use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Utc};
use datafusion::error::Result;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use std::sync::Arc;

/// Rows that are read of one query.
const ROWS_MAX: usize = 1_000;
/// Letters of a value that are kept.
const LETTERS_MAX: usize = 1_000;

/// What an alert's query gives over a cut.
pub(super) async fn look(
    engine: &Engine,
    cut: &Arc<Cut>,
    alert: &AlertDefinition,
    now: DateTime<Utc>,
) -> Result<Seen> {
    let state = engine.state_at(cut, now);
    let physical = plan_text(&state, &alert.query.to_string()).await?;
    let mut batches = execute_stream(physical, state.task_ctx())?;
    let mut seen = Seen { is_complete: true, ..Seen::default() };
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let room = ROWS_MAX - seen.rows;
        seen.is_complete = batch.num_rows() <= room;
        add(&mut seen, &batch.slice(0, batch.num_rows().min(room)), alert.by.as_deref())?;
        if !seen.is_complete {
            break;
        }
    }
    Ok(seen)
}

/// Adds rows. Two with the same labels are one instance, with the values of the later.
fn add(seen: &mut Seen, rows: &RecordBatch, by: Option<&[String]>) -> Result<()> {
    let options = FormatOptions::default();
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| {
        Ok((field, column, is_label(field, by), ArrayFormatter::try_new(column.as_ref(), &options)?))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    for row in 0..rows.num_rows() {
        let (mut labels, mut values) = (Labels::new(), Values::new());
        for (field, column, is_label, text) in &columns {
            if column.is_null(row) {
                continue;
            }
            let text = text.value(row).try_to_string()?.chars().take(LETTERS_MAX).collect();
            if *is_label { &mut labels } else { &mut values }.insert(field.name().clone(), text);
        }
        seen.instances.insert(labels, values);
    }
    seen.rows += rows.num_rows();
    Ok(())
}

/// Whether a column tells instances apart: numbers and times change from look to look.
fn is_label(field: &Field, by: Option<&[String]>) -> bool {
    match by {
        Some(columns) => columns.contains(field.name()),
        None => {
            let is_duration = matches!(field.data_type(), DataType::Duration(_) | DataType::Interval(_));
            !field.data_type().is_numeric() && !field.data_type().is_temporal() && !is_duration
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float64Array, StringArray};

    #[test]
    fn texts_are_labels_and_numbers_values() {
        let names = StringArray::from(vec![Some("a"), Some("b"), None]);
        let errors = StringArray::from(vec!["x", "y", "z"]);
        let lags = Float64Array::from(vec![1.5, 2.0, 3.0]);
        let columns: [(&str, ArrayRef); 3] =
            [("source", Arc::new(names)), ("error", Arc::new(errors)), ("lag", Arc::new(lags))];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let map = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let mut seen = Seen::default();
        add(&mut seen, &rows, None).unwrap();
        assert_eq!(seen.rows, 3);
        assert_eq!(seen.instances[&map(&[("source", "a"), ("error", "x")])], map(&[("lag", "1.5")]));
        assert_eq!(seen.instances[&map(&[("error", "z")])], map(&[("lag", "3.0")]));
        let mut seen = Seen::default();
        add(&mut seen, &rows, Some(&["source".to_string()])).unwrap();
        assert_eq!(seen.instances[&map(&[("source", "a")])], map(&[("error", "x"), ("lag", "1.5")]));
    }
}
