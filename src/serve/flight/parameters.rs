//! Values for a statement's parameters, as clients bind them.
//!
//! Comes in: batches with a column for each parameter and a row for each run of the statement. Goes out: rows of values
//! of types that the engine reads; text where another type is wanted is read as an untyped literal, a column of nothing
//! but NULL is of the wanted type. Failure: 08P01 for another number of columns, 22P02 for a value that does not read as
//! what its place asks for, 54000 for more rows or bytes than are kept.

use super::outgoing::plain_schema;
use super::rows;
use super::status::status;
use crate::ingest::row_bytes;
use crate::serve::Error;
use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::common::ScalarValue;
use futures::{TryStreamExt as _, future};
use std::pin::pin;
use std::sync::Arc;
use tonic::Status;

/// Runs of a statement that one binding may ask for.
const ROWS_MAX: usize = 10_000;
/// Bytes of what is bound at a time.
const BYTES_MAX: usize = 16 << 20;

/// The values of one run.
pub(super) type Values = Vec<ScalarValue>;

/// Parameters as a schema: `$1` and so on.
pub(super) fn schema(parameters: &[DataType]) -> SchemaRef {
    let fields = parameters.iter().zip(1..).map(|(t, n)| Field::new(format!("${n}"), t.clone(), true));
    plain_schema(&Schema::new(fields.collect::<Vec<_>>()))
}

/// Reads what a client binds to a statement with these parameters.
pub(super) async fn read(
    stream: PeekableFlightDataStream,
    parameters: &[DataType],
) -> Result<Vec<Values>, Status> {
    // The command itself may come alone, without a schema.
    let data = stream.try_filter(|data| future::ready(!data.data_header.is_empty()));
    let mut batches = pin!(rows::rows(data));
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = batches.try_next().await? {
        bytes += row_bytes(&batch);
        if rows.len() + batch.num_rows() > ROWS_MAX || bytes > BYTES_MAX {
            let message = format!("more is bound than {ROWS_MAX} rows or {BYTES_MAX} bytes of parameters");
            return Err(status(Error::new("54000", message).with_hint("Bind in smaller pieces.")));
        }
        rows.extend(values(&batch, parameters).map_err(status)?);
    }
    Ok(rows)
}

/// Refuses another number of values than the statement has parameters.
pub(super) fn check_count(given: usize, wanted: usize) -> Result<(), Error> {
    if given == wanted {
        return Ok(());
    }
    Err(Error::new("08P01", format!("{given} parameters are bound, but the statement has {wanted}"))
        .with_hint("Prepare the statement and bind a value for each parameter."))
}

fn values(batch: &RecordBatch, parameters: &[DataType]) -> Result<Vec<Values>, Error> {
    check_count(batch.num_columns(), parameters.len())?;
    let columns = batch.columns().iter().zip(parameters).zip(1..);
    let columns = columns.map(|((column, wanted), number)| read_as(column, wanted, number));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let row = |at| columns.iter().map(|column| Ok(ScalarValue::try_from_array(column, at)?)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn read_as(column: &ArrayRef, wanted: &DataType, number: usize) -> Result<ArrayRef, Error> {
    let found = column.data_type();
    let target = match is_text(found) && !is_text(wanted) || is_nothing(found) {
        true => wanted.clone(),
        false => known(found),
    };
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, &target, &options).map_err(|error| {
        Error::new("22P02", format!("invalid input for parameter ${number} of type {wanted}: {error}"))
    })
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

fn is_nothing(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => is_nothing(item.data_type()),
        other => matches!(other, DataType::Null),
    }
}

/// The type that SQL has a word for, of values that come in another layout or width.
fn known(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Dictionary(_, value) => known(value),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(Field::new_list_field(known(item.data_type()), true)))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        DictionaryArray, Int64Array, LargeListArray, NullArray, StringArray, TimestampNanosecondArray,
        UInt64Array,
    };
    use arrow::datatypes::{Int8Type, Int64Type};

    #[test]
    fn values_come_in_types_that_sql_has_words_for() {
        let dictionary: DictionaryArray<Int8Type> = ["a", "b"].into_iter().collect();
        let lists = LargeListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        let micros = |at| ScalarValue::TimestampMicrosecond(Some(at), None);
        let cases: Vec<(ArrayRef, DataType, [ScalarValue; 2])> = vec![
            (Arc::new(dictionary), DataType::Utf8, ["a", "b"].map(ScalarValue::from)),
            (
                Arc::new(StringArray::from(vec!["7", "-8"])),
                DataType::Int64,
                [7_i64, -8].map(ScalarValue::from),
            ),
            (Arc::new(NullArray::new(2)), DataType::Date32, [None, None].map(ScalarValue::Date32)),
            (Arc::new(Int64Array::from(vec![1, 2])), DataType::Utf8, [1_i64, 2].map(ScalarValue::from)),
            (
                Arc::new(UInt64Array::from(vec![0, u64::MAX])),
                DataType::Int64,
                [0, i128::from(u64::MAX)].map(|n| ScalarValue::Decimal128(Some(n), 20, 0)),
            ),
            (
                Arc::new(TimestampNanosecondArray::from(vec![1500, 2000])),
                DataType::Date32,
                [micros(1), micros(2)],
            ),
        ];
        for (column, wanted, expected) in cases {
            let batch = RecordBatch::try_from_iter_with_nullable([("1", column, true)]).unwrap();
            let found = values(&batch, &[wanted]).unwrap();
            assert_eq!(found, expected.map(|value| vec![value]));
        }
        let batch = RecordBatch::try_from_iter([("1", Arc::new(lists) as ArrayRef)]).unwrap();
        let found = values(&batch, &[DataType::Utf8]).unwrap();
        assert_eq!(found[0][0].data_type(), DataType::new_list(DataType::Int64, true));
        assert!(found[1][0].is_null());
    }

    #[test]
    fn what_does_not_fit_is_told_by_number() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["seven"]));
        let batch = RecordBatch::try_from_iter([("1", Arc::clone(&text)), ("2", text)]).unwrap();
        let error = values(&batch, &[DataType::Utf8, DataType::Int64]).unwrap_err();
        assert!(error.code == "22P02" && error.message.contains("parameter $2 of type Int64"), "{error}");
        let error = values(&batch, &[DataType::Utf8]).unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            ("08P01", "2 parameters are bound, but the statement has 1")
        );
    }
}
