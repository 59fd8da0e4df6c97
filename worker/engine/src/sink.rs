//! Where output bytes go.

use bytes::Bytes;

use crate::error::SinkError;

/// Takes the output, in order.
///
/// Called by one thread of the engine at a time, and not always by the same.
/// Blocking is the back-pressure: while `write` waits, the engine holds a bounded
/// number of chunks and stops reading ahead.
pub trait Sink: Send {
    /// Takes the next chunk, never empty, usually around 256 KiB; one row is
    /// never split over two uncompressed chunks.
    ///
    /// # Errors
    /// Ends the conversion; the engine hands the error back unchanged inside
    /// [`Error::Sink`](crate::Error::Sink).
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError>;
}

impl Sink for Vec<u8> {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.extend_from_slice(&chunk);
        Ok(())
    }
}
