//! The S3 client: credentials, endpoint, timeouts, retries.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ProvideCredentials, StalledStreamProtectionConfig};
use aws_sdk_s3::error::ErrorMetadata;
use etl_contract::Storage;

use crate::store::{Kind, StoreError};

/// Times that the SDK tries a request: within a few seconds, with growing,
/// jittered pauses between.
const ATTEMPTS: u32 = 5;

/// How long one try may take, its body not counted.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a try may take whatever its body is: a bound for what the limits of
/// single requests forget.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3600);

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
    Ok(configured(Builder::from(&shared), storage))
}

/// A client with credentials that are known already.
pub(super) fn client_with_credentials(
    credentials: SharedCredentialsProvider,
    storage: &Storage,
) -> Client {
    let builder = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region(storage).map(Region::new))
        .credentials_provider(credentials);
    configured(builder, storage)
}

/// What holds for every client. The rest are the SDK's defaults, which suit:
/// HTTP/1.1 (S3 speaks nothing else), one pool of connections without a limit,
/// no delay by Nagle's algorithm.
fn configured(builder: Builder, storage: &Storage) -> Client {
    let mut config = builder
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(Duration::from_millis(400))
                .with_max_backoff(Duration::from_secs(5)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .read_timeout(ANSWER_TIMEOUT)
                .operation_attempt_timeout(REQUEST_TIMEOUT)
                .build(),
        )
        // It asks for one byte per second, and knows nothing of bodies in memory:
        // reads and parts are watched more closely by those who send them.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &storage.endpoint_url {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Client::from_conf(config.build())
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
