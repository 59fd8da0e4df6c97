//! A store that fails at a chosen write.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use etl_worker::store::{
    Attributes, Kind, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store,
    StoreError, UploadId,
};

/// What happens at the chosen write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the write is sent: neither it nor any later
    /// request reaches the store.
    CrashBefore,
    /// The process dies after the write took effect.
    CrashAfter,
    /// The write takes effect; the answer is this error. As seen by a client
    /// whose reply was lost (`Unknown`), or whose library tried again by itself
    /// and met its own success (`PreconditionFailed`).
    AfterEffect(Kind),
    /// The write takes no effect; the answer is this error.
    WithoutEffect(Kind),
}

/// Which writes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Every request that changes the store.
    All,
    /// Those that make an object appear.
    Publishing,
}

#[derive(Debug)]
pub struct FaultStore {
    store: Arc<dyn Store>,
    fault: Fault,
    counted: Counted,
    countdown: AtomicU64,
    dead: AtomicBool,
}

impl FaultStore {
    /// Fails at write `number` (from 0).
    pub fn new(store: Arc<dyn Store>, fault: Fault, counted: Counted, number: u64) -> Self {
        let (countdown, dead) = (AtomicU64::new(number + 1), AtomicBool::new(false));
        FaultStore {
            store,
            fault,
            counted,
            countdown,
            dead,
        }
    }

    /// Whether the chosen write was reached.
    pub fn struck(&self) -> bool {
        self.countdown.load(Ordering::SeqCst) == 0
    }

    fn error(&self, kind: Kind) -> StoreError {
        StoreError::new(kind, "use", self.store.uri(""), "injected fault")
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(self.error(Kind::Other));
        }
        Ok(())
    }

    async fn write<T>(
        &self,
        publishing: bool,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.alive()?;
        if self.counted == Counted::Publishing && !publishing {
            return effect.await;
        }
        let before = self
            .countdown
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                count.checked_sub(1)
            });
        if before != Ok(1) {
            return effect.await;
        }
        match self.fault {
            Fault::CrashBefore => self.dead.store(true, Ordering::SeqCst),
            Fault::CrashAfter => {
                effect.await?;
                self.dead.store(true, Ordering::SeqCst);
            }
            Fault::AfterEffect(kind) => {
                effect.await?;
                return Err(self.error(kind));
            }
            Fault::WithoutEffect(kind) => return Err(self.error(kind)),
        }
        Err(self.error(Kind::Other))
    }
}

#[async_trait]
impl Store for FaultStore {
    fn uri(&self, key: &str) -> String {
        self.store.uri(key)
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        self.alive()?;
        self.store.head(key, pin).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError> {
        self.alive()?;
        self.store.list(prefix, page).await
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        self.alive()?;
        self.store.get(key, pin, range).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        self.write(true, self.store.put(key, body, attributes, condition))
            .await
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        self.write(false, self.store.begin_upload(key, attributes))
            .await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        self.write(false, self.store.put_part(key, upload, slot, body))
            .await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let complete = self
            .store
            .complete_upload(key, upload, parts, crc64, condition);
        self.write(true, complete).await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError> {
        self.write(false, self.store.abort_upload(key, upload))
            .await
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        self.alive()?;
        self.store.uploads(key).await
    }
}
