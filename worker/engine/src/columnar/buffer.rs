//! The memory that text is written into.
//!
//! A buffer is a vector that stays initialised to its full length; how much of
//! it is text is a position that the writing functions take and return. That
//! keeps the position in a register, and one comparison pays for a whole value:
//! a window of fixed size is lent out, and stores into it need no checks.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::compress::CHUNK_BYTES;
use crate::memory::WAITING_CHUNKS;

/// A chunk ends with the first row that makes it large enough, so most rows
/// fit without growing the buffer.
const BUFFER_BYTES: usize = CHUNK_BYTES + (16 << 10);

/// Lends the `N` bytes from `at` on.
#[inline(always)]
pub(super) fn window<const N: usize>(out: &mut Vec<u8>, at: usize) -> &mut [u8; N] {
    reserve(out, at, N);
    out[at..]
        .first_chunk_mut()
        .expect("room for it has been reserved")
}

/// The `N` bytes from `at` on, which are there.
#[inline(always)]
pub(super) fn part<const N: usize>(out: &mut [u8], at: usize) -> &mut [u8; N] {
    (&mut out[at..at + N])
        .try_into()
        .expect("the slice has the length it was cut to")
}

/// Makes sure that `bytes` can be written from `at` on.
#[inline(always)]
pub(super) fn reserve(out: &mut Vec<u8>, at: usize, bytes: usize) {
    if out.len() < at + bytes {
        grow(out, at + bytes);
    }
}

#[cold]
#[inline(never)]
fn grow(out: &mut Vec<u8>, needed: usize) {
    out.resize(needed + needed / 2, 0);
}

/// Writes `text` and returns where it ends.
#[inline(always)]
pub(super) fn put(out: &mut Vec<u8>, at: usize, text: &[u8]) -> usize {
    reserve(out, at, text.len());
    out[at..at + text.len()].copy_from_slice(text);
    at + text.len()
}

/// Buffers that come back when the sink has let go of their chunk: a warm
/// buffer costs neither page faults nor zeroing.
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
        idle.unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    /// Keeps `buffer` for later, unless a very long row has blown it up.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() <= 2 * CHUNK_BYTES && idle.len() < WAITING_CHUNKS {
            idle.push(buffer);
        }
    }

    /// The first `length` bytes of `buffer` as a chunk.
    pub(super) fn chunk(&self, buffer: Vec<u8>, length: usize) -> Bytes {
        if length < CHUNK_BYTES / 2 {
            // A sink may keep chunks: a short one should not hold a whole buffer.
            let chunk = Bytes::copy_from_slice(&buffer[..length]);
            self.give_back(buffer);
            return chunk;
        }
        Bytes::from_owner(Chunk {
            buffer,
            length,
            buffers: self.clone(),
        })
    }
}

struct Chunk {
    buffer: Vec<u8>,
    length: usize,
    buffers: Buffers,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
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
        buffer[0] = b'x';
        let chunk = buffers.chunk(buffer, CHUNK_BYTES);
        assert_eq!((chunk.len(), chunk[0]), (CHUNK_BYTES, b'x'));
        assert!(buffers.idle.lock().unwrap().is_empty());
        drop(chunk);
        assert_eq!(buffers.take()[0], b'x');
    }

    #[test]
    fn a_buffer_grown_for_one_long_row_is_not_kept() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        window::<8>(&mut buffer, 4 * CHUNK_BYTES)[0] = 1;
        drop(buffers.chunk(buffer, 4 * CHUNK_BYTES + 8));
        assert!(buffers.idle.lock().unwrap().is_empty());
    }
}
