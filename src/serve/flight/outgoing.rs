//! Rows as they leave: types that every client reads, messages of a bounded size.
//!
//! Comes in: a query's batches. Goes out: Flight messages. Views and dictionaries become plain strings and bytes, since
//! not every client knows them (who asks for dictionaries gets them); a batch is cut by the bytes of its rows, so that a message stays near
//! [`MESSAGE_OUT_BYTES_TARGET`] unless a single row is larger. Failure: the stream ends with the error's status.

use super::status::status;
use crate::ingest::row_bytes;
use crate::serve::Error;
use crate::serve::postgres::catalog;
use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use std::sync::Arc;
use tonic::Status;

/// What a message aims at: below the 4 MiB that gRPC clients take by default.
pub(super) const MESSAGE_OUT_BYTES_TARGET: usize = 2 << 20;

/// Compression of the columns' buffers, chosen per call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// As they are.
    None,
    /// LZ4 frames: worth it on slow networks.
    Lz4,
    /// Zstandard: smaller, for more of the processor's time.
    Zstd,
}

impl Compression {
    /// The one that a setting names.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A schema whose texts come as dictionaries: each is sent once a batch, and rows refer to it.
pub(super) fn with_dictionaries(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            text @ (DataType::Utf8 | DataType::LargeUtf8) => {
                let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(text.clone()));
                Arc::new(field.as_ref().clone().with_data_type(dictionary))
            }
            _ => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The schema that clients see: plain types, every column nullable as in any SQL result, each with what PostgreSQL calls
/// its type, as drivers of other worlds ask for it.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = plain_type(field.data_type());
            let mut metadata = field.metadata().clone();
            metadata.extend(in_words(field, &data_type).map(|(key, value)| (key.to_string(), value)));
            Field::new(field.name(), data_type, true).with_metadata(metadata)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// A column's type as Flight SQL's own metadata tell it.
fn in_words(field: &Field, data_type: &DataType) -> impl Iterator<Item = (&'static str, String)> {
    let oid = catalog::types::column_type(field).oid;
    let name =
        catalog::types::types().by_oid(oid).map(|found| ("ARROW:FLIGHT:SQL:TYPE_NAME", found.name.clone()));
    let digits = match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => Some([
            ("ARROW:FLIGHT:SQL:PRECISION", precision.to_string()),
            ("ARROW:FLIGHT:SQL:SCALE", scale.to_string()),
        ]),
        _ => None,
    };
    name.into_iter().chain(digits.into_iter().flatten())
}

/// Encodes a query's batches.
pub(super) fn messages(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Error>> + Send + 'static,
    compression: Compression,
) -> Result<BoxStream<'static, Result<FlightData, Status>>, Error> {
    let kind = match compression {
        Compression::None => None,
        Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
        Compression::Zstd => Some(CompressionType::ZSTD),
    };
    let options = IpcWriteOptions::default().try_with_compression(kind).map_err(internal)?;
    let target = Arc::clone(&schema);
    let pieces = batches.flat_map(move |batch| {
        let pieces = batch.and_then(|batch| plain_batch(&batch, &target)).map(|batch| cut(&batch));
        futures::stream::iter(match pieces {
            Ok(pieces) => pieces.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(FlightError::Tonic(Box::new(status(error))))],
        })
    });
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_options(options)
        .with_dictionary_handling(DictionaryHandling::Resend)
        // Batches come cut already: by the bytes of their rows, where the encoder would count shared buffers whole.
        .with_max_flight_data_size(usize::MAX)
        .build(pieces);
    Ok(encoder.map(|message| message.map_err(Status::from)).boxed())
}

/// Encodes a small answer that is plain already.
pub(super) fn answer(batch: RecordBatch) -> BoxStream<'static, Result<FlightData, Status>> {
    let schema = batch.schema();
    let encoder =
        FlightDataEncoderBuilder::new().with_schema(schema).build(futures::stream::iter([Ok(batch)]));
    encoder.map(|message| message.map_err(Status::from)).boxed()
}

/// The type that every client reads.
fn plain_type(data_type: &DataType) -> DataType {
    let plain_field = |f: &FieldRef| Arc::new(f.as_ref().clone().with_data_type(plain_type(f.data_type())));
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::List(f) | DataType::ListView(f) => DataType::List(plain_field(f)),
        DataType::LargeList(f) | DataType::LargeListView(f) => DataType::LargeList(plain_field(f)),
        DataType::FixedSizeList(f, n) => DataType::FixedSizeList(plain_field(f), *n),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(f, sorted) => DataType::Map(plain_field(f), *sorted),
        other => other.clone(),
    }
}

/// A batch in the shape of `schema`.
fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::new("XX000", "result has another number of columns than was announced"));
    }
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast(column, field.data_type()).map_err(internal)
            }
        })
        .collect::<Result<_, Error>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(internal)
}

/// Cuts a batch into pieces whose rows hold about [`MESSAGE_OUT_BYTES_TARGET`] each.
fn cut(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let pieces = row_bytes(batch).div_ceil(MESSAGE_OUT_BYTES_TARGET).clamp(1, rows.max(1));
    let piece_rows = rows.div_ceil(pieces).max(1);
    (0..rows).step_by(piece_rows).map(|at| batch.slice(at, piece_rows.min(rows - at))).collect()
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::new("XX000", format!("result cannot be encoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Array as _, Int64Array, ListBuilder, StringArray, StringViewArray, StringViewBuilder,
    };
    use arrow_flight::decode::FlightRecordBatchStream;
    use futures::TryStreamExt as _;

    fn wide(rows: usize, width: usize) -> RecordBatch {
        let text: StringViewArray = (0..rows).map(|n| Some(format!("{n:width$}"))).collect();
        RecordBatch::try_from_iter([("t", Arc::new(text) as ArrayRef)]).unwrap()
    }

    async fn sent(batch: RecordBatch, compression: Compression) -> (Vec<FlightData>, Vec<RecordBatch>) {
        let schema = plain_schema(&batch.schema());
        let stream = futures::stream::iter([Ok(batch)]);
        let messages: Vec<FlightData> =
            messages(schema, stream, compression).unwrap().try_collect().await.unwrap();
        let decoded = FlightRecordBatchStream::new_from_flight_data(futures::stream::iter(
            messages.clone().into_iter().map(Ok),
        ));
        (messages, decoded.try_collect().await.unwrap())
    }

    #[test]
    fn views_become_plain_at_any_depth() {
        let nested = DataType::Struct(Fields::from(vec![Field::new(
            "l",
            DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true))),
            false,
        )]));
        let plain = DataType::Struct(Fields::from(vec![Field::new(
            "l",
            DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            false,
        )]));
        assert_eq!(plain_type(&nested), plain);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        assert_eq!(plain_type(&dictionary), DataType::Utf8);
    }

    #[tokio::test]
    async fn a_large_batch_travels_in_bounded_messages_and_whole() {
        let batch = wide(100_000, 100);
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let (messages, batches) = sent(batch.clone(), compression).await;
            assert!(messages.len() > 5);
            assert!(messages.iter().all(|m| m.data_body.len() < MESSAGE_OUT_BYTES_TARGET * 5 / 4));
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
            let last = batches.last().unwrap();
            let text = last.column(0).as_any().downcast_ref::<StringArray>().unwrap();
            assert_eq!(text.value(text.len() - 1).trim(), "99999");
        }
    }

    #[tokio::test]
    async fn a_slice_of_a_large_array_is_one_message() {
        let numbers = Int64Array::from_iter_values(0..1_000_000);
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap();
        let (messages, batches) = sent(batch.slice(500_000, 10), Compression::None).await;
        assert_eq!(messages.len(), 2, "schema and one batch");
        assert_eq!(batches[0].num_rows(), 10);
    }

    #[tokio::test]
    async fn nested_views_and_no_columns_travel_too() {
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        lists.values().append_value("a string that is longer than a view holds inline");
        lists.append(true);
        lists.append_null();
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists.finish()) as ArrayRef)]).unwrap();
        let (_, batches) = sent(batch, Compression::None).await;
        assert_eq!(batches[0].num_rows(), 2);
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let empty =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
        let (_, batches) = sent(empty, Compression::None).await;
        assert_eq!(batches[0].num_rows(), 3);
    }
}
