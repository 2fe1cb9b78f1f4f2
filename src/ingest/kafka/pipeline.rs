//! Buffers of records on their way to bronze: one thread turns them into columns while the reader fills the next.
//!
//! A fixed number of buffers goes round, so what is in flight is bounded and allocations are reused.

use crate::ingest::decode::{Decoded, RecordBuffer};
use crate::ingest::{Batch, Outlet, Position, SourceError, row_schema};
use crate::sql::SourceDefinition;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use tokio::runtime::Handle;

/// Buffers in flight: one being filled, one waiting, one being decoded.
const BUFFERS: usize = 3;

/// Records with the positions behind them.
pub(super) struct Filled {
    /// The records.
    pub(super) buffer: RecordBuffer,
    /// Where their partitions stand behind them.
    pub(super) positions: Vec<Position>,
    /// Their payload bytes.
    pub(super) bytes: u64,
}

/// The reader's end of the decoder thread.
pub(super) struct Pipeline {
    filled: Option<SyncSender<Filled>>,
    empty: Receiver<RecordBuffer>,
    thread: Option<JoinHandle<Result<(), SourceError>>>,
}

/// The decoder thread has ended; [`Pipeline::finish`] tells why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl Pipeline {
    /// Starts the decoder thread.
    pub(super) fn start(
        definition: &Arc<SourceDefinition>,
        outlet: Outlet,
        runtime: Handle,
    ) -> Result<Self, SourceError> {
        let (filled, to_decode) = sync_channel(1);
        let (give_back, empty) = channel();
        for _ in 0..BUFFERS {
            // The receiver is in this function: it cannot be gone.
            let _ = give_back.send(RecordBuffer::new(definition)?);
        }
        let schema = row_schema(definition);
        let thread = std::thread::Builder::new()
            .name(format!("decode-{}", definition.name.name))
            .spawn(move || decode(&schema, &to_decode, &give_back, &outlet, &runtime))
            .map_err(|error| SourceError::Fatal(format!("could not start the decoder thread: {error}")))?;
        Ok(Self { filled: Some(filled), empty, thread: Some(thread) })
    }

    /// An empty buffer; waits while all are in flight.
    pub(super) fn buffer(&self) -> Result<RecordBuffer, Closed> {
        self.empty.recv().map_err(|_| Closed)
    }

    /// Hands records on; waits while the decoder is busy.
    pub(super) fn send(&self, filled: Filled) -> Result<(), Closed> {
        self.filled.as_ref().ok_or(Closed)?.send(filled).map_err(|_| Closed)
    }

    /// Waits until everything that was sent is on its way to bronze (or the source was stopped).
    pub(super) fn finish(mut self) -> Result<(), SourceError> {
        self.filled = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(SourceError::Fatal("the decoder thread ended unexpectedly".to_string())),
            None => Ok(()),
        }
    }
}

fn decode(
    schema: &SchemaRef,
    filled: &Receiver<Filled>,
    give_back: &Sender<RecordBuffer>,
    outlet: &Outlet,
    runtime: &Handle,
) -> Result<(), SourceError> {
    while let Ok(Filled { mut buffer, positions, bytes }) = filled.recv() {
        let Decoded { rows, rejected } = if buffer.is_empty() {
            Decoded { rows: RecordBatch::new_empty(Arc::clone(schema)), rejected: Vec::new() }
        } else {
            buffer.finish()?
        };
        // The reader may have ended already.
        let _ = give_back.send(buffer);
        let batch = Batch { rows, rejected, positions, files: Vec::new(), bytes, acknowledge: None };
        let sent = runtime.block_on(async {
            tokio::select! {
                biased;
                () = outlet.stop.cancelled() => false,
                sent = outlet.batches.send(batch) => sent.is_ok(),
            }
        });
        // What is not sent is not durable: it is read again after the next start.
        if !sent {
            return Ok(());
        }
    }
    Ok(())
}
