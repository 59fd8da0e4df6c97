//! The memory of chunks, used again and again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::compress::CHUNK_BYTES;
use crate::memory::WAITING_CHUNKS;

/// A chunk ends with the first row that makes it large enough, so most rows
/// fit without growing the buffer.
const BUFFER_BYTES: usize = CHUNK_BYTES + (16 << 10);

/// Buffers that come back when the sink has let go of their chunk: a warm
/// buffer costs no page faults.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    pub(super) fn take(&self) -> Vec<u8> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Keeps `buffer` for later, unless a very long row has blown it up.
    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() <= 2 * CHUNK_BYTES && idle.len() < WAITING_CHUNKS {
            idle.push(buffer);
        }
    }

    /// The text in `buffer` as a chunk.
    pub(super) fn chunk(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.len() < CHUNK_BYTES / 2 {
            // A sink may keep chunks: a short one should not hold a whole buffer.
            let chunk = Bytes::copy_from_slice(&buffer);
            self.give_back(buffer);
            return chunk;
        }
        Bytes::from_owner(Chunk {
            buffer,
            buffers: self.clone(),
        })
    }
}

struct Chunk {
    buffer: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.buffers.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_once_its_chunk_is_dropped() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.resize(CHUNK_BYTES, b'x');
        let memory = buffer.as_ptr();
        let chunk = buffers.chunk(buffer);
        assert_eq!((chunk.len(), chunk[0]), (CHUNK_BYTES, b'x'));
        assert!(buffers.idle.lock().unwrap().is_empty());
        drop(chunk);
        let buffer = buffers.take();
        assert_eq!((buffer.as_ptr(), buffer.len()), (memory, 0));
    }

    #[test]
    fn a_buffer_grown_for_one_long_row_is_not_kept() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.resize(4 * CHUNK_BYTES, b'x');
        drop(buffers.chunk(buffer));
        assert!(buffers.idle.lock().unwrap().is_empty());
    }
}
