//! From the engine's chunks to one object.

use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use super::parts::{FIRST_PART_BYTES, MAX_PARTS, in_flight, part_bytes};
use super::slot::Slot;
use super::{Look, Target, WriteError};
use crate::store::{self, Object, Part, Precondition, StoreError, UploadId};

/// Outputs up to this size in bytes are gathered without a [`Slot`].
const SMALL_BYTES: usize = 1 << 20;

/// What the converting thread says.
#[derive(Debug)]
pub enum Message {
    /// The next bytes.
    Chunk(Bytes),
    /// There are no more, and all is well. A channel that closes without this
    /// means a conversion that failed: half an output must never look whole.
    End,
}

/// An output that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its etag.
    pub etag: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// CRC-64/NVME of its content.
    pub crc64: u64,
}

/// Chunks put together to parts, with the checksum of the whole.
struct Inlet {
    chunks: mpsc::Receiver<Message>,
    buffer: BytesMut,
    ended: bool,
    bytes: u64,
    crc: crc_fast::Digest,
}

impl Inlet {
    fn new(chunks: mpsc::Receiver<Message>) -> Self {
        Inlet {
            chunks,
            buffer: BytesMut::new(),
            ended: false,
            bytes: 0,
            crc: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
        }
    }

    /// The next `size` bytes, or fewer at the end; `None` if the conversion
    /// failed.
    async fn next(&mut self, size: usize) -> Option<Bytes> {
        self.fill(size).await?;
        let length = self.buffer.len().min(size);
        Some(self.buffer.split_to(length).freeze())
    }

    /// Gathers more than `size` bytes, or all there are.
    async fn fill(&mut self, size: usize) -> Option<()> {
        // One byte more than asked for, to know whether these were the last.
        while self.buffer.len() <= size && !self.ended {
            match self.chunks.recv().await? {
                Message::Chunk(chunk) => {
                    self.bytes += chunk.len() as u64;
                    self.crc.update(&chunk);
                    self.buffer.extend_from_slice(&chunk);
                }
                Message::End => self.ended = true,
            }
        }
        Some(())
    }

    fn is_drained(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }
}

impl Target {
    /// Takes the output of a conversion and writes it; if it is there already,
    /// only compares.
    pub async fn receive(
        &self,
        look: Look,
        chunks: mpsc::Receiver<Message>,
        slot: &Slot,
    ) -> Result<Written, WriteError> {
        let mut inlet = Inlet::new(chunks);
        let condition = match look {
            Look::Done(object) => return self.compare(&object, inlet).await,
            Look::Write(condition) => condition,
        };
        inlet
            .fill(SMALL_BYTES)
            .await
            .ok_or_else(|| self.unfinished())?;
        if !inlet.ended {
            slot.take().await;
        }
        let first = self.take(&mut inlet, FIRST_PART_BYTES).await?;
        let etag = if inlet.is_drained() {
            let crc64 = inlet.crc.finalize();
            self.put(first, crc64, condition).await?
        } else {
            self.upload(first, &mut inlet, condition).await?
        };
        Ok(Written {
            etag,
            bytes: inlet.bytes,
            crc64: inlet.crc.finalize(),
        })
    }

    async fn take(&self, inlet: &mut Inlet, size: usize) -> Result<Bytes, WriteError> {
        inlet.next(size).await.ok_or_else(|| self.unfinished())
    }

    fn unfinished(&self) -> WriteError {
        WriteError::Unfinished { uri: self.uri() }
    }

    async fn compare(&self, object: &Object, mut inlet: Inlet) -> Result<Written, WriteError> {
        while !inlet.is_drained() {
            self.take(&mut inlet, SMALL_BYTES).await?;
        }
        let (bytes, crc64) = (inlet.bytes, inlet.crc.finalize());
        self.verify(object, bytes, crc64)?;
        Ok(Written {
            etag: object.etag.clone(),
            bytes,
            crc64,
        })
    }

    /// Writes an object in parts.
    async fn upload(
        &self,
        first: Bytes,
        inlet: &mut Inlet,
        condition: Precondition,
    ) -> Result<String, WriteError> {
        self.abort_abandoned().await;
        let upload = self.store.begin_upload(&self.key, &self.attributes).await?;
        let outcome = match self.upload_parts(&upload, first, inlet).await {
            Ok(parts) => {
                self.complete(&upload, &parts, inlet.crc.finalize(), condition)
                    .await
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.abort(&upload).await;
        }
        outcome
    }

    async fn upload_parts(
        &self,
        upload: &UploadId,
        first: Bytes,
        inlet: &mut Inlet,
    ) -> Result<Vec<Part>, WriteError> {
        let mut flights = FuturesUnordered::new();
        let mut parts: Vec<Part> = Vec::new();
        let mut slot = store::Slot {
            number: 1,
            offset: 0,
        };
        let mut body = first;
        loop {
            let length = body.len() as u64;
            flights.push(self.store.put_part(&self.key, upload, slot, body));
            slot = store::Slot {
                number: slot.number + 1,
                offset: slot.offset + length,
            };
            if inlet.is_drained() {
                break;
            }
            if slot.number > MAX_PARTS {
                return Err(WriteError::TooLarge { uri: self.uri() });
            }
            let size = part_bytes(slot.number);
            while flights.len() >= in_flight(size) {
                parts.extend(flights.next().await.transpose()?);
            }
            body = self
                .take_while_flying(inlet, size, &mut flights, &mut parts)
                .await?;
        }
        while let Some(part) = flights.next().await {
            parts.push(part?);
        }
        parts.sort_unstable_by_key(|part| part.number);
        Ok(parts)
    }

    /// Gathers the next part while earlier ones are on their way: their futures
    /// make progress only when they are polled.
    async fn take_while_flying<F>(
        &self,
        inlet: &mut Inlet,
        size: usize,
        flights: &mut FuturesUnordered<F>,
        parts: &mut Vec<Part>,
    ) -> Result<Bytes, WriteError>
    where
        F: Future<Output = Result<Part, StoreError>>,
    {
        let mut taking = std::pin::pin!(self.take(inlet, size));
        loop {
            tokio::select! {
                body = &mut taking => return body,
                Some(part) = flights.next(), if !flights.is_empty() => parts.push(part?),
            }
        }
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
        assert_eq!(inlet.bytes, 9);
        assert_eq!(inlet.crc.finalize(), crc64(b"abcdefghi"));
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
    async fn no_output_is_an_empty_object() {
        let mut inlet = inlet(vec![Message::End]);
        assert_eq!(inlet.next(4).await.unwrap(), "");
        assert!(inlet.is_drained());
    }
}
