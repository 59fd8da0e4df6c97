//! From the engine's chunks to one object.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::flights::Flights;
use super::inlet::Inlet;
use super::parts::{Cut, MAX_PARTS};
use super::slot::Slot;
use super::{Look, Target, WriteError};
use crate::store::{Object, Part, Precondition};

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

impl Target {
    /// Takes the output of a conversion and writes it; if it is there already,
    /// only compares.
    pub async fn receive(
        &self,
        look: Look,
        chunks: mpsc::Receiver<Message>,
        slot: &Slot,
    ) -> Result<Written, WriteError> {
        self.write(look, Inlet::new(chunks), slot).await
    }

    /// Like [`receive`](Self::receive), but does nothing at all if there is
    /// nothing to write.
    pub async fn receive_any(
        &self,
        chunks: mpsc::Receiver<Message>,
        slot: &Slot,
    ) -> Result<Option<Written>, WriteError> {
        let mut inlet = Inlet::new(chunks);
        inlet.fill(0).await.ok_or_else(|| self.unfinished())?;
        if inlet.is_drained() {
            return Ok(None);
        }
        let look = self.look().await?;
        self.write(look, inlet, slot).await.map(Some)
    }

    async fn write(
        &self,
        look: Look,
        mut inlet: Inlet,
        slot: &Slot,
    ) -> Result<Written, WriteError> {
        let condition = match look {
            Look::Done(object) => return self.compare(&object, inlet).await,
            Look::Write(condition) => condition,
        };
        inlet
            .fill(SMALL_BYTES)
            .await
            .ok_or_else(|| self.unfinished())?;
        if !inlet.has_ended() {
            slot.take().await;
        }
        let first = self.take(&mut inlet, self.parts.first_bytes()).await?;
        let etag = if inlet.is_drained() {
            let crc64 = inlet.crc64();
            self.put(first, crc64, condition).await?
        } else {
            let cut = self.parts.cut(slot.part_bytes());
            self.upload(first, &mut inlet, cut, condition).await?
        };
        Ok(Written {
            etag,
            bytes: inlet.bytes(),
            crc64: inlet.crc64(),
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
        let (bytes, crc64) = (inlet.bytes(), inlet.crc64());
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
        cut: Cut,
        condition: Precondition,
    ) -> Result<String, WriteError> {
        let begin = async {
            self.abort_abandoned().await;
            self.store.begin_upload(&self.key, &self.attributes).await
        };
        // The conversion goes on meanwhile. Whether it failed is seen again below.
        let (upload, _) = tokio::join!(begin, inlet.fill(cut.part_bytes(2)));
        let upload = upload?;
        let flights = Flights::new(self, &upload);
        let outcome = match self.upload_parts(flights, first, inlet, cut).await {
            Ok(parts) => {
                self.complete(&upload, &parts, inlet.crc64(), condition)
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
        mut flights: Flights,
        first: Bytes,
        inlet: &mut Inlet,
        cut: Cut,
    ) -> Result<Vec<Part>, WriteError> {
        let mut body = first;
        loop {
            flights.start(body);
            if inlet.is_drained() {
                return Ok(flights.land().await?);
            }
            let number = flights.next_number();
            if number > MAX_PARTS {
                return Err(WriteError::TooLarge {
                    uri: self.uri(),
                    part_mib: cut.largest_bytes() >> 20,
                });
            }
            let size = cut.part_bytes(number);
            flights.make_room(cut.in_flight(size)).await?;
            inlet.reuse(flights.spares());
            body = tokio::select! {
                body = self.take(inlet, size) => body?,
                // A part that fails need not wait for the next to be full.
                error = flights.failure() => return Err(error.into()),
            };
        }
    }
}
