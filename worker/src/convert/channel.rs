//! The engine's thread, and the channel from it to the writer.

use bytes::Bytes;
use etl_engine::{Conversion, Sink, SinkError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::write::Message;

/// Chunks between engine and writer.
const CHUNKS: usize = 4;

/// Rows in and out, as the engine counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) rejected: u64,
}

/// The two ends of a channel.
pub(super) fn channel() -> (Channel, mpsc::Receiver<Message>) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (Channel(sender), receiver)
}

/// Converts; blocks. Memory is given back as soon as the engine is done with it,
/// whatever the writer has still to do.
pub(super) fn run(
    conversion: Conversion,
    mut sink: Channel,
    memory: OwnedSemaphorePermit,
) -> Result<Rows, etl_engine::Error> {
    let rows = convert(conversion, &mut sink)?;
    drop(memory);
    sink.send(Message::End)?;
    Ok(rows)
}

fn convert(conversion: Conversion, sink: &mut Channel) -> Result<Rows, etl_engine::Error> {
    let read = conversion.rows();
    let summary = conversion.convert(sink)?;
    let rows = Rows {
        read,
        written: summary.rows,
        rejected: 0,
    };
    if rows.written.checked_add(rows.rejected) != Some(read) {
        // Without the end mark the writer publishes nothing.
        return Err(etl_engine::Error::Internal(format!(
            "{} rows were written and {} left out of {read}",
            rows.written, rows.rejected
        )));
    }
    Ok(rows)
}

/// The sink side of a channel.
pub(super) struct Channel(mpsc::Sender<Message>);

#[derive(Debug, thiserror::Error)]
#[error("the writer has stopped")]
struct WriterStopped;

impl Channel {
    fn send(&self, message: Message) -> Result<(), SinkError> {
        self.0
            .blocking_send(message)
            .map_err(|_closed| SinkError::new(WriterStopped))
    }
}

impl Sink for Channel {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.send(Message::Chunk(chunk))
    }
}
