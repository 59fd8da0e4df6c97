//! What the operator and the worker say to each other, and nothing else.
//!
//! The operator hands every worker pod one [`WorkOrder`] (JSON, in the
//! environment variable [`WORK_ORDER_ENV`] or a file). The worker answers with
//! its exit code ([`Category::exit_code`]) and a [`RunReport`] of at most
//! [`REPORT_LIMIT_BYTES`] in the container's termination message. A worker
//! needs no API server and no ledger, and the operator needs no object store.

mod category;
mod choice;
mod json;
mod order;
mod report;
mod transform;

pub use category::{Action, Category};
pub use json::{
    Binary, Decimals, Int64, JsonOptions, LocalTimestamps, NonFinite, Nulls, Timestamps,
};
pub use order::{
    Compression, Encoder, Format, Job, Mode, OnExisting, OnInvalidObject, OrderError, Output, Run,
    Source, Storage, Tag, WorkOrder,
};
pub use report::{
    Failure, Outcome, OutputLocation, RunReport, SkippedObject, Statistics, truncate,
};
pub use transform::{
    ColumnType, OnExtraColumn, OnInvalidRecord, OnMissingColumn, Schema, SchemaColumn, Transform,
};

/// Version of the two documents. Both sides refuse a document of another
/// version, because a worker image is frozen for the length of a run and a
/// mismatch can only be a mistake. A new field whose default means what was so
/// before does not change the version.
pub const CONTRACT_VERSION: u32 = 1;

/// Environment variable that holds the [`WorkOrder`] as JSON.
pub const WORK_ORDER_ENV: &str = "ETL_WORK_ORDER";

/// Environment variable with the shard's number, 0-based. Kubernetes sets it in
/// the pods of an Indexed Job.
pub const SHARD_ENV: &str = "JOB_COMPLETION_INDEX";

/// Largest encoded [`RunReport`], in bytes: Kubernetes cuts the termination
/// message of a container at 4096.
pub const REPORT_LIMIT_BYTES: usize = 4096;

/// Most [`SkippedObject`]s of a report; the manifest names all.
pub const REPORTED_SKIPS: usize = 5;
