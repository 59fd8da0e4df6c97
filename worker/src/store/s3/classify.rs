//! From the SDK's errors to [`Kind`].

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::store::error::root_cause;
use crate::store::{Kind, StoreError};

/// Header by which S3 names the region of a bucket that is elsewhere.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// Whether a request whose answer is missing may have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A read, or a write that may be repeated blindly.
    None,
    /// A write that must be looked up.
    Write,
}

/// Sorts a failed request and says which it was.
pub(super) fn classify<E>(
    error: SdkError<E>,
    effect: Effect,
    operation: &'static str,
    uri: String,
) -> StoreError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let lost = match effect {
        Effect::None => Kind::Unavailable,
        Effect::Write => Kind::Unknown,
    };
    let (kind, detail) = match &error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let (code, message) = (context.err().code(), context.err().message());
            let kind = by_code(code, message, status, lost);
            let detail = describe(code, message, status);
            match context.raw().headers().get(BUCKET_REGION) {
                Some(region) if kind == Kind::WrongRegion => {
                    (kind, format!("{detail} (it is in {region})"))
                }
                _ => (kind, detail),
            }
        }
        SdkError::TimeoutError(_) => (lost, "no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) => {
            let kind = if failure.is_user() { Kind::Other } else { lost };
            (
                kind,
                format!("the store cannot be reached: {}", root_cause(&error)),
            )
        }
        SdkError::ResponseError(_) => (
            lost,
            format!("the answer cannot be understood: {}", root_cause(&error)),
        ),
        SdkError::ConstructionFailure(_) => (Kind::Other, root_cause(&error)),
        // The SDK's enum is open; anything new says nothing about the effect.
        other => (lost, root_cause(other)),
    };
    StoreError::new(kind, operation, uri, detail).with_source(error)
}

/// `AccessDenied: Access Denied`, or the status where the answer had no body.
fn describe(code: Option<&str>, message: Option<&str>, status: u16) -> String {
    match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => match status {
            301 => "the bucket is in another region".to_owned(),
            403 => "access denied".to_owned(),
            404 => "there is no such object".to_owned(),
            412 => "the object is not the expected one".to_owned(),
            status => format!("status {status}"),
        },
    }
}

fn by_code(code: Option<&str>, message: Option<&str>, status: u16, lost: Kind) -> Kind {
    match code {
        Some("NoSuchBucket") => Kind::NoBucket,
        Some("NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" | "NotFound") => Kind::NotFound,
        Some("PreconditionFailed") => Kind::PreconditionFailed,
        Some("InvalidObjectState") => Kind::Archived,
        Some("PermanentRedirect" | "IllegalLocationConstraintException") => Kind::WrongRegion,
        // Said of a signature for another region, and of one without a key.
        Some("AuthorizationHeaderMalformed") => match message {
            Some(message) if message.contains("region") => Kind::WrongRegion,
            _ => Kind::AccessDenied,
        },
        Some("InvalidStorageClass" | "InvalidTag") => Kind::BadAttribute,
        Some("ConditionalRequestConflict" | "OperationAborted") => Kind::Conflict,
        Some(
            "AccessDenied"
            | "AccountProblem"
            | "AllAccessDisabled"
            | "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidSecurity"
            | "InvalidToken"
            | "NotSignedUp"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired"
            | "UnauthorizedAccess"
            | "KMS.DisabledException"
            | "KMS.AccessDeniedException",
        ) => Kind::AccessDenied,
        Some(
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded",
        ) => Kind::Throttled,
        Some("NotImplemented" | "KMS.NotFoundException") => Kind::Unsupported,
        Some("ServiceUnavailable" | "InternalError") => lost,
        _ => by_status(status, lost),
    }
}

fn by_status(status: u16, lost: Kind) -> Kind {
    match status {
        301 => Kind::WrongRegion,
        401 | 403 => Kind::AccessDenied,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        412 => Kind::PreconditionFailed,
        429 => Kind::Throttled,
        // The answer to a HEAD has no body to say which 503 it is. Of a read both
        // mean to come again later.
        503 if lost == Kind::Unavailable => Kind::Throttled,
        501 => Kind::Unsupported,
        // 200 is a CompleteMultipartUpload that failed after its headers were
        // sent; a server error may come after the effect as well.
        200 | 408 | 500.. => lost,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_before_the_status() {
        for (code, status, kind) in [
            (Some("NoSuchBucket"), 404, Kind::NoBucket),
            (Some("NoSuchKey"), 404, Kind::NotFound),
            (Some("NoSuchUpload"), 404, Kind::NotFound),
            (Some("PreconditionFailed"), 412, Kind::PreconditionFailed),
            (Some("ConditionalRequestConflict"), 409, Kind::Conflict),
            (Some("InvalidAccessKeyId"), 403, Kind::AccessDenied),
            (Some("ExpiredToken"), 400, Kind::AccessDenied),
            (Some("SlowDown"), 503, Kind::Throttled),
            (Some("NotImplemented"), 501, Kind::Unsupported),
            (Some("KMS.NotFoundException"), 400, Kind::Unsupported),
            (Some("InvalidObjectState"), 403, Kind::Archived),
            (Some("PermanentRedirect"), 301, Kind::WrongRegion),
            (
                Some("IllegalLocationConstraintException"),
                400,
                Kind::WrongRegion,
            ),
            (Some("InvalidStorageClass"), 400, Kind::BadAttribute),
            (Some("InvalidTag"), 400, Kind::BadAttribute),
            (Some("InvalidArgument"), 400, Kind::Other),
            (None, 301, Kind::WrongRegion),
            (None, 404, Kind::NotFound),
            (None, 403, Kind::AccessDenied),
            (None, 412, Kind::PreconditionFailed),
        ] {
            assert_eq!(
                by_code(code, None, status, Kind::Unknown),
                kind,
                "{code:?} {status}"
            );
        }
    }

    #[test]
    fn a_malformed_signature_is_one_for_another_region_or_none_at_all() {
        let region = "the region 'us-east-1' is wrong; expecting 'eu-west-1'";
        let key = "a non-empty Access Key (AKID) must be provided in the credential";
        for (message, kind) in [(region, Kind::WrongRegion), (key, Kind::AccessDenied)] {
            let code = Some("AuthorizationHeaderMalformed");
            assert_eq!(by_code(code, Some(message), 400, Kind::Unknown), kind);
        }
    }

    #[test]
    fn a_server_error_on_a_write_leaves_its_effect_open() {
        assert_eq!(
            by_code(Some("InternalError"), None, 500, Kind::Unknown),
            Kind::Unknown
        );
        assert_eq!(
            by_code(Some("InternalError"), None, 200, Kind::Unknown),
            Kind::Unknown
        );
        assert_eq!(by_code(None, None, 503, Kind::Unknown), Kind::Unknown);
        assert_eq!(
            by_code(Some("ServiceUnavailable"), None, 503, Kind::Unavailable),
            Kind::Unavailable
        );
        assert_eq!(by_code(None, None, 503, Kind::Unavailable), Kind::Throttled);
    }
}
