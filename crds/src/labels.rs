//! Labels that the operator puts on what it creates.

/// Uid of the EtlJob; selects all its Jobs and Pods.
pub const JOB_UID: &str = "etl-operator.io/job-uid";
/// Name of the EtlJob, for people: `kubectl get pods -l etl-operator.io/job=hello`.
pub const JOB: &str = "etl-operator.io/job";
/// Number of the run.
pub const RUN: &str = "etl-operator.io/run";
/// Ordinal of the attempt.
pub const ATTEMPT: &str = "etl-operator.io/attempt";
/// Queue of Kueue that holds a Job until it is admitted.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// Standard label with the value [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Who manages the object; also the field manager of status writes.
pub const MANAGER: &str = "etl-operator";
