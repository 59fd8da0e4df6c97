//! Task records: what a task read and wrote, once and for all.

use serde::{Deserialize, Serialize};

/// Folder of the records below the control prefix.
pub const FOLDER: &str = "tasks/";

/// One finished task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRecord {
    /// Number of the task.
    pub task: usize,
    /// Its outputs, in the order of the task's inputs.
    pub outputs: Vec<OutputRecord>,
}

/// One converted object.
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
}

/// Name of a task's record below the control prefix.
pub fn name(task: usize) -> String {
    format!("{FOLDER}{task}")
}
