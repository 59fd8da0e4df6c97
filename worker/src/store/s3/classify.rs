//! From the SDK's errors to [`Kind`].

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::store::error::root_cause;
use crate::store::{Kind, StoreError};

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
            let code = context.err().code();
            (
                by_code(code, status, lost),
                describe(code, context.err().message(), status),
            )
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
            403 => "access denied".to_owned(),
            404 => "there is no such object".to_owned(),
            412 => "the object is not the expected one".to_owned(),
            status => format!("status {status}"),
        },
    }
}

fn by_code(code: Option<&str>, status: u16, lost: Kind) -> Kind {
    match code {
        Some("NoSuchBucket") => Kind::NoBucket,
        Some("NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" | "NotFound") => Kind::NotFound,
        Some("PreconditionFailed") => Kind::PreconditionFailed,
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
        Some("NotImplemented") => Kind::Unsupported,
        _ => by_status(status, lost),
    }
}

fn by_status(status: u16, lost: Kind) -> Kind {
    match status {
        401 | 403 => Kind::AccessDenied,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        412 => Kind::PreconditionFailed,
        429 => Kind::Throttled,
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
            (Some("InvalidArgument"), 400, Kind::Other),
            (None, 404, Kind::NotFound),
            (None, 403, Kind::AccessDenied),
            (None, 412, Kind::PreconditionFailed),
        ] {
            assert_eq!(
                by_code(code, status, Kind::Unknown),
                kind,
                "{code:?} {status}"
            );
        }
    }

    #[test]
    fn a_server_error_on_a_write_leaves_its_effect_open() {
        assert_eq!(
            by_code(Some("InternalError"), 500, Kind::Unknown),
            Kind::Unknown
        );
        assert_eq!(
            by_code(Some("InternalError"), 200, Kind::Unknown),
            Kind::Unknown
        );
        assert_eq!(
            by_code(Some("ServiceUnavailable"), 503, Kind::Unavailable),
            Kind::Unavailable
        );
    }
}
