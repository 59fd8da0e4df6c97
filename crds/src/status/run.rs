//! Runs: the present one and those before it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OutputStatus, Statistics};
use crate::spec::{optional_time, time};

/// One run: a conversion of one frozen plan.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Number within the EtlJob, from 1.
    pub number: u32,
    /// The runId that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Hash of the fields that define the work.
    pub work_hash: String,
    /// Newest generation of the spec that asks for this work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// What it reads; the spec may ask for other work by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_uri: Option<String>,
    /// Where it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_uri: Option<String>,
    /// When the run began; the date in output keys.
    #[schemars(schema_with = "time")]
    pub start_time: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub completion_time: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RunOutcome>,
    /// When it is given up, by execution.deadlineSeconds; none while it is
    /// suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub deadline_time: Option<Timestamp>,
    /// From when deadlineSeconds count, if not from its start: later by each
    /// time that it was suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub deadline_base: Option<Timestamp>,
    /// Since when it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub suspended_time: Option<Timestamp>,
    /// Worker image, frozen for the run.
    pub worker_image: String,
    /// Number of shards, frozen for the run.
    pub shards: u32,
    /// Charged failures.
    #[serde(default)]
    pub failures: u32,
    /// Attempts that were not charged: suspends, disruptions and look-ups.
    #[serde(default)]
    pub free_attempts: u32,
    /// The last attempt ended without a word, so that the output may be complete
    /// all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreported: bool,
    /// Memory limit of its attempts in bytes, raised after an OutOfMemory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The end of the run is being looked up: a worker vanished that may have
    /// committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
}

/// How a run ended.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOutcome {
    /// Complete or a failure category.
    pub result: String,
    /// Reason of the conditions.
    pub reason: String,
    /// Message of the conditions.
    pub message: String,
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
    /// What it read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_uri: Option<String>,
    /// Where it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_uri: Option<String>,
    /// Its totals, if it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// Where its result is, if it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputStatus>,
    /// Ordinal of its last attempt.
    pub attempt: u32,
    /// Revision at its end: its row in the ledger changes no more.
    pub revision: i64,
}
