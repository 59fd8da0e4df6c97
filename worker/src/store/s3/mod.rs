//! Amazon S3 and what speaks its protocol.

mod classify;
mod connect;
mod convert;
mod read;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    StorageClass,
};
use bytes::Bytes;
use etl_contract::Storage;

use super::{
    Attributes, Kind, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store,
    StoreError, UploadId, crc64,
};
use classify::{Effect, classify};
use convert::{checksum, object, pending, tagging};

/// A bucket below a prefix.
#[derive(Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    prefix: String,
    expected_owner: Option<String>,
    bucket_seen: AtomicBool,
}

impl S3Store {
    /// A client for the bucket; fails at once if there are no credentials.
    pub async fn connect(
        bucket: &str,
        prefix: &str,
        storage: &Storage,
    ) -> Result<Self, StoreError> {
        let client = connect::client(bucket, storage).await?;
        let owner = storage.expected_bucket_owner.clone();
        Ok(S3Store::with_client(client, bucket, prefix, owner))
    }

    /// A store over a client that is already configured.
    pub fn with_client(
        client: Client,
        bucket: &str,
        prefix: &str,
        expected_owner: Option<String>,
    ) -> Self {
        S3Store {
            client,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            expected_owner,
            bucket_seen: AtomicBool::new(false),
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// The two headers that a condition becomes.
fn headers(condition: &Precondition) -> (Option<String>, Option<String>) {
    match condition {
        Precondition::Any => (None, None),
        Precondition::Absent => (None, Some("*".to_owned())),
        Precondition::Match(etag) => (Some(etag.clone()), None),
    }
}

/// AWS answers 404 to `If-Match` on a missing key, others 412.
fn settle_missing(error: StoreError, condition: &Precondition) -> StoreError {
    match (error.kind(), condition) {
        (Kind::NotFound, Precondition::Match(_)) => StoreError::new(
            Kind::PreconditionFailed,
            "write",
            error.uri().to_owned(),
            "the object to be replaced is gone",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests;

#[async_trait]
impl Store for S3Store {
    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        let response = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .set_version_id(pin.version.clone())
            .set_if_match(pin.etag.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await;
        match response {
            Ok(response) => {
                self.bucket_seen.store(true, Ordering::Relaxed);
                object(key, &response).map_err(|detail| {
                    StoreError::new(Kind::Other, "look at", self.uri(key), detail)
                })
            }
            Err(error) => {
                let error = classify(error, Effect::None, "look at", self.uri(key));
                let better = match error.kind() {
                    Kind::NotFound => self.missing_bucket().await,
                    Kind::Other => self.spelled_out(key).await,
                    _ => None,
                };
                Err(better.unwrap_or(error))
            }
        }
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError> {
        let response = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.full(prefix))
            .set_continuation_token(page.map(str::to_owned))
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::None, "list", self.uri(prefix)))?;
        let objects = response
            .contents()
            .iter()
            .filter_map(|entry| convert::listed(entry, &self.prefix).transpose())
            .collect::<Result<_, _>>()
            .map_err(|detail| StoreError::new(Kind::Other, "list", self.uri(prefix), detail))?;
        let next = match (response.is_truncated(), response.next_continuation_token()) {
            (Some(true), Some(token)) => Some(token.to_owned()),
            _ => None,
        };
        Ok(Page { objects, next })
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        self.get_whole(key, pin, range.as_ref()).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let (if_match, if_none_match) = headers(condition);
        let crc = checksum(crc64(&body));
        let response = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .body(ByteStream::from(body))
            .checksum_crc64_nvme(crc)
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .set_metadata(Some(attributes.metadata.clone().into_iter().collect()))
            .set_content_type(attributes.content_type.map(str::to_owned))
            .set_storage_class(attributes.storage_class.as_deref().map(StorageClass::from))
            .set_tagging(tagging(&attributes.tags))
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| {
                settle_missing(
                    classify(error, Effect::Write, "write", self.uri(key)),
                    condition,
                )
            })?;
        Ok(response.e_tag().unwrap_or_default().to_owned())
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        let response = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full(key))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .set_metadata(Some(attributes.metadata.clone().into_iter().collect()))
            .set_content_type(attributes.content_type.map(str::to_owned))
            .set_storage_class(attributes.storage_class.as_deref().map(StorageClass::from))
            .set_tagging(tagging(&attributes.tags))
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::None, "write", self.uri(key)))?;
        response
            .upload_id()
            .map(|id| UploadId(id.to_owned()))
            .ok_or_else(|| {
                StoreError::new(
                    Kind::Other,
                    "write",
                    self.uri(key),
                    "the store gave no upload id",
                )
            })
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        let (size, crc64) = (body.len() as u64, crc64(&body));
        let response = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(self.full(key))
            .upload_id(&upload.0)
            .part_number(slot.number.cast_signed())
            .body(ByteStream::from(body))
            .checksum_crc64_nvme(checksum(crc64))
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            // A part that is written twice is the same part.
            .map_err(|error| classify(error, Effect::None, "write", self.uri(key)))?;
        let etag = response.e_tag().unwrap_or_default().to_owned();
        Ok(Part {
            number: slot.number,
            etag,
            size,
            crc64,
        })
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let (if_match, if_none_match) = headers(condition);
        let completed = parts.iter().map(|part| {
            CompletedPart::builder()
                .part_number(part.number.cast_signed())
                .e_tag(&part.etag)
                .checksum_crc64_nvme(checksum(part.crc64))
                .build()
        });
        let completed = CompletedMultipartUpload::builder()
            .set_parts(Some(completed.collect()))
            .build();
        let response = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full(key))
            .upload_id(&upload.0)
            .multipart_upload(completed)
            .checksum_type(ChecksumType::FullObject)
            .checksum_crc64_nvme(checksum(crc64))
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::Write, "write", self.uri(key)))?;
        Ok(response.e_tag().unwrap_or_default().to_owned())
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError> {
        let outcome = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full(key))
            .upload_id(&upload.0)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::None, "abort the upload of", self.uri(key)));
        match outcome {
            Err(error) if error.kind() != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        let full = self.full(key);
        let response = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(&full)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::None, "list uploads of", self.uri(key)))?;
        // One page is plenty: uploads of a key come first among those of its
        // prefix, and the rest is the bucket's lifecycle rule to clean.
        Ok(response
            .uploads()
            .iter()
            .filter_map(|upload| pending(upload, &full))
            .collect())
    }
}
