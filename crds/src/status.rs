//! The status of an EtlJob. Written by the operator alone.
//!
//! Reasons and categories are plain strings here, so that an older operator
//! can read what a newer one wrote; `etl-core` gives them types.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{optional_time, time};

/// What is known of an EtlJob. At most 8 KiB.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.run) || !has(oldSelf.run.completionTime) || (has(self.run) && (self.run.number > oldSelf.run.number || (has(self.run.completionTime) && self.run.completionTime == oldSelf.run.completionTime)))").message("a finished run stays finished"))]
pub struct EtlJobStatus {
    /// Generation of the spec that this status answers to; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for people; derived, never read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Complete and Failed as batch/v1 has them, Reconciling and Stalled as
    /// kstatus reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The present run, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The open attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// When the next attempt starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub next_attempt_time: Option<Timestamp>,
    /// The last ten closed attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub attempts: Vec<AttemptRecord>,
    /// The last five closed runs before the present one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub runs: Vec<RunRecord>,
    /// Why the last attempt failed, or what is wrong with the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// Totals of the complete run; none if its report was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// The first five of the source objects that the complete run left out; all
    /// of them stand in the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub skipped_objects: Vec<SkippedObject>,
    /// Where the result is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputStatus>,
    /// Texts of the printed columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Grows with every change; the ledger's row carries the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
}

/// One word for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Accepted, no pod runs yet.
    Pending,
    /// A pod runs.
    Running,
    /// An attempt failed, the next one waits for its time.
    Retrying,
    /// The output is complete.
    Complete,
    /// Given up; see lastFailure.
    Failed,
}

/// Types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The run ended with a complete output.
    Complete,
    /// The run ended without.
    Failed,
    /// Work is under way (kstatus).
    Reconciling,
    /// Nothing more happens without a change by somebody (kstatus).
    Stalled,
}

impl ConditionType {
    /// As it stands in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConditionType::Complete => "Complete",
            ConditionType::Failed => "Failed",
            ConditionType::Reconciling => "Reconciling",
            ConditionType::Stalled => "Stalled",
        }
    }
}

/// One run: a conversion of one frozen plan.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Number within the EtlJob, from 1.
    pub number: u32,
    /// Hash of the fields that define the work.
    pub work_hash: String,
    /// When the run began; the date in output keys.
    #[schemars(schema_with = "time")]
    pub start_time: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub completion_time: Option<Timestamp>,
    /// Worker image, frozen for the run.
    pub worker_image: String,
    /// Number of shards, frozen for the run.
    pub shards: u32,
    /// Charged failures.
    #[serde(default)]
    pub failures: u32,
    /// Attempts that were not charged: disruptions and look-ups.
    #[serde(default)]
    pub free_attempts: u32,
    /// The end of the run is being looked up: a worker vanished that may have
    /// committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
}

/// What a look-up has to settle.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settle {
    /// Why it is looked up.
    pub reason: SettleReason,
    /// Look-ups that failed themselves.
    pub tries: u32,
}

/// Why the end of a run is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SettleReason {
    /// The Job succeeded, but no pod is left to tell the totals.
    ReportLost,
    /// The last attempt that the resource allows ended without a word.
    LastAttemptLost,
}

/// The open attempt: intended, running or being ended.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Ordinal within the EtlJob, never reused.
    pub number: u32,
    /// Name of its Job.
    pub job_name: String,
    /// Uid of its Job, recorded once a pod runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// When the attempt was decided.
    #[schemars(schema_with = "time")]
    pub start_time: Timestamp,
    /// When its first pod was seen running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub running_time: Option<Timestamp>,
    /// Only looks up how the run ended, converts nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settle: bool,
    /// Why the operator ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// Why the operator ends an attempt.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// The reason, which becomes the attempt's category.
    pub reason: EndingReason,
    /// What was seen, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when.
    #[schemars(schema_with = "time")]
    pub since: Timestamp,
}

/// Reasons to end an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EndingReason {
    /// Ran past activeDeadlineSeconds.
    DeadlineExceeded,
    /// No pod started within startDeadlineSeconds.
    StartTimeout,
    /// Its pods were disrupted too often.
    Disrupted,
    /// Its Job was deleted by somebody else.
    WorkerLost,
}

/// A closed attempt.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    /// Ordinal within the EtlJob.
    pub number: u32,
    /// Run it belonged to.
    pub run: u32,
    /// When it was decided.
    #[schemars(schema_with = "time")]
    pub start_time: Timestamp,
    /// When it was closed.
    #[schemars(schema_with = "time")]
    pub end_time: Timestamp,
    /// Complete, a failure category, or ReportLost.
    pub result: String,
    /// Whether it counts towards maxAttempts.
    pub charged: bool,
    /// What happened, shortened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Delay decided on its end, in seconds, before the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_seconds: Option<u32>,
}

/// A closed run that another one followed.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Number within the EtlJob.
    pub number: u32,
    /// When it began.
    #[schemars(schema_with = "time")]
    pub start_time: Timestamp,
    /// When it ended.
    #[schemars(schema_with = "time")]
    pub completion_time: Timestamp,
    /// Complete or a failure category.
    pub result: String,
    /// What happened, shortened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Ordinal of its last attempt.
    pub attempt: u32,
    /// Revision at its end: its row in the ledger changes no more.
    pub revision: i64,
}

/// Why an attempt failed.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// Class of the failure; see the documentation's list.
    pub category: String,
    /// Whether it ended the run, and by which rule: RetriesExhausted,
    /// NotRetryable, or Retrying.
    pub reason: String,
    /// What is wrong, and with what.
    pub message: String,
    /// Exit code of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Shard that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// Object it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Totals of a complete run.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Statistics {
    /// Source objects read.
    pub source_objects: i64,
    /// Their size in bytes.
    pub source_bytes: i64,
    /// Rows read.
    pub rows_read: i64,
    /// Rows written.
    pub rows_written: i64,
    /// Rows that the schema rejected: read, but not written.
    pub rows_rejected: i64,
    /// Source objects that were left out as invalid.
    pub objects_skipped: i64,
    /// Output objects.
    pub output_objects: i64,
    /// Their size in bytes, as stored.
    pub output_bytes: i64,
}

/// A source object that was left out.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedObject {
    /// Its URI.
    pub uri: String,
    /// Class of what is wrong with it.
    pub category: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Where the result is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutputStatus {
    /// URI of the manifest, which lists every output object with its digest.
    pub manifest_uri: String,
    /// URI of the first output object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_object_uri: Option<String>,
}

/// Texts of the printed columns.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Attempt that counts, of maxAttempts. Example: 2/5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Length of the finished run. Example: 1m4s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}
