//! Reads that come back whole, and the questions that a HEAD leaves open.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;

use super::S3Store;
use super::classify::{Effect, classify};
use super::convert::range_header;
use crate::store::{Kind, Pin, Store, StoreError};

/// Tries for one read, the first included. The SDK retries requests; this
/// covers bodies that break off, which it cannot see.
const READ_TRIES: u32 = 4;

impl S3Store {
    /// A HEAD has no body, so a missing bucket looks like a missing key. Told
    /// apart once, since only a run's first request can meet it.
    pub(super) async fn missing_bucket(&self) -> Option<StoreError> {
        if self.bucket_seen.load(Ordering::Relaxed) {
            return None;
        }
        let request = self
            .client
            .head_bucket()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.expected_owner.clone());
        match request.send().await {
            Err(SdkError::ServiceError(context)) if context.raw().status().as_u16() == 404 => {
                let uri = format!("s3://{}", self.bucket);
                Some(StoreError::new(
                    Kind::NoBucket,
                    "open",
                    uri,
                    "there is no such bucket",
                ))
            }
            // Anything else, such as a policy that forbids this very request,
            // says nothing about the key that was asked for.
            _ => {
                self.bucket_seen.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// A HEAD that is refused as malformed has no body to say why; a GET of the
    /// same object has. `None` if it does not say more.
    pub(super) async fn spelled_out(&self, key: &str) -> Option<StoreError> {
        let refused = self.request(key, &Pin::default(), Some(&(0..1))).await;
        refused.err().filter(|error| error.kind() != Kind::Other)
    }

    async fn request(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<&Range<u64>>,
    ) -> Result<GetObjectOutput, StoreError> {
        self.client
            .get_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .set_version_id(pin.version.clone())
            .set_if_match(pin.etag.clone())
            .set_range(range.map(range_header))
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::None, "read", self.uri(key)))
    }

    async fn collect(
        &self,
        key: &str,
        range: Option<&Range<u64>>,
        response: GetObjectOutput,
    ) -> Result<Bytes, StoreError> {
        let expected = range.map(|range| range.end - range.start).or_else(|| {
            response
                .content_length()
                .and_then(|length| u64::try_from(length).ok())
        });
        let broken =
            |detail: String| StoreError::new(Kind::Unavailable, "read", self.uri(key), detail);
        let body = response
            .body
            .collect()
            .await
            .map_err(|error| broken("the answer broke off".into()).with_source(error))?
            .into_bytes();
        match expected {
            Some(expected) if expected != body.len() as u64 => Err(broken(format!(
                "the answer has {} bytes instead of {expected}",
                body.len()
            ))),
            _ => Ok(body),
        }
    }

    pub(super) async fn get_whole(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<&Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        if range.is_some_and(Range::is_empty) {
            return Ok(Bytes::new());
        }
        let mut delay = Duration::from_millis(100);
        let mut tries = 1;
        loop {
            let response = self.request(key, pin, range).await?;
            match self.collect(key, range, response).await {
                Err(error) if tries < READ_TRIES => {
                    tracing::warn!(%error, tries, "A read failed and is tried again.");
                    tokio::time::sleep(delay).await;
                    delay *= 4;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}
