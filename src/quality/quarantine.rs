//! What is kept of a row that is set apart: enough to find it, to understand it and to take it again.

use crate::sql::quarantine_schema;
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::array::{BooleanArray, new_null_array};
use arrow::compute::filter;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use std::sync::Arc;

/// Whether what is set apart can be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApartState {
    /// It can, and was not yet.
    Open,
    /// It was, and broke a rule again.
    FailedAgain,
    /// It cannot: no single row of an input is known that it comes from, and it alone.
    Untraced,
}

impl ApartState {
    /// The word in quarantine tables.
    pub fn as_str(self) -> &'static str {
        match self {
            ApartState::Open => "open",
            ApartState::FailedAgain => "failed again",
            ApartState::Untraced => "untraced",
        }
    }
}

/// Which input rows a model's rows come from, row by row.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The input's table.
    pub input: ArrayRef,
    /// Its `_partition`.
    pub partition: ArrayRef,
    /// Its `_offset`.
    pub offset: ArrayRef,
    /// Its `_batch`.
    pub batch: ArrayRef,
}

impl Trace {
    fn of(&self, rows: &BooleanArray) -> Result<Self, ArrowError> {
        let Self { input, partition, offset, batch } = self;
        Ok(Self {
            input: filter(input, rows)?,
            partition: filter(partition, rows)?,
            offset: filter(offset, rows)?,
            batch: filter(batch, rows)?,
        })
    }
}

/// What is noted with all rows of a refresh that are set apart.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The model.
    pub model: &'a str,
    /// The refresh.
    pub number: i64,
    /// The definition that judged them.
    pub definition: &'a str,
    /// When, microseconds since 1970.
    pub at_us: i64,
    /// Whether they can be replayed.
    pub state: ApartState,
}

/// A model's rows as rows of its quarantine table: those of `rows` that are `apart`, each with rule and reason.
pub(super) fn entries(
    rows: &RecordBatch,
    apart: &BooleanArray,
    trace: Option<&Trace>,
    entry: &Entry<'_>,
    (rules, reasons): (StringArray, StringArray),
) -> Result<RecordBatch, ArrowError> {
    let rows = arrow::compute::filter_record_batch(rows, apart)?;
    let count = rows.num_rows();
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; count])) };
    let null = |data_type: &DataType| new_null_array(data_type, count);
    let traced = trace.map(|trace| trace.of(apart)).transpose()?;
    let cast = |column: &ArrayRef, data_type: &DataType| arrow::compute::cast(column, data_type);
    let (source, partition, offset, input_batch) = match &traced {
        Some(trace) => (
            cast(&trace.input, &DataType::Utf8)?,
            cast(&trace.partition, &DataType::Utf8)?,
            cast(&trace.offset, &DataType::Int64)?,
            cast(&trace.batch, &DataType::Int64)?,
        ),
        None => {
            let carried = |name: &str, data_type: &DataType| match rows.column_by_name(name) {
                Some(column) => cast(column, data_type),
                None => Ok(null(data_type)),
            };
            let partition = carried("_partition", &DataType::Utf8)?;
            (text(entry.model), partition, carried("_offset", &DataType::Int64)?, null(&DataType::Int64))
        }
    };
    let at = TimestampMicrosecondArray::from(vec![entry.at_us; count]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        source,
        partition,
        offset,
        Arc::new(rules),
        Arc::new(reasons),
        Arc::new(BinaryArray::from_iter_values(rows_as_json(&rows)?)),
        Arc::new(Int64Array::from(vec![entry.number; count])),
        Arc::new(at),
        input_batch,
        null(&DataType::Utf8),
        null(&DataType::Utf8),
        text(entry.definition),
        text(entry.state.as_str()),
    ];
    RecordBatch::try_new(quarantine_schema(), columns)
}

fn rows_as_json(rows: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    let text = writer.into_inner();
    let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    lines.truncate(rows.num_rows());
    Ok(lines)
}
