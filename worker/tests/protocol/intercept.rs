//! A store that does something of the test's own before a request.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use etl_worker::store::{
    Attributes, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store, StoreError,
    UploadId,
};
use futures::future::BoxFuture;

/// A request that a test can get in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A read of this key.
    Get(&'a str),
    /// A write of this key by one request.
    Put(&'a str),
    /// The part of this number.
    Part(u32),
}

type Hook = Arc<dyn Fn(Request<'_>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Runs a hook before reads and writes, and passes everything on.
pub struct Intercepted {
    store: Arc<dyn Store>,
    hook: Hook,
}

impl Intercepted {
    pub fn new(
        store: Arc<dyn Store>,
        hook: impl Fn(Request<'_>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Intercepted {
            store,
            hook: Arc::new(hook),
        }
    }
}

impl fmt::Debug for Intercepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl Store for Intercepted {
    fn uri(&self, key: &str) -> String {
        self.store.uri(key)
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        self.store.head(key, pin).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError> {
        self.store.list(prefix, page).await
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        (self.hook)(Request::Get(key)).await;
        self.store.get(key, pin, range).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        (self.hook)(Request::Put(key)).await;
        self.store.put(key, body, attributes, condition).await
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        self.store.begin_upload(key, attributes).await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        (self.hook)(Request::Part(slot.number)).await;
        self.store.put_part(key, upload, slot, body).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        self.store
            .complete_upload(key, upload, parts, crc64, condition)
            .await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError> {
        self.store.abort_upload(key, upload).await
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        self.store.uploads(key).await
    }
}
