//! The engine's chunks, put together to parts.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::Message;

/// Chunks put together to parts, with the checksum of the whole.
pub(super) struct Inlet {
    chunks: mpsc::Receiver<Message>,
    /// The part that is being filled.
    part: BytesMut,
    /// What did not fit into the part before.
    rest: Bytes,
    ended: bool,
    bytes: u64,
    crc: crc_fast::Digest,
    /// Buffers of parts that are written: memory that is there already.
    spares: Vec<BytesMut>,
}

impl Inlet {
    pub(super) fn new(chunks: mpsc::Receiver<Message>) -> Self {
        Inlet {
            chunks,
            part: BytesMut::new(),
            rest: Bytes::new(),
            ended: false,
            bytes: 0,
            crc: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
            spares: Vec::new(),
        }
    }

    /// The next `size` bytes, or fewer at the end; `None` if the conversion
    /// failed.
    pub(super) async fn next(&mut self, size: usize) -> Option<Bytes> {
        self.fill(size).await?;
        Some(std::mem::take(&mut self.part).freeze())
    }

    /// Gathers `size` bytes and looks whether there are more; or gathers all
    /// there are.
    pub(super) async fn fill(&mut self, size: usize) -> Option<()> {
        self.make_room(size);
        loop {
            let missing = size.saturating_sub(self.part.len());
            let fitting = self.rest.split_to(missing.min(self.rest.len()));
            self.part.extend_from_slice(&fitting);
            if self.ended || !self.rest.is_empty() {
                return Some(());
            }
            match self.chunks.recv().await? {
                Message::Chunk(chunk) => {
                    self.bytes += chunk.len() as u64;
                    self.crc.update(&chunk);
                    self.rest = chunk;
                }
                Message::End => self.ended = true,
            }
        }
    }

    /// A part is never moved because it has grown: that would take its size
    /// again. What is reserved takes no memory until it is written to.
    fn make_room(&mut self, size: usize) {
        // Parts have grown, and these would only lie beside the larger ones.
        self.spares.retain(|spare| spare.capacity() >= size);
        if self.part.is_empty()
            && let Some(mut spare) = self.spares.pop()
        {
            spare.clear();
            self.part = spare;
        }
        self.part.reserve(size.saturating_sub(self.part.len()));
    }

    /// Takes buffers to fill again.
    pub(super) fn reuse(&mut self, spares: Vec<BytesMut>) {
        self.spares.extend(spares);
    }

    /// Whether all bytes have come in.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether all bytes have gone out.
    pub(super) fn is_drained(&self) -> bool {
        self.ended && self.part.is_empty() && self.rest.is_empty()
    }

    /// Bytes that have come in.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// CRC-64/NVME of what has come in.
    pub(super) fn crc64(&self) -> u64 {
        self.crc.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::crc64;

    fn inlet(messages: Vec<Message>) -> Inlet {
        let (sender, receiver) = mpsc::channel(messages.len().max(1));
        for message in messages {
            sender.try_send(message).unwrap();
        }
        Inlet::new(receiver)
    }

    fn chunk(text: &'static str) -> Message {
        Message::Chunk(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn chunks_become_parts_of_the_asked_size() {
        let mut inlet = inlet(vec![chunk("abc"), chunk("defgh"), chunk("i"), Message::End]);
        let mut parts = Vec::new();
        while !inlet.is_drained() {
            parts.push(inlet.next(4).await.unwrap());
        }
        assert_eq!(parts, ["abcd", "efgh", "i"]);
        assert_eq!(inlet.bytes(), 9);
        assert_eq!(inlet.crc64(), crc64(b"abcdefghi"));
    }

    #[tokio::test]
    async fn the_last_full_part_is_known_to_be_the_last() {
        let mut inlet = inlet(vec![chunk("abcd"), Message::End]);
        assert_eq!(inlet.next(4).await.unwrap(), "abcd");
        assert!(inlet.is_drained());
    }

    #[tokio::test]
    async fn a_channel_that_just_closes_gives_no_bytes() {
        let mut inlet = inlet(vec![chunk("abc")]);
        assert_eq!(inlet.next(4).await, None);
    }

    #[tokio::test]
    async fn buffers_that_are_too_small_are_let_go_of() {
        let mut inlet = inlet(vec![chunk("abcdefgh"), Message::End]);
        let spare = |size| BytesMut::from(&vec![b'x'; size][..]);
        inlet.reuse(vec![spare(4), spare(4), spare(6)]);
        assert_eq!(inlet.next(4).await.unwrap(), "abcd");
        assert_eq!(inlet.spares.len(), 2);
        assert_eq!(inlet.next(5).await.unwrap(), "efgh");
        assert!(inlet.spares.is_empty());
    }

    #[tokio::test]
    async fn no_output_is_an_empty_object() {
        let mut inlet = inlet(vec![Message::End]);
        assert_eq!(inlet.next(4).await.unwrap(), "");
        assert!(inlet.is_drained());
    }
}
