//! Columns that come typed (parquet) to the declared types, row by row as strict as text is read.
//!
//! Text is read by the same rules as JSON's and CSV's. Numbers must come out with the same value; where nested values
//! differ in type, Arrow's own cast decides.

use super::beside::Beside;
use super::column::{Row, RowField};
use super::fault::Fault;
use super::mask::Masker;
use super::{Decoded, Record};
use crate::ingest::{Rejected, SourceError, row_schema};
use crate::sql::{ColumnDefinition, IncludeKind, SourceDefinition};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

/// Casts batches of typed columns to a source's rows.
#[derive(Debug)]
pub(crate) struct Caster {
    schema: SchemaRef,
    declared: usize,
    includes: Vec<IncludeKind>,
    columns: Vec<ColumnDefinition>,
    masker: Masker,
}

/// A column cast, and the rows whose value does not fit.
struct Cast {
    array: ArrayRef,
    misfits: Vec<(usize, Box<Fault>)>,
}

impl Caster {
    /// A caster to this source's columns, matched by name.
    pub(crate) fn new(definition: &SourceDefinition) -> Result<Self, SourceError> {
        let includes = definition.includes.iter().map(|include| include.kind.clone()).collect();
        Ok(Self {
            schema: row_schema(definition),
            declared: definition.columns.len(),
            includes,
            columns: definition.columns.clone(),
            masker: Masker::new(definition)?,
        })
    }

    /// The names of the declared columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().take(self.declared).map(|field| field.name().as_str())
    }

    /// No rows.
    pub(crate) fn empty(&self) -> RecordBatch {
        RecordBatch::new_empty(Arc::clone(&self.schema))
    }

    /// Casts a batch whose first row has the place and offset of `first`; its payload does not count.
    pub(crate) fn cast(&self, batch: &RecordBatch, first: &Record<'_>) -> Result<Decoded, SourceError> {
        self.try_cast(batch, first)
            .map_err(|error| SourceError::Fatal(format!("rows do not fit together: {error}")))
    }

    fn try_cast(&self, batch: &RecordBatch, first: &Record<'_>) -> Result<Decoded, ArrowError> {
        let batch = &self.masker.columns(batch, &self.columns)?;
        let rows = batch.num_rows();
        let mut faults: Vec<Option<Box<Fault>>> = (0..rows).map(|_| None).collect();
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields().iter().take(self.declared) {
            let cast = match batch.column_by_name(field.name()) {
                Some(array) => strict(array, field)?,
                None => Cast { array: new_null_array(field.data_type(), rows), misfits: Vec::new() },
            };
            for (row, fault) in cast.misfits {
                faults[row].get_or_insert_with(|| fault.within(field.name()));
            }
            if !field.is_nullable() {
                for (row, fault) in faults.iter_mut().enumerate() {
                    if fault.is_none() && cast.array.is_null(row) {
                        *fault = Some(Fault::not_null().within(field.name()));
                    }
                }
            }
            arrays.push(cast.array);
        }
        let last = first.offset.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
        let offsets: ArrayRef = Arc::new(Int64Array::from_iter_values(first.offset..last));
        let partitions: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..rows).map(|_| first.partition)));
        for (include, field) in self.includes.iter().zip(&self.schema.fields()[self.declared..]) {
            arrays.push(match include {
                IncludeKind::Partition => Arc::clone(&partitions),
                IncludeKind::Offset => Arc::clone(&offsets),
                IncludeKind::Key | IncludeKind::Timestamp | IncludeKind::Header(_) => {
                    new_null_array(field.data_type(), rows)
                }
            });
        }
        arrays.push(new_null_array(&DataType::Binary, rows));
        arrays.push(Arc::new(StringArray::from_iter_values((0..rows).map(|_| first.source))));
        arrays.push(partitions);
        arrays.push(offsets);
        self.assemble(batch, arrays, faults, first)
    }

    /// Parts good rows from bad ones. A bad row's bytes are its values as JSON: a parquet row has none of its own.
    fn assemble(
        &self,
        batch: &RecordBatch,
        arrays: Vec<ArrayRef>,
        faults: Vec<Option<Box<Fault>>>,
        first: &Record<'_>,
    ) -> Result<Decoded, ArrowError> {
        let good: BooleanArray = faults.iter().map(|fault| Some(fault.is_none())).collect();
        // Declared NOT NULL columns may hold NULL until the bad rows are gone.
        let loose: Vec<_> =
            self.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let all = RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(loose)), arrays)?;
        let kept = if good.false_count() == 0 { all } else { filter_record_batch(&all, &good)? };
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), kept.columns().to_vec())?;
        let mut rejected = Vec::new();
        for (row, fault) in faults.into_iter().enumerate() {
            let Some(fault) = fault else { continue };
            let (rule, reason) = fault.into_reason();
            let offset = first.offset.saturating_add(i64::try_from(row).unwrap_or(i64::MAX));
            let raw = as_json(&batch.slice(row, 1)).unwrap_or_default();
            let (partition, source) = (first.partition.to_string(), first.source.to_string());
            let beside = Beside::columns(batch.schema_ref(), &self.masker);
            rejected.push(Rejected { partition, offset, raw, rule, reason, source, beside });
        }
        Ok(Decoded { rows, rejected })
    }
}

/// Casts a column to a declared one, and names the rows whose value is lost.
fn strict(array: &ArrayRef, field: &FieldRef) -> Result<Cast, ArrowError> {
    let target = field.data_type();
    let good = |array| Ok(Cast { array, misfits: Vec::new() });
    match array.data_type() {
        same if same == target => good(Arc::clone(array)),
        DataType::Dictionary(_, values) => strict(&cast(array, values)?, field),
        DataType::LargeUtf8 | DataType::Utf8View => strict(&cast(array, &DataType::Utf8)?, field),
        DataType::Utf8 => read_text(array.as_string(), field),
        from if from.is_integer() && matches!(target, DataType::Timestamp(..)) => {
            let text = cast(array, &DataType::Utf8)?;
            read_text(text.as_string(), field)
        }
        from if from.is_nested() || target.is_nested() => nested(array, target),
        from => {
            let safe = CastOptions { safe: true, ..CastOptions::default() };
            let Ok(result) = cast_with_options(array, target, &safe) else {
                return all_misfit(array, target);
            };
            // A number that does not come back as it was has lost digits.
            let back = match from.is_numeric() && (target.is_numeric() || *target == DataType::Boolean) {
                true if *target != DataType::Float32 => cast_with_options(&result, from, &safe).ok(),
                _ => None,
            };
            let same =
                back.map(|back| arrow::compute::kernels::cmp::not_distinct(&back, array)).transpose()?;
            let lost = |row: usize| {
                array.is_valid(row)
                    && (result.is_null(row) || same.as_ref().is_some_and(|same| !same.value(row)))
            };
            let misfits = misfits(array, target, lost)?;
            Ok(Cast { array: result, misfits })
        }
    }
}

/// Reads a text column as JSON strings are read.
fn read_text(texts: &StringArray, field: &FieldRef) -> Result<Cast, ArrowError> {
    let nullable = Arc::new(field.as_ref().clone().with_nullable(true));
    let mut row = Row::new([&nullable].into_iter()).map_err(ArrowError::SchemaError)?;
    let mut nesting = Vec::new();
    let mut misfits = Vec::new();
    row.reserve(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let RowField { column, .. } = &mut row.fields[0];
        match text.map(|text| column.append_field(text, &mut nesting)) {
            None => column.append_null(),
            Some(Ok(())) => {}
            Some(Err(fault)) => {
                column.truncate(index);
                column.append_null();
                misfits.push((index, fault));
            }
        }
    }
    let array = row.finish()?.pop();
    let array = array.ok_or_else(|| ArrowError::ComputeError("a column is missing".to_string()))?;
    Ok(Cast { array, misfits })
}

/// Casts a nested column whole, or row by row when a value of it does not fit.
fn nested(array: &ArrayRef, target: &DataType) -> Result<Cast, ArrowError> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    if let Ok(array) = cast_with_options(array, target, &exact) {
        return Ok(Cast { array, misfits: Vec::new() });
    }
    let mut pieces = Vec::with_capacity(array.len());
    let mut bad = vec![false; array.len()];
    for (row, bad) in bad.iter_mut().enumerate() {
        pieces.push(cast_with_options(&array.slice(row, 1), target, &exact).unwrap_or_else(|_| {
            *bad = true;
            new_null_array(target, 1)
        }));
    }
    let misfits = misfits(array, target, |row| bad[row])?;
    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    let array = if pieces.is_empty() { new_null_array(target, 0) } else { arrow::compute::concat(&pieces)? };
    Ok(Cast { array, misfits })
}

fn all_misfit(array: &ArrayRef, target: &DataType) -> Result<Cast, ArrowError> {
    let misfits = misfits(array, target, |row| array.is_valid(row))?;
    Ok(Cast { array: new_null_array(target, array.len()), misfits })
}

fn misfits(
    array: &ArrayRef,
    target: &DataType,
    lost: impl Fn(usize) -> bool,
) -> Result<Vec<(usize, Box<Fault>)>, ArrowError> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(array, &options)?;
    let bad = (0..array.len()).filter(|row| lost(*row));
    Ok(bad.map(|row| (row, Fault::mismatch(shown.value(row).to_string().as_bytes(), target))).collect())
}

fn as_json(row: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(row)?;
    writer.finish()?;
    Ok(writer.into_inner().trim_ascii().to_vec())
}
