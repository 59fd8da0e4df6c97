//! Amazon S3 and what speaks its protocol.
//!
//! Requests are repeated at three levels, each for what the one below cannot
//! see: the SDK repeats a request that fails (module `connect`), a read goes on
//! where its body broke off or comes a second time when it is late (`read`,
//! `hedge`), and a store that asks to slow down is given a minute (`patience`).

mod classify;
mod connect;
mod convert;
mod hedge;
mod look;
mod patience;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use bytes::Bytes;
use etl_contract::Storage;

use super::{
    Attributes, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store, StoreError,
    UploadId,
};
use hedge::Recent;
use patience::patiently;

/// A bucket below a prefix.
#[derive(Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    prefix: String,
    expected_owner: Option<String>,
    /// Whether TLS protects bodies, so that their hash need not be signed.
    encrypted_line: bool,
    bucket_seen: AtomicBool,
    /// How reads have gone lately.
    recent: Recent,
    /// How parts have gone lately.
    parts: Recent,
}

impl S3Store {
    /// A store with the credentials and the region of the environment; fails at
    /// once if there are none.
    pub async fn connect(
        bucket: &str,
        prefix: &str,
        storage: &Storage,
    ) -> Result<Self, StoreError> {
        let client = connect::client(bucket, storage).await?;
        Ok(S3Store::new(client, bucket, prefix, storage))
    }

    /// A store with these credentials.
    pub fn with_credentials(
        credentials: SharedCredentialsProvider,
        bucket: &str,
        prefix: &str,
        storage: &Storage,
    ) -> Self {
        let client = connect::client_with_credentials(credentials, storage);
        S3Store::new(client, bucket, prefix, storage)
    }

    /// A store over a client that is already configured.
    pub fn with_client(
        client: Client,
        bucket: &str,
        prefix: &str,
        expected_owner: Option<String>,
    ) -> Self {
        let storage = Storage {
            expected_bucket_owner: expected_owner,
            ..Storage::default()
        };
        S3Store {
            // Nothing is known of the line.
            encrypted_line: false,
            ..S3Store::new(client, bucket, prefix, &storage)
        }
    }

    fn new(client: Client, bucket: &str, prefix: &str, storage: &Storage) -> Self {
        let endpoint = storage.endpoint_url.as_deref();
        S3Store {
            client,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            expected_owner: storage.expected_bucket_owner.clone(),
            encrypted_line: endpoint.is_none_or(|endpoint| endpoint.starts_with("https://")),
            bucket_seen: AtomicBool::new(false),
            recent: Recent::new(),
            parts: Recent::new(),
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

#[async_trait]
impl Store for S3Store {
    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        patiently(|| self.look_at(key, pin)).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError> {
        patiently(|| self.list_page(prefix, page)).await
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        self.read(key, pin, range).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        patiently(|| self.put_object(key, body.clone(), attributes, condition)).await
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        patiently(|| self.create_upload(key, attributes)).await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        patiently(|| self.upload_part(key, upload, slot, body.clone())).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        patiently(|| self.end_upload(key, upload, parts, crc64, condition)).await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError> {
        patiently(|| self.forget_upload(key, upload)).await
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        patiently(|| self.pending_uploads(key)).await
    }
}
