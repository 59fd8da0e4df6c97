//! Parts on their way to the store.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use super::Target;
use crate::store::{Kind, Part, Slot, Store, StoreError, UploadId};

/// The parts of one upload, each on a task of its own. Dropping it stops those
/// that have not landed.
pub(super) struct Flights {
    store: Arc<dyn Store>,
    key: String,
    upload: UploadId,
    next: Slot,
    flying: JoinSet<(Result<Part, StoreError>, Bytes)>,
    landed: Vec<Part>,
    spares: Vec<BytesMut>,
}

impl Flights {
    /// No parts yet.
    pub(super) fn new(target: &Target, upload: &UploadId) -> Self {
        Flights {
            store: Arc::clone(&target.store),
            key: target.key.clone(),
            upload: upload.clone(),
            next: Slot {
                number: 1,
                offset: 0,
            },
            flying: JoinSet::new(),
            landed: Vec::new(),
            spares: Vec::new(),
        }
    }

    /// Number of the part that is started next.
    pub(super) fn next_number(&self) -> u32 {
        self.next.number
    }

    /// Starts the next part.
    pub(super) fn start(&mut self, body: Bytes) {
        let (store, key, upload) = (
            Arc::clone(&self.store),
            self.key.clone(),
            self.upload.clone(),
        );
        let slot = self.next;
        self.next = Slot {
            number: slot.number + 1,
            offset: slot.offset + body.len() as u64,
        };
        self.flying.spawn(async move {
            let part = store.put_part(&key, &upload, slot, body.clone()).await;
            (part, body)
        });
    }

    /// Waits until another part may be filled, to be one of `most` that fly.
    pub(super) async fn make_room(&mut self, most: usize) -> Result<(), StoreError> {
        while self.flying.len() >= most {
            self.next_landing().await?;
        }
        Ok(())
    }

    /// Waits for a part that fails; for ever, if none does.
    pub(super) async fn failure(&mut self) -> StoreError {
        loop {
            match self.next_landing().await {
                Ok(true) => {}
                Ok(false) => std::future::pending().await,
                Err(error) => return error,
            }
        }
    }

    /// Waits for the next part to land; false if none is flying. Loses nothing
    /// when it is given up.
    async fn next_landing(&mut self) -> Result<bool, StoreError> {
        let Some(landing) = self.flying.join_next().await else {
            return Ok(false);
        };
        let (part, body) = landing.map_err(|error| {
            let uri = self.store.uri(&self.key);
            let detail = "the task of a part ended without an answer";
            StoreError::new(Kind::Other, "write", uri, detail).with_source(error)
        })?;
        self.landed.push(part?);
        self.spares.extend(body.try_into_mut());
        Ok(true)
    }

    /// The buffers of parts that have landed.
    pub(super) fn spares(&mut self) -> Vec<BytesMut> {
        std::mem::take(&mut self.spares)
    }

    /// All parts, in order, when the last has landed.
    pub(super) async fn land(mut self) -> Result<Vec<Part>, StoreError> {
        while self.next_landing().await? {}
        self.landed.sort_unstable_by_key(|part| part.number);
        Ok(self.landed)
    }
}
