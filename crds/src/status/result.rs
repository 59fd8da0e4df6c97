//! What came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
