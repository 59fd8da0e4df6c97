//! Memory for decompressed pages that comes back when nothing refers to the page
//! any more: a warm buffer costs neither page faults nor zeroing.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// What idle buffers may take together.
pub(crate) const IDLE_BYTES: u64 = 4 << 20;

/// All of them are looked at when one is needed.
const IDLE_BUFFERS: usize = 64;

/// Buffers of one conversion. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// Has `write` fill `length` bytes, which may hold anything before.
    pub(super) fn fill<E>(
        &self,
        length: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let mut page = Filled {
            buffer: self.take(length),
            length,
            home: self.clone(),
        };
        write(&mut page.buffer[..length])?;
        Ok(Bytes::from_owner(page))
    }

    /// The smallest idle buffer that is long enough and not far too long.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut idle = self.lock();
        let fitting = idle
            .iter()
            .enumerate()
            .filter(|(_, buffer)| (length..=length + length / 4).contains(&buffer.len()))
            .min_by_key(|(_, buffer)| buffer.len());
        match fitting {
            Some((index, _)) => idle.swap_remove(index),
            None => vec![0; length],
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut idle = self.lock();
        let bytes: usize = idle.iter().map(Vec::len).sum();
        if (bytes + buffer.len()) as u64 <= IDLE_BYTES && idle.len() < IDLE_BUFFERS {
            idle.push(buffer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Filled {
    buffer: Vec<u8>,
    length: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Buffers, byte: u8, length: usize) -> Bytes {
        let fill = |bytes: &mut [u8]| {
            bytes.fill(byte);
            Ok::<_, ()>(())
        };
        buffers.fill(length, fill).unwrap()
    }

    #[test]
    fn a_buffer_comes_back_when_the_last_slice_is_dropped() {
        let buffers = Buffers::default();
        let page = filled(&buffers, 1, 100);
        let slice = page.slice(10..20);
        drop(page);
        assert!(buffers.lock().is_empty());
        drop(slice);
        assert_eq!(buffers.lock().len(), 1);
        assert_eq!(filled(&buffers, 2, 90)[..], [2; 90]);
        assert_eq!(buffers.lock().len(), 1, "the same one again");
    }

    #[test]
    fn idle_buffers_are_bounded_and_fit() {
        let buffers = Buffers::default();
        let pages: Vec<Bytes> = (0..9).map(|_| filled(&buffers, 0, 1 << 20)).collect();
        drop(pages);
        assert_eq!(buffers.lock().len(), 4);
        assert_eq!(buffers.take(1000).len(), 1000, "a large one is not wasted");
        assert_eq!(buffers.lock().len(), 4);
    }
}
