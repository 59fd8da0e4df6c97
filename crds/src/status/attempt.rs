//! Attempts: the open one and those before it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{optional_time, time};

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
    /// The spec says cancel.
    Cancelled,
    /// The spec asks for other work.
    NewerRun,
    /// The run took longer than deadlineSeconds.
    RunDeadlineExceeded,
    /// The spec says suspend.
    Suspended,
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
    /// When its first pod was seen running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub running_time: Option<Timestamp>,
    /// Its pods had run before its Job was suspended again, as a queue does that
    /// preempts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preempted: bool,
    /// When it was closed.
    #[schemars(schema_with = "time")]
    pub end_time: Timestamp,
    /// Complete, a failure category, or why it says nothing of the run:
    /// Suspended, Replaced, ReportLost, LookUpFailed, NoManifest, NotTried,
    /// NameTaken.
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
