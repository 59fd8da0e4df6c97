//! The engine's thread, and the channels from it to the writers.

use bytes::Bytes;
use etl_engine::{Conversion, Outputs, Sink, SinkError};
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

/// The engine's ends of the channels.
pub(super) struct Sinks {
    pub(super) rows: Channel,
    pub(super) rejected: Option<Channel>,
}

/// The two ends of a channel.
pub(super) fn channel() -> (Channel, mpsc::Receiver<Message>) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (Channel(sender), receiver)
}

/// Converts; blocks. Memory is given back as soon as the engine is done with it,
/// whatever the writers have still to do.
pub(super) fn run(
    conversion: Conversion,
    mut sinks: Sinks,
    memory: OwnedSemaphorePermit,
) -> Result<Rows, etl_engine::Error> {
    let rows = convert(conversion, &mut sinks)?;
    drop(memory);
    sinks.rows.send(Message::End)?;
    if let Some(rejected) = &sinks.rejected {
        rejected.send(Message::End)?;
    }
    Ok(rows)
}

fn convert(conversion: Conversion, sinks: &mut Sinks) -> Result<Rows, etl_engine::Error> {
    let read = conversion.rows();
    let summary = conversion.convert(Outputs {
        rows: &mut sinks.rows,
        rejected: sinks.rejected.as_mut().map(|sink| sink as &mut dyn Sink),
    })?;
    let (written, rejected) = (summary.rows, summary.rejected);
    if written.checked_add(rejected) != Some(read) {
        // Without the end mark the writers publish nothing.
        return Err(etl_engine::Error::Internal(format!(
            "{written} rows were written and {rejected} left out of {read}"
        )));
    }
    Ok(Rows {
        read,
        written,
        rejected,
    })
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
