//! Requests that look at objects without reading them, and the questions that a
//! HEAD leaves open.

use std::sync::atomic::Ordering;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::ChecksumMode;

use super::S3Store;
use super::classify::{Effect, classify};
use super::convert::{self, object, pending};
use crate::store::{Kind, Object, Page, PendingUpload, Pin, Store, StoreError};

impl S3Store {
    pub(super) async fn look_at(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
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

    /// A HEAD has no body, so a missing bucket looks like a missing key. Told
    /// apart once, since only a run's first request can meet it.
    async fn missing_bucket(&self) -> Option<StoreError> {
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
    async fn spelled_out(&self, key: &str) -> Option<StoreError> {
        let range = convert::range_header(&(0..1));
        let refused = self.request(key, &Pin::default(), Some(range)).await;
        refused.err().filter(|error| error.kind() != Kind::Other)
    }

    pub(super) async fn list_page(
        &self,
        prefix: &str,
        page: Option<&str>,
    ) -> Result<Page, StoreError> {
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

    pub(super) async fn pending_uploads(
        &self,
        key: &str,
    ) -> Result<Vec<PendingUpload>, StoreError> {
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
