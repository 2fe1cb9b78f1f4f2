//! Rows that a client sends: for sources, and as parameters.
//!
//! Comes in: a call's messages. Goes out: batches, or a status with a SQLSTATE. What a message says of its body is held against
//! the body before it is read: the reader takes its word for it.

use super::status::status;
use crate::serve::Error;
use arrow::array::RecordBatch;
use arrow::ipc::{MessageHeader, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::{Stream, TryStreamExt as _};
use std::future::ready;
use tonic::Status;

/// The batches of a call.
pub(super) fn rows(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch, Status>> + Send {
    let whole = messages.map_err(FlightError::from).and_then(|message| {
        ready(match is_whole(&message) {
            true => Ok(message),
            false => Err(FlightError::DecodeError("a message's body is shorter than it says".to_string())),
        })
    });
    FlightRecordBatchStream::new_from_flight_data(whole).map_err(|error| match error {
        // The connection's own.
        FlightError::Tonic(status) => *status,
        error => status(Error::new("08P01", format!("these are no rows in Arrow's format: {error}"))),
    })
}

/// Whether the body has all the buffers that the message says it has.
fn is_whole(message: &FlightData) -> bool {
    // What is no message is refused by who reads it.
    let Ok(header) = root_as_message(&message.data_header) else { return true };
    let batch = match header.header_type() {
        MessageHeader::RecordBatch => header.header_as_record_batch(),
        MessageHeader::DictionaryBatch => header.header_as_dictionary_batch().and_then(|of| of.data()),
        _ => None,
    };
    let buffers = batch.and_then(|batch| batch.buffers());
    buffers.into_iter().flatten().all(|buffer| {
        let end = buffer.offset().checked_add(buffer.length()).and_then(|end| usize::try_from(end).ok());
        buffer.offset() >= 0 && buffer.length() >= 0 && end.is_some_and(|end| end <= message.data_body.len())
    })
}
