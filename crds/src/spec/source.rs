//! What an EtlJob reads.

use etl_contract::OnInvalidObject;
use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::formats::optional_time;

/// What to read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.uri.startsWith('s3://')").message("source.uri must start with s3:// (file:// works only with kubectl etl run)"),
    validation = Rule::new("self.uri.matches('^[a-z0-9]+://[^/]*/.+') || !self.uri.startsWith('s3://')").message("source.uri must name an object or a prefix: s3://bucket/key or s3://bucket/prefix/"),
    validation = Rule::new("self.uri.endsWith('/') || !(has(self.include) || has(self.exclude) || has(self.modifiedAfter) || has(self.modifiedBefore))").message("source.include, exclude, modifiedAfter and modifiedBefore need a prefix: let source.uri end in /"),
    validation = Rule::new("!self.uri.endsWith('/') || !(has(self.versionId) || has(self.etag) || has(self.sequencer))").message("source.versionId, etag and sequencer pin one object: source.uri must not end in /"),
    validation = Rule::new("self.onInvalidObject != 'Skip' || self.maxInvalidObjects >= 1").message("source.onInvalidObject: Skip needs source.maxInvalidObjects of at least 1"),
)]
pub struct Source {
    /// Object to read, or a prefix that ends in `/`. Example:
    /// s3://raw-data/2021/01/15/trips.parquet.
    #[schemars(length(min = 1, max = 1100), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub uri: String,

    /// Globs below the prefix, of which an object must match one. Segments that
    /// start with `_` or `.` are always skipped. Default: `**/*.parquet`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 512)))]
    pub include: Vec<String>,

    /// Globs below the prefix that leave an object out. Example: `tmp/**`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 512)))]
    pub exclude: Vec<String>,

    /// Only objects modified at or after this time. Example:
    /// 2021-01-15T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub modified_after: Option<Timestamp>,

    /// Only objects modified before this time. Example: 2021-01-16T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub modified_before: Option<Timestamp>,

    /// Version of the object to read, in a versioned bucket. Default: the
    /// newest when the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub version_id: Option<String>,

    /// ETag that the object must have. Default: any, frozen when the run
    /// starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub etag: Option<String>,

    /// Sequencer of the S3 event that announced the object: of two writers of
    /// one output the higher wins. Hexadecimal. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9A-Fa-f]{1,64}$"))]
    pub sequencer: Option<String>,

    /// A source object that cannot be converted (BadInput, UnsupportedInput,
    /// SchemaMismatch, InvalidRecords): Fail ends the run, Skip records the
    /// object with its reason and leaves it out. Default Fail.
    #[serde(default)]
    pub on_invalid_object: OnInvalidObject,

    /// Objects that Skip leaves out in one run before the run fails, 0 to
    /// 100000. Default 0. Example: 10.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_invalid_objects: u32,
}
