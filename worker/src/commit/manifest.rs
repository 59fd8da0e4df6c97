//! The document that makes a run complete.

use std::collections::BTreeMap;

use etl_contract::{Category, Statistics};
use serde::{Deserialize, Serialize};

use crate::plan::RowGroups;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this document.
    pub version: u32,
    /// Whose run it is.
    pub job: ManifestJob,
    /// Number of the run.
    pub run: u32,
    /// Work hash of the run.
    pub work_hash: String,
    /// Version of the conversion engine.
    pub engine: String,
    /// What was converted.
    pub inputs: Vec<ManifestInput>,
    /// What was written; `outputs[i]` holds the rows of `inputs[i]`.
    pub outputs: Vec<ManifestOutput>,
    /// Source objects that were left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<ManifestSkipped>,
    /// Totals.
    pub totals: Statistics,
    /// Keys of objects that runs of this EtlJob wrote and that are no part of
    /// the result, although they are still there.
    pub stale: Vec<String>,
}

/// The EtlJob in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestJob {
    /// Cluster id.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// One source object in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestInput {
    /// Key below the source prefix.
    pub key: String,
    /// Version, if the source names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Etag.
    pub etag: String,
    /// Size of the whole object in bytes.
    pub size: u64,
    /// The part of the object that this line is about, if it was split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_groups: Option<RowGroups>,
    /// Rows read.
    pub rows: u64,
}

/// One output object in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestOutput {
    /// Key below the output prefix.
    pub key: String,
    /// Etag at the commit.
    pub etag: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of everything that determines the content.
    pub digest: String,
    /// CRC-64/NVME of the content, 16 hexadecimal digits.
    pub crc64: String,
    /// Rows.
    pub rows: u64,
    /// Rows of the input that were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected: u64,
    /// Where they are kept, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<ManifestQuarantine>,
}

/// The rows of one input that were left out, in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestQuarantine {
    /// Key below the output prefix.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// CRC-64/NVME of the content, 16 hexadecimal digits.
    pub crc64: String,
}

/// One source object that was left out, in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestSkipped {
    /// Key below the source prefix.
    pub key: String,
    /// Etag.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// Class of the failure that it would have been.
    pub category: Category,
    /// What is wrong with it.
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Totals of a run over these objects.
pub(super) fn totals(
    inputs: &[ManifestInput],
    outputs: &[ManifestOutput],
    skipped: &[ManifestSkipped],
) -> Statistics {
    // The parts of an object are one object.
    let sizes: BTreeMap<&str, u64> = inputs
        .iter()
        .map(|input| (input.key.as_str(), input.size))
        .chain(
            skipped
                .iter()
                .map(|object| (object.key.as_str(), object.size)),
        )
        .collect();
    Statistics {
        source_objects: sizes.len() as u64,
        source_bytes: sizes.values().sum(),
        objects_skipped: skipped.len() as u64,
        rows_read: inputs.iter().map(|input| input.rows).sum(),
        rows_written: outputs.iter().map(|output| output.rows).sum(),
        rows_rejected: outputs.iter().map(|output| output.rejected).sum(),
        output_objects: outputs.len() as u64,
        output_bytes: outputs.iter().map(|output| output.bytes).sum(),
    }
}
