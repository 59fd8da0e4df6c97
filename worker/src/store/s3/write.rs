//! Requests that write.

use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass,
};
use bytes::Bytes;
use tokio::time::Instant;

use super::S3Store;
use super::classify::{Effect, classify};
use super::connect::REQUEST_TIMEOUT;
use super::convert::{checksum, tagging};
use crate::store::{
    Attributes, Kind, Part, Precondition, Slot, Store, StoreError, UploadId, crc64,
};

/// Bytes per second that a body may take at least, as long as nothing is known of
/// the line.
const SLOWEST_BODY: u64 = 64 << 10;

/// How long a part may take besides a multiple of what parts usually take.
const PART_TIMEOUT: Duration = Duration::from_secs(20);

/// That multiple.
const TIMES: u32 = 4;

/// S3 puts the parts of a large object together while the client waits.
const COMPLETION: Duration = Duration::from_secs(300);

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

/// Settings of one request that may take this long, its body included. The
/// client's own limit of time to an answer stays: another one would mean another
/// pool of connections.
fn within(limit: Duration) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(limit)
        .build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}

fn time_for(body: &Bytes) -> Duration {
    REQUEST_TIMEOUT + Duration::from_secs(body.len() as u64 / SLOWEST_BODY)
}

impl S3Store {
    pub(super) async fn put_object(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let (if_match, if_none_match) = headers(condition);
        let (limit, crc) = (time_for(&body), checksum(crc64(&body)));
        let request = self
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
            .customize()
            .config_override(within(limit));
        let request = if self.encrypted_line {
            request.disable_payload_signing()
        } else {
            request
        };
        let response = request.send().await.map_err(|error| {
            let error = classify(error, Effect::Write, "write", self.uri(key));
            settle_missing(error, condition)
        })?;
        Ok(response.e_tag().unwrap_or_default().to_owned())
    }

    pub(super) async fn create_upload(
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
        let id = response.upload_id().map(|id| UploadId(id.to_owned()));
        id.ok_or_else(|| {
            let detail = "the store gave no upload id";
            StoreError::new(Kind::Other, "write", self.uri(key), detail)
        })
    }

    pub(super) async fn upload_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        let (size, crc64) = (body.len() as u64, crc64(&body));
        // The SDK's protection against stalled streams sees nothing here: a body in
        // memory is handed over at once, and is done as far as it knows.
        let usual = self.parts.usual(size);
        let limit = usual.map_or_else(|| time_for(&body), |usual| PART_TIMEOUT + usual * TIMES);
        let started = Instant::now();
        let request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(self.full(key))
            .upload_id(&upload.0)
            .part_number(slot.number.cast_signed())
            .body(ByteStream::from(body))
            .checksum_crc64_nvme(checksum(crc64))
            .set_expected_bucket_owner(self.expected_owner.clone())
            .customize()
            .config_override(within(limit));
        let request = if self.encrypted_line {
            request.disable_payload_signing()
        } else {
            request
        };
        let sent = request.send().await;
        // A failure counts too: on a line that has become slow the limit grows.
        self.parts.took(size, started.elapsed());
        // A part that is written twice is the same part.
        let response =
            sent.map_err(|error| classify(error, Effect::None, "write", self.uri(key)))?;
        let etag = response.e_tag().unwrap_or_default().to_owned();
        Ok(Part {
            number: slot.number,
            etag,
            size,
            crc64,
        })
    }

    pub(super) async fn end_upload(
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
            .customize()
            .config_override(within(COMPLETION))
            .send()
            .await
            .map_err(|error| classify(error, Effect::Write, "write", self.uri(key)))?;
        Ok(response.e_tag().unwrap_or_default().to_owned())
    }

    pub(super) async fn forget_upload(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> Result<(), StoreError> {
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
}
