//! Task records: what became of a task's inputs, once and for all.

use etl_contract::Category;
use serde::{Deserialize, Serialize};

/// Folder of the records below the control prefix.
pub const FOLDER: &str = "tasks/";

/// One finished task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRecord {
    /// Number of the task.
    pub task: usize,
    /// What became of its inputs, in their order.
    pub results: Vec<InputRecord>,
}

/// What became of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum InputRecord {
    /// It was converted.
    Written(OutputRecord),
    /// It was left out.
    Skipped(SkipRecord),
}

/// One converted input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputRecord {
    /// Key of the source object.
    pub source: String,
    /// Etag of what was read.
    pub source_etag: String,
    /// Key of the output.
    pub key: String,
    /// Etag of the output when it was written.
    pub etag: String,
    /// Size of the output in bytes.
    pub bytes: u64,
    /// Digest of everything that determines the output's content; stands in
    /// its metadata.
    pub digest: String,
    /// CRC-64/NVME of the output's content, 16 hexadecimal digits.
    pub crc64: String,
    /// Rows that the source object states.
    pub rows_read: u64,
    /// Rows of the output.
    pub rows_written: u64,
    /// Rows that were left out.
    #[serde(default)]
    pub rows_rejected: u64,
    /// Where they are kept, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineRecord>,
}

/// The rows of one input that were left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineRecord {
    /// Key below the output prefix.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// CRC-64/NVME of the content, 16 hexadecimal digits.
    pub crc64: String,
}

/// One input that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkipRecord {
    /// Key of the source object.
    pub source: String,
    /// Etag of what was read.
    pub source_etag: String,
    /// Key that the output would have had.
    pub key: String,
    /// Class of the failure.
    pub category: Category,
    /// What is wrong with the object.
    pub reason: String,
}

impl InputRecord {
    /// Key and etag of the source object, and key of the output.
    pub fn identity(&self) -> (&str, &str, &str) {
        match self {
            InputRecord::Written(record) => (&record.source, &record.source_etag, &record.key),
            InputRecord::Skipped(record) => (&record.source, &record.source_etag, &record.key),
        }
    }

    /// Rows written.
    pub fn rows_written(&self) -> u64 {
        match self {
            InputRecord::Written(record) => record.rows_written,
            InputRecord::Skipped(_) => 0,
        }
    }
}

/// Name of what keeps the rows of a task's input `index` that were left out,
/// below the control prefix.
pub fn quarantine_name(task: usize, index: usize) -> String {
    format!("quarantine/{task}/{index}")
}

/// Name of a task's record below the control prefix.
pub fn name(task: usize) -> String {
    format!("{FOLDER}{task}")
}
