//! The port to the API server: the requests that a pass makes, and the classes
//! of their failures. Decides nothing.

pub mod frugal;
pub mod kube;
pub mod request;
pub mod transport;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use etl_api::EtlJob;
use etl_core::Event;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

/// What the operator asks of a cluster.
///
/// # Guarantees
/// Every call ends within fifteen seconds, its wait for the budget included.
/// An error that is not an answer of the server leaves open whether the request
/// took effect.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Writes the status of `job`, if it still has its uid and
    /// resourceVersion (else `Conflict`); returns it as stored.
    async fn replace_status(&self, job: &EtlJob) -> Result<EtlJob, ApiError>;

    /// Deletes the EtlJob if it still has this uid; one that is gone or is
    /// another one by now is a success.
    async fn delete_etljob(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError>;

    /// Creates a Job.
    async fn create_job(&self, job: &Job) -> Result<(), ApiError>;

    /// Reads a Job live.
    async fn get_job(&self, namespace: &str, name: &str) -> Result<Option<Job>, ApiError>;

    /// Deletes a Job after its pods (Foreground) if it still has this uid; one
    /// that is gone or is another one by now is a success.
    async fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError>;

    /// Lists the pods of the Job with this uid.
    async fn pods(&self, namespace: &str, job_uid: &str) -> Result<Vec<Pod>, ApiError>;

    /// Lists the texts of warnings about the object with this uid, newest
    /// last.
    async fn warnings(&self, namespace: &str, uid: &str) -> Result<Vec<String>, ApiError>;

    /// Tells people about `job`. `key` names the event: telling it twice is
    /// telling it once.
    async fn publish(&self, job: &EtlJob, event: &Event, key: &str) -> Result<(), ApiError>;
}

/// Classes of failed requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The name is taken.
    AlreadyExists,
    /// The object has changed meanwhile, or a precondition failed.
    Conflict,
    /// There is no such object, or no such namespace.
    NotFound,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// A rule forbids it: RBAC, quota, policy.
    Forbidden,
    /// The object is invalid.
    Rejected,
    /// Too many requests.
    Throttled,
    /// The server or the way to it fails at the moment.
    Transient,
    /// It was not made: another operator may lead by now.
    NotLeading,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// Every class.
    pub const ALL: [Kind; 10] = [
        Kind::AlreadyExists,
        Kind::Conflict,
        Kind::NotFound,
        Kind::NamespaceTerminating,
        Kind::Forbidden,
        Kind::Rejected,
        Kind::Throttled,
        Kind::Transient,
        Kind::NotLeading,
        Kind::Unknown,
    ];

    /// As it stands in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::AlreadyExists => "AlreadyExists",
            Kind::Conflict => "Conflict",
            Kind::NotFound => "NotFound",
            Kind::NamespaceTerminating => "NamespaceTerminating",
            Kind::Forbidden => "Forbidden",
            Kind::Rejected => "Rejected",
            Kind::Throttled => "Throttled",
            Kind::Transient => "Transient",
            Kind::NotLeading => "NotLeading",
            Kind::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Its class.
    pub kind: Kind,
    /// The server's own words, or those of the transport.
    pub message: String,
}

impl ApiError {
    /// An error of `kind`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        ApiError {
            kind,
            message: message.into(),
        }
    }
}

/// The answer to `request`, or a failure that may pass if there is none within
/// `limit`.
pub async fn bounded<T, E: Into<ApiError>>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(ApiError::new(
            Kind::Transient,
            format!("no answer within {} s", limit.as_secs()),
        )),
    }
}

/// The whole story: a transport error hides its reason in its sources.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
