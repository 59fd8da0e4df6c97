//! The specification of an EtlJob.

mod execution;
mod formats;
mod output;
mod retry;
mod schema;
mod source;
mod transform;
mod worker;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use execution::Execution;
pub(crate) use formats::{optional_time, time};
pub use output::Output;
pub use retry::{Backoff, MemoryGrowth, RetryAction, RetryPolicy, RetryRule};
pub use schema::{Schema, SchemaColumn};
pub use source::Source;
pub use transform::Transform;
pub use worker::{ResourceList, Resources, Worker};

use crate::status::EtlJobStatus;

/// One bounded conversion of parquet objects to JSON objects.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "etl-operator.io",
    version = "v1alpha1",
    kind = "EtlJob",
    plural = "etljobs",
    shortname = "ej",
    category = "etl",
    namespaced,
    status = "EtlJobStatus",
    derive = "PartialEq",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Attempt", type_ = "string", json_path = ".status.summary.attempt", description = "Charged failures plus the present attempt, of maxAttempts"),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.statistics.rowsWritten"),
    printcolumn(name = "Failure", type_ = "string", json_path = ".status.summary.failure"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextAttemptTime", description = "When the next attempt starts"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.summary.duration"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source.uri", priority = 1),
    printcolumn(name = "Output", type_ = "string", json_path = ".spec.output.uri", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must be at most 63 characters: it becomes a label"),
    doc = "EtlJob converts parquet objects to JSON objects once, with retries; status and ledger tell the result."
)]
// The same rules, callable in tests without an API server.
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct EtlJobSpec {
    /// What to read. A change asks for another run.
    pub source: Source,

    /// What to write. A change asks for another run.
    pub output: Output,

    /// Which columns to write, and columns that are added. A change asks for
    /// another run. Default: the columns of the source as they are.
    #[serde(default, skip_serializing_if = "Transform::is_default")]
    pub transform: Transform,

    /// What the columns and records of the source must satisfy. A change asks
    /// for another run. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,

    /// When to try again after a failed attempt.
    #[serde(default)]
    pub retry_policy: RetryPolicy,

    /// How many workers, and how long they may take.
    #[serde(default)]
    pub execution: Execution,

    /// The worker pods: a closed list of settings, never a pod template.
    #[serde(default)]
    pub worker: Worker,

    /// Any name: a change asks for another run of the same work. Default: none.
    /// Example: 2021-01-16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub run_id: Option<String>,

    /// While true nothing is started, and an attempt under way is ended without
    /// being charged. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// True ends the run under way as Failed with the category Cancelled, and
    /// keeps any other from being started. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,

    /// Seconds after the end of the run at which the EtlJob is deleted with its
    /// Jobs, once the ledger has the result. Default: kept. Example: 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
}
