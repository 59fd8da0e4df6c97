//! What can go wrong with a store, reduced to what callers decide on.

use std::error::Error as StdError;
use std::fmt;

use crate::gate::Stop;

/// Class of a store failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No such object, version or upload.
    NotFound,
    /// The bucket or folder itself is missing.
    NoBucket,
    /// The precondition did not hold: nothing was written, at least by this
    /// request (an earlier try of it may have succeeded unnoticed).
    PreconditionFailed,
    /// A racing write got in the way: nothing was written, try again.
    Conflict,
    /// Credentials or policy forbid the request.
    AccessDenied,
    /// The store asked to slow down.
    Throttled,
    /// The request did not take effect: no connection, server error on a read.
    Unavailable,
    /// A write may or may not have taken effect: look before deciding.
    Unknown,
    /// The store does not offer what was asked (versions, conditional writes, a
    /// key to encrypt with).
    Unsupported,
    /// The object is in an archive and has to be restored before it is read.
    Archived,
    /// The bucket is in another region than the client is set to, if it is set to
    /// one at all.
    WrongRegion,
    /// The store does not know the storage class, or takes none of these tags.
    BadAttribute,
    /// This process may no longer use the store.
    Stopped(Stop),
    /// Anything else.
    Other,
}

impl Kind {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(self) -> bool {
        match self {
            Kind::Conflict | Kind::Throttled | Kind::Unavailable | Kind::Unknown => true,
            Kind::NotFound
            | Kind::NoBucket
            | Kind::PreconditionFailed
            | Kind::AccessDenied
            | Kind::Unsupported
            | Kind::Archived
            | Kind::WrongRegion
            | Kind::BadAttribute
            | Kind::Stopped(_)
            | Kind::Other => false,
        }
    }
}

/// A request to a store that failed.
///
/// Its text is the same whenever the same thing goes wrong: it ends up in the
/// status of a resource, where every change is an update. So it holds no request
/// ids and no times; those are in the [source](StdError::source).
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    operation: &'static str,
    uri: String,
    detail: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// A failure of `operation` on the object at `uri`; `detail` says what the
    /// store said.
    pub fn new(
        kind: Kind,
        operation: &'static str,
        uri: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        StoreError {
            kind,
            operation,
            uri: uri.into(),
            detail: detail.into(),
            source: None,
        }
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Class of the failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The object, or the bucket or folder, that it is about.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// The innermost cause of an error: what the layers above it have lost.
pub(super) fn root_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.uri, self.detail)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
