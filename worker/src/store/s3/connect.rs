//! The S3 client: credentials, endpoint, timeouts, retries.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ProvideCredentials, StalledStreamProtectionConfig};
use aws_sdk_s3::error::ErrorMetadata;
use etl_contract::Storage;

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
        provider
            .provide_credentials()
            .await
            .map_err(|error| without_credentials(error, uri()))?;
    }
    if shared.region().is_none() {
        return Err(StoreError::new(
            Kind::WrongRegion,
            "open",
            uri(),
            "no AWS region is configured",
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

/// Words of the security token service for "no", as opposed to "not now".
const REFUSALS: [&str; 5] = [
    "AccessDenied",
    "ExpiredToken",
    "IDPRejectedClaim",
    "InvalidIdentityToken",
    "RegionDisabled",
];

fn without_credentials(error: CredentialsError, uri: String) -> StoreError {
    let (reason, refused) = reason(&error);
    let missing = matches!(
        error,
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
    );
    let (kind, detail) = if missing {
        (Kind::AccessDenied, "there are no AWS credentials")
    } else if refused {
        (Kind::AccessDenied, "no AWS credentials are given out")
    } else {
        // A timeout or an error of whoever gives them out says nothing about
        // the right to have them.
        (Kind::Unavailable, "the AWS credentials cannot be loaded")
    };
    StoreError::new(kind, "open", uri, format!("{detail}: {reason}")).with_source(error)
}

/// The innermost reason, without request ids, and whether it is a refusal.
fn reason(error: &CredentialsError) -> (String, bool) {
    let mut refused = false;
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut innermost = String::new();
    while let Some(inner) = cause {
        let text = match inner.downcast_ref::<ErrorMetadata>() {
            Some(metadata) => [metadata.code(), metadata.message()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(": "),
            None => inner.to_string(),
        };
        refused |= REFUSALS.iter().any(|word| text.contains(word));
        innermost = text;
        cause = inner.source();
    }
    (innermost, refused)
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
    fn only_missing_or_refused_credentials_are_a_matter_of_access() {
        let service = |code: &str, message: &str| {
            let metadata = ErrorMetadata::builder()
                .code(code)
                .message(message)
                .custom("aws_request_id", "7")
                .build();
            CredentialsError::provider_error(metadata)
        };
        for (error, kind, detail) in [
            (
                CredentialsError::not_loaded("no provider has any"),
                Kind::AccessDenied,
                "there are no AWS credentials: no provider has any",
            ),
            (
                CredentialsError::invalid_configuration("no such profile"),
                Kind::AccessDenied,
                "there are no AWS credentials: no such profile",
            ),
            (
                service("AccessDenied", "not authorized to assume the role"),
                Kind::AccessDenied,
                "no AWS credentials are given out: AccessDenied: not authorized to assume the role",
            ),
            (
                service("Throttling", "rate exceeded"),
                Kind::Unavailable,
                "the AWS credentials cannot be loaded: Throttling: rate exceeded",
            ),
            (
                CredentialsError::provider_timed_out(Duration::from_secs(5)),
                Kind::Unavailable,
                "the AWS credentials cannot be loaded: ",
            ),
        ] {
            let error = without_credentials(error, "s3://b".to_owned());
            assert_eq!(error.kind(), kind, "{error}");
            let expected = format!("cannot open s3://b: {detail}");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

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
