//! Rows that come as columns: pushed by clients that speak Arrow.
//!
//! Comes in: a batch in a client's own types. Goes out: what the same records would have become as text, but for `_raw`,
//! which holds them as JSON. Columns go by name, in any order; a nullable one may be left out. A batch that does not have
//! a source's columns is refused as a whole, by their names; a value that is not exactly one of its column's type costs
//! its own row only.

use super::{PUSH_RECORDS_MAX, Place};
use crate::ingest::decode::{Beside, Decoded, Masker};
use crate::ingest::{Rejected, row_schema};
use crate::sql::{ColumnDefinition, IncludeKind, SourceDefinition, type_name};
use arrow::array::{
    Array, ArrayRef, AsArray as _, BinaryArray, BooleanArray, Int64Array, StringArray, new_null_array,
};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, and, cast_with_options, filter_record_batch, is_not_null, is_null, or};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Makes rows of a batch; an error says what is wrong with all of it.
pub(super) fn decode(
    definition: &SourceDefinition,
    place: &Place,
    batch: &RecordBatch,
) -> Result<Decoded, String> {
    check(definition, &batch.schema())?;
    if i64::try_from(batch.num_rows()).is_ok_and(|rows| rows > PUSH_RECORDS_MAX) {
        return Err(format!("the push holds more than {PUSH_RECORDS_MAX} records"));
    }
    let masker = Masker::new(definition).map_err(|error| error.to_string())?;
    let unread = |error| format!("the rows could not be read: {error}");
    let batch = masker.columns(batch, &definition.columns).map_err(unread)?;
    rows(definition, place, &batch, &masker).map_err(unread)
}

/// Refuses columns that are not a source's, all of them at once.
fn check(definition: &SourceDefinition, sent: &Schema) -> Result<(), String> {
    let mut wrong = Vec::new();
    for field in sent.fields() {
        match definition.columns.iter().find(|column| column.name == *field.name()) {
            None => wrong.push(format!("there is no column \"{}\"", field.name())),
            Some(column) if !fits(field.data_type(), &column.data_type) => wrong.push(format!(
                "column \"{}\" is {}, not {}",
                column.name,
                type_name(&column.data_type),
                field.data_type()
            )),
            Some(_) => {}
        }
    }
    for column in definition.columns.iter().filter(|column| !column.nullable) {
        if sent.column_with_name(&column.name).is_none() {
            wrong.push(format!("column \"{}\" is NOT NULL, but was not sent", column.name));
        }
    }
    let mut names: Vec<_> = sent.fields().iter().map(|field| field.name()).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    wrong.extend(twice.map(|pair| format!("column \"{}\" was sent twice", pair[0])));
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} has columns ({}): {}",
            definition.name,
            described(&definition.columns),
            wrong.join("; ")
        )),
    }
}

/// Whether values of one type may be ones of another, each to be looked at.
fn fits(sent: &DataType, declared: &DataType) -> bool {
    use DataType as T;
    match (sent, declared) {
        (T::Null, _) | (T::Date64, T::Date32) => true,
        // Times without a zone are UTC.
        (T::Timestamp(_, from), T::Timestamp(_, to)) => from.is_none() || to.is_some(),
        _ => alike(sent, declared) || sent.is_numeric() && declared.is_numeric(),
    }
}

/// Whether all values of one type are ones of another, in another layout. Inside of lists and structs nothing else will do:
/// there no value can be looked at by itself.
fn alike(sent: &DataType, declared: &DataType) -> bool {
    use DataType as T;
    match (sent, declared) {
        (T::Dictionary(_, values), _) => alike(values, declared),
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8) => true,
        (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), T::Binary) => true,
        (
            T::List(from)
            | T::LargeList(from)
            | T::ListView(from)
            | T::LargeListView(from)
            | T::FixedSizeList(from, _),
            T::List(to),
        ) => alike(from.data_type(), to.data_type()),
        (T::Struct(from), T::Struct(to)) => {
            let alike = |(from, to): (&FieldRef, &FieldRef)| {
                from.name() == to.name() && alike(from.data_type(), to.data_type())
            };
            from.len() == to.len() && from.iter().zip(to).all(alike)
        }
        _ => sent == declared,
    }
}

fn rows(
    definition: &SourceDefinition,
    place: &Place,
    batch: &RecordBatch,
    masker: &Masker,
) -> Result<Decoded, ArrowError> {
    let count = batch.num_rows();
    let mut good = BooleanArray::from(vec![true; count]);
    let mut faults: Vec<(BooleanArray, &'static str, String)> = Vec::new();
    let mut columns = Vec::with_capacity(definition.columns.len());
    for column in &definition.columns {
        let sent = batch.column_by_name(&column.name).cloned();
        let sent = sent.unwrap_or_else(|| new_null_array(&column.data_type, count));
        let (values, exact) = exactly(&sent, &column.data_type)?;
        let name = type_name(&column.data_type);
        faults.push((
            exact.clone(),
            "type",
            format!("field \"{}\": its value is not exactly one of {name}", column.name),
        ));
        good = and(&good, &exact)?;
        if !column.nullable {
            let present = is_not_null(&sent)?;
            let reason =
                format!("field \"{}\": is NOT NULL, but the record has no value for it", column.name);
            good = and(&good, &present)?;
            faults.push((present, "not_null", reason));
        }
        columns.push(values);
    }
    let raw = lines(batch)?;
    let first = place.first;
    let offsets = Int64Array::from_iter_values((0..count).map(|row| offset(first, row)));
    let partitions: ArrayRef = Arc::new(StringArray::from(vec![place.partition.as_str(); count]));
    let offsets: ArrayRef = Arc::new(offsets);
    let schema = row_schema(definition);
    for (include, field) in definition.includes.iter().zip(&schema.fields()[columns.len()..]) {
        columns.push(match include.kind {
            IncludeKind::Partition => Arc::clone(&partitions),
            IncludeKind::Offset => Arc::clone(&offsets),
            _ => new_null_array(field.data_type(), count),
        });
    }
    columns.push(Arc::new(BinaryArray::from_iter_values(&raw)));
    columns.push(Arc::new(StringArray::from(vec![super::SOURCE; count])));
    columns.extend([partitions, offsets]);
    let rejected = (0..count).filter(|row| !good.value(*row)).filter_map(|row| {
        let (_, rule, reason) = faults.iter().find(|(fine, ..)| !fine.value(row))?;
        let (partition, raw) = (place.partition.clone(), raw[row].clone());
        let (source, beside) = (super::SOURCE.to_string(), Beside::columns(batch.schema_ref(), masker));
        let (offset, reason) = (offset(first, row), reason.clone());
        Some(Rejected { partition, offset, raw, rule, reason, source, beside })
    });
    let rejected = rejected.collect();
    // Columns that are NOT NULL hold what they must once the others are gone.
    let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let all = RecordBatch::try_new(Arc::new(Schema::new(nullable.collect::<Vec<_>>())), columns)?;
    let kept = filter_record_batch(&all, &good)?;
    Ok(Decoded { rows: RecordBatch::try_new(schema, kept.columns().to_vec())?, rejected })
}

fn offset(first: i64, row: usize) -> i64 {
    first + i64::try_from(row).unwrap_or(i64::MAX)
}

/// The values in a column's type, and which of them lost nothing on the way there.
fn exactly(sent: &ArrayRef, declared: &DataType) -> Result<(ArrayRef, BooleanArray), ArrowError> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let values = cast_with_options(sent, declared, &options)?;
    if sent.data_type() == &DataType::Null || alike(sent.data_type(), declared) {
        let exact = or(&is_null(sent)?, &is_not_null(&values)?)?;
        return Ok((values, exact));
    }
    if declared.is_floating() {
        let exact = nearest(&cast_with_options(sent, &DataType::Float64, &options)?, &values)?;
        return Ok((values, exact));
    }
    let back = cast_with_options(&values, sent.data_type(), &options)?;
    let exact = not_distinct(&back, sent)?;
    Ok((values, exact))
}

/// Which numbers a binary fraction stands for: the nearest to each, as for their text, but infinity for none that is not.
fn nearest(sent: &ArrayRef, values: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    let values = cast_with_options(values, &DataType::Float64, &CastOptions::default())?;
    let pairs = sent.as_primitive::<Float64Type>().iter().zip(values.as_primitive::<Float64Type>());
    let stands = |(sent, value): (Option<f64>, Option<f64>)| match (sent, value) {
        (Some(sent), Some(value)) => sent.is_infinite() == value.is_infinite(),
        (sent, value) => sent.is_none() && value.is_none(),
    };
    Ok(pairs.map(stands).map(Some).collect())
}

/// Each row as a JSON object.
fn lines(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let mut written = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut written);
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    let mut lines: Vec<Vec<u8>> = written.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.truncate(batch.num_rows());
    lines.resize(batch.num_rows(), b"{}".to_vec());
    Ok(lines)
}

fn described(columns: &[ColumnDefinition]) -> String {
    let columns = columns.iter().map(|column| format!("{} {}", column.name, type_name(&column.data_type)));
    columns.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Float64Array, Int16Array, NullArray, TimestampNanosecondArray};
    use arrow::datatypes::{Field, TimeUnit};

    #[test]
    fn types_fit_where_values_may_be_exact() {
        let list = |item| DataType::new_list(item, true);
        let zoned = |unit| DataType::Timestamp(unit, Some("UTC".into()));
        for (sent, declared, expected) in [
            (DataType::Int64, DataType::Int32, true),
            (DataType::Float64, DataType::Decimal128(10, 2), true),
            (DataType::Null, DataType::Date32, true),
            (DataType::Utf8View, DataType::Utf8, true),
            (DataType::Utf8, DataType::Int64, false),
            (DataType::Int64, DataType::Utf8, false),
            (DataType::Boolean, DataType::Int64, false),
            (zoned(TimeUnit::Nanosecond), zoned(TimeUnit::Microsecond), true),
            (DataType::Timestamp(TimeUnit::Second, None), zoned(TimeUnit::Microsecond), true),
            (zoned(TimeUnit::Second), DataType::Timestamp(TimeUnit::Microsecond, None), false),
            (
                DataType::LargeList(Arc::new(Field::new("x", DataType::LargeUtf8, false))),
                list(DataType::Utf8),
                true,
            ),
            (list(DataType::Int64), list(DataType::Int32), false),
        ] {
            assert_eq!(fits(&sent, &declared), expected, "{sent} as {declared}");
        }
    }

    #[test]
    fn values_that_lose_something_are_told() {
        let cases: Vec<(ArrayRef, DataType, Vec<bool>)> = vec![
            (
                Arc::new(Float64Array::from(vec![1.0, 1.5, f64::NAN])),
                DataType::Int32,
                vec![true, false, false],
            ),
            (
                Arc::new(Float64Array::from(vec![0.1, f64::NAN, 1e300])),
                DataType::Float32,
                vec![true, true, false],
            ),
            (Arc::new(Int16Array::from(vec![Some(7), None])), DataType::Float64, vec![true, true]),
            (
                Arc::new(Decimal128Array::from(vec![1250, 1255]).with_precision_and_scale(10, 3).unwrap()),
                DataType::Decimal128(10, 2),
                vec![true, false],
            ),
            (
                Arc::new(TimestampNanosecondArray::from(vec![1000, 1001])),
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                vec![true, false],
            ),
            (Arc::new(NullArray::new(2)), DataType::Date32, vec![true, true]),
        ];
        for (sent, declared, expected) in cases {
            let (values, exact) = exactly(&sent, &declared).unwrap();
            assert_eq!(values.data_type(), &declared);
            assert_eq!(exact, BooleanArray::from(expected), "{} as {declared}", sent.data_type());
        }
    }
}
