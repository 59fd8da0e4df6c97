//! The status of an EtlJob. Written by the operator alone.
//!
//! Reasons and categories are plain strings here, so that an older operator
//! can read what a newer one wrote; `etl-core` gives them types.

mod attempt;
mod conditions;
mod result;
mod run;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::spec::optional_time;

pub use attempt::{Attempt, AttemptRecord, Ending, EndingReason};
pub use conditions::{ConditionType, Phase, Summary};
pub use result::{LastFailure, OutputStatus, SkippedObject, Statistics};
pub use run::{Run, RunOutcome, RunRecord, Settle, SettleReason};

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
    /// Complete, Failed and Suspended as batch/v1 has them, Reconciling and
    /// Stalled as kstatus reads them.
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
