//! `EtlJob`, the Kubernetes API of etl-operator.
//!
//! Types only: what a field means to the operator is decided in `etl-core`.
//! The schema holds exactly what works; a field that would be accepted and
//! ignored is a defect. `crds/etljobs.yaml` is generated from here.
//!
//! ```
//! let crd = etl_api::etljob_crd();
//! assert_eq!(crd.metadata.name.as_deref(), Some("etljobs.etl-operator.io"));
//! ```

mod crd;
pub mod labels;
#[cfg(test)]
mod rules;
mod spec;
mod status;

pub use crd::{etljob_crd, etljob_crd_yaml};
pub use etl_contract::{
    Binary, ColumnType, Compression, Decimals, Format, Int64, JsonOptions, LocalTimestamps,
    NonFinite, Nulls, OnExisting, OnExtraColumn, OnInvalidObject, OnInvalidRecord, OnMissingColumn,
    Timestamps,
};
pub use spec::{
    Backoff, EtlJob, EtlJobSpec, Execution, MemoryGrowth, Output, ResourceList, Resources,
    RetryAction, RetryPolicy, RetryRule, Schema, SchemaColumn, Source, Transform, Worker,
};
pub use status::{
    Attempt, AttemptRecord, ConditionType, Ending, EndingReason, EtlJobStatus, LastFailure,
    OutputStatus, Phase, Run, RunOutcome, RunRecord, Settle, SettleReason, SkippedObject,
    Statistics, Summary,
};

/// API group of all kinds.
pub const GROUP: &str = "etl-operator.io";
