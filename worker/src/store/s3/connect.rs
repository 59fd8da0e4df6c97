//! The S3 client: credentials, endpoint, timeouts, retries.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ProvideCredentials, StalledStreamProtectionConfig};
use etl_contract::Storage;

use crate::store::error::root_cause;
use crate::store::{Kind, StoreError};

/// A request is tried four times: once, and three times again with growing,
/// jittered delays.
const ATTEMPTS: u32 = 4;

/// Region of stores that have none, which the signature nevertheless names.
const REGION_WITH_ENDPOINT: &str = "us-east-1";

/// A client as the installation wants it; `bucket` is only for messages.
pub(super) async fn client(bucket: &str, storage: &Storage) -> Result<Client, StoreError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region(storage) {
        loader = loader.region(Region::new(region));
    }
    let shared = loader.load().await;
    let uri = || format!("s3://{bucket}");
    // Asked for now, because the SDK reports missing credentials like a broken
    // connection, once per request and after all its retries.
    if let Some(provider) = shared.credentials_provider() {
        provider.provide_credentials().await.map_err(|error| {
            let detail = format!("there are no AWS credentials: {}", root_cause(&error));
            StoreError::new(Kind::AccessDenied, "open", uri(), detail).with_source(error)
        })?;
    }
    if shared.region().is_none() {
        return Err(StoreError::new(
            Kind::Other,
            "open",
            uri(),
            "no AWS region is configured: set it at installation, or AWS_REGION",
        ));
    }
    let mut config = Builder::from(&shared)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(Duration::from_millis(500))
                .with_max_backoff(Duration::from_secs(10)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .read_timeout(Duration::from_secs(60))
                .build(),
        )
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .grace_period(Duration::from_secs(20))
                .build(),
        );
    if let Some(endpoint) = &storage.endpoint_url {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Ok(Client::from_conf(config.build()))
}

fn region(storage: &Storage) -> Option<String> {
    let configured = storage.region.clone().filter(|region| !region.is_empty());
    configured.or_else(|| {
        let unset = std::env::var_os("AWS_REGION").is_none()
            && std::env::var_os("AWS_DEFAULT_REGION").is_none();
        (storage.endpoint_url.is_some() && unset).then(|| REGION_WITH_ENDPOINT.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_region_wins_over_the_fallback() {
        let storage = Storage {
            endpoint_url: Some("http://127.0.0.1:1".into()),
            region: Some("eu-central-1".into()),
            ..Storage::default()
        };
        assert_eq!(region(&storage).as_deref(), Some("eu-central-1"));
    }
}
