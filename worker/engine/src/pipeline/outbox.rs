//! Output of batches that are encoded in any order and leave in one.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::Encoded;
use crate::memory::IN_ORDER_BYTES;

/// Encoded batches, handed out in their order.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The batch whose turn it is.
    next: u64,
    batches: u64,
    entries: BTreeMap<u64, Entry>,
    /// Of all entries.
    bytes: usize,
    /// How many bytes may wait for the batch whose turn it is.
    reorder_bytes: usize,
    /// Rows read of the batches that have been handed out.
    rows: u64,
}

#[derive(Debug, Default)]
struct Entry {
    pieces: VecDeque<Encoded>,
    bytes: usize,
    /// How many rows became these pieces, once they are all there.
    rows: Option<u64>,
}

impl Outbox {
    pub(super) fn new(batches: u64, reorder_bytes: usize) -> Self {
        Self {
            next: 0,
            batches,
            entries: BTreeMap::new(),
            bytes: 0,
            reorder_bytes,
            rows: 0,
        }
    }

    /// Whether more output of `batch` may be put in. There is always room for
    /// the batch whose turn it is once its last output has been taken.
    pub(super) fn has_room(&self, batch: u64) -> bool {
        let own = self.entries.get(&batch).map_or(0, |entry| entry.bytes);
        self.bytes < self.reorder_bytes || (batch == self.next && own < IN_ORDER_BYTES)
    }

    pub(super) fn push(&mut self, batch: u64, piece: Encoded) {
        let entry = self.entries.entry(batch).or_default();
        entry.bytes += bytes_of(&piece);
        self.bytes += bytes_of(&piece);
        entry.pieces.push_back(piece);
    }

    /// No more output of `batch` will come.
    pub(super) fn finish(&mut self, batch: u64, rows: u64) {
        self.entries.entry(batch).or_default().rows = Some(rows);
    }

    /// The next piece, if it is there.
    pub(super) fn pop(&mut self) -> Option<Encoded> {
        loop {
            let entry = self.entries.get_mut(&self.next)?;
            if let Some(piece) = entry.pieces.pop_front() {
                entry.bytes -= bytes_of(&piece);
                self.bytes -= bytes_of(&piece);
                return Some(piece);
            }
            self.rows += entry.rows?;
            self.entries.remove(&self.next);
            self.next += 1;
        }
    }

    /// Whether [`pop`](Self::pop) would come further.
    pub(super) fn is_ready(&self) -> bool {
        let next = self.entries.get(&self.next);
        next.is_some_and(|entry| !entry.pieces.is_empty() || entry.rows.is_some())
    }

    /// Rows read of the batches that have been handed out.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.next == self.batches
    }
}

fn bytes_of(piece: &Encoded) -> usize {
    match piece {
        Encoded::Chunk(bytes) | Encoded::Quarantine(bytes) => bytes.len(),
        Encoded::Rejected(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_batch_whose_turn_it_is_always_finds_room() {
        let mut outbox = Outbox::new(3, 100);
        assert!(outbox.has_room(0) && outbox.has_room(2));
        outbox.push(2, Encoded::Quarantine(vec![0; 100].into()));
        assert!(!outbox.has_room(1) && !outbox.has_room(2));
        assert!(outbox.has_room(0));
        outbox.push(0, Encoded::Chunk(vec![0; IN_ORDER_BYTES].into()));
        assert!(!outbox.has_room(0), "until it has been taken");
        assert!(outbox.pop().is_some());
        assert!(outbox.has_room(0));
    }

    #[test]
    fn an_outbox_is_ready_if_the_next_batch_has_a_piece_or_has_ended() {
        let mut outbox = Outbox::new(3, 100);
        outbox.push(1, Encoded::Chunk(Bytes::from_static(b"{2}")));
        assert!(!outbox.is_ready());
        outbox.finish(0, 1);
        assert!(outbox.is_ready());
        assert!(outbox.pop().is_some());
        assert!(!outbox.is_ready(), "more may come of the second batch");
        outbox.push(1, Encoded::Chunk(Bytes::from_static(b"{3}")));
        assert!(outbox.is_ready());
        assert!(outbox.pop().is_some());
        outbox.finish(1, 2);
        assert!(outbox.is_ready());
        assert!(outbox.pop().is_none());
        assert_eq!((outbox.rows(), outbox.is_at_end()), (3, false));
    }
}
