//! The specification of an EtlJob.

use std::collections::BTreeMap;

use etl_contract::{Compression, Format, JsonOptions, OnExisting};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::status::EtlJobStatus;

/// One bounded conversion of parquet objects to JSON objects.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "etl-operator.io",
    version = "v1alpha1",
    kind = "EtlJob",
    plural = "etljobs",
    shortname = "ej",
    category = "etl",
    namespaced,
    status = "EtlJobStatus",
    derive = "PartialEq",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Attempt", type_ = "string", json_path = ".status.summary.attempt", description = "Charged failures plus the present attempt, of maxAttempts"),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.statistics.rowsWritten"),
    printcolumn(name = "Failure", type_ = "string", json_path = ".status.lastFailure.category"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextAttemptTime", description = "When the next attempt starts"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.summary.duration"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source.uri", priority = 1),
    printcolumn(name = "Output", type_ = "string", json_path = ".spec.output.uri", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name must be at most 63 characters: it becomes a label"),
    doc = "EtlJob converts parquet objects to JSON objects once, with retries; status and ledger tell the result."
)]
// The same rules, callable in tests without an API server.
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct EtlJobSpec {
    /// What to read. Cannot be changed: make a new EtlJob instead.
    #[x_kube(validation = Rule::new("self == oldSelf").message("source cannot be changed: make a new EtlJob"))]
    pub source: Source,

    /// What to write. Cannot be changed: make a new EtlJob instead.
    #[x_kube(validation = Rule::new("self == oldSelf").message("output cannot be changed: make a new EtlJob"))]
    pub output: Output,

    /// When to try again after a failed attempt.
    #[serde(default)]
    pub retry_policy: RetryPolicy,

    /// How many workers, and how long they may take.
    #[serde(default)]
    pub execution: Execution,

    /// The worker pods: a closed list of settings, never a pod template.
    #[serde(default)]
    pub worker: Worker,

    /// Seconds after the end of the run at which the EtlJob is deleted with its
    /// Jobs, once the ledger has the result. Default: kept. Example: 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
}

/// What to read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.uri.startsWith('s3://')").message("source.uri must start with s3:// (file:// works only with kubectl etl run)"),
    validation = Rule::new("self.uri.matches('^[a-z0-9]+://[^/]*/.+') || !self.uri.startsWith('s3://')").message("source.uri must name an object or a prefix: s3://bucket/key or s3://bucket/prefix/"),
    validation = Rule::new("self.uri.endsWith('/') || !(has(self.include) || has(self.exclude) || has(self.modifiedAfter) || has(self.modifiedBefore))").message("source.include, exclude, modifiedAfter and modifiedBefore need a prefix: let source.uri end in /"),
    validation = Rule::new("!self.uri.endsWith('/') || !(has(self.versionId) || has(self.etag) || has(self.sequencer))").message("source.versionId, etag and sequencer pin one object: source.uri must not end in /"),
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
}

/// What to write.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.uri.startsWith('s3://')").message("output.uri must start with s3:// (file:// works only with kubectl etl run)"),
    validation = Rule::new("self.uri.endsWith('/')").message("output.uri is a prefix: it must end in /"),
    validation = Rule::new("!self.uri.contains('/_etl/')").message("output.uri must not lie below _etl/, which holds the records of runs"),
)]
pub struct Output {
    /// Prefix to write below; ends in `/`. Example: s3://processed-data/.
    #[schemars(length(min = 1, max = 1100), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub uri: String,

    /// Key of an output object below the prefix. Placeholders: `{yyyy}` `{mm}`
    /// `{dd}` the UTC start of the run, `{stem}` the source's file name without
    /// suffix, `{name}` with it, `{dir}` its folder below the source prefix.
    /// `.gz` or `.zst` follows the compression. Default:
    /// `{yyyy}/{mm}/{dd}/{stem}.json`.
    #[serde(default = "key_template")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^([^{}]|[{](yyyy|mm|dd|stem|dir|name)[}])+$')").message("output.keyTemplate knows only the placeholders {yyyy} {mm} {dd} {stem} {dir} {name}"),
        validation = Rule::new(r"!self.startsWith('/') && !self.startsWith('_etl/') && !self.endsWith('/') && !self.matches('(^|/)[.][.]?(/|$)')").message("output.keyTemplate must be a relative key without . and .. segments, not below _etl/, and must not end in /"),
    )]
    pub key_template: String,

    /// JsonLines writes one object per line, JsonArray one array. Default
    /// JsonLines.
    #[serde(default)]
    pub format: Format,

    /// None, Gzip or Zstd. Default None.
    #[serde(default)]
    pub compression: Compression,

    /// How values are written. The default is what Glue wrote.
    #[serde(default)]
    pub json: JsonOptions,

    /// An object already at an output key: ReplaceOwn replaces it if this
    /// EtlJob wrote it from the same source key, Replace always, Fail never.
    /// Default ReplaceOwn.
    #[serde(default)]
    pub on_existing: OnExisting,

    /// Storage class of output objects, as S3 names it. Default: the bucket's.
    /// Example: STANDARD_IA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z_]{1,32}$"))]
    pub storage_class: Option<String>,

    /// Tags of output objects. Example: {"team": "trips"}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "tags")]
    pub tags: BTreeMap<String, String>,
}

/// When to try again after a failed attempt.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// Charged failures before the run is given up, 1 to 100. Default 3.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Delay between attempts.
    pub backoff: Backoff,
}

/// Delay before the attempt that follows failure n:
/// min(initialSeconds x factor^(n-1), maxSeconds), lengthened by a part of
/// jitterPercent that is fixed by uid, run and n.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.maxSeconds >= self.initialSeconds").message("retryPolicy.backoff.maxSeconds must be at least initialSeconds"))]
pub struct Backoff {
    /// Delay after the first failure, in seconds, 0 to 86400. Default 10.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(default = "initial_seconds")]
    pub initial_seconds: u32,
    /// Growth per further failure, 1 to 10. Default 2.
    #[schemars(range(min = 1, max = 10))]
    #[serde(default = "factor")]
    pub factor: u32,
    /// Longest delay in seconds before jitter, 0 to 86400. Default 600.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(default = "max_seconds")]
    pub max_seconds: u32,
    /// Largest lengthening, in percent, 0 to 100. Default 20.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default = "jitter_percent")]
    pub jitter_percent: u32,
}

/// How many workers, and how long they may take.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// Worker pods that share the source objects, 1 to 1000; frozen when a run
    /// starts. Default 1.
    #[schemars(range(min = 1, max = 1000))]
    pub parallelism: u32,
    /// Seconds an attempt may take from the start of its first pod. Default
    /// 3600.
    #[schemars(range(min = 10, max = 604_800))]
    pub active_deadline_seconds: u32,
    /// Seconds from the decision to start an attempt until a pod must run.
    /// Default 600.
    #[schemars(range(min = 10, max = 86_400))]
    pub start_deadline_seconds: u32,
}

/// The worker pods. What is unset comes from the installation.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Worker {
    /// ServiceAccount of the pods: it decides which buckets they may use.
    /// Default: the installation's, etl-worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Resources of the container, which replace the installation's as a whole.
    /// Default: the installation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Node labels that the pods need. Default: the installation's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Node taints that the pods tolerate. Default: the installation's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// PriorityClass of the pods. Default: the installation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Secret in the EtlJob's namespace with AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY, for stores that are not AWS; read by the kubelet,
    /// never by the operator. Default: the installation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret_name: Option<String>,
}

/// Compute resources of a worker container.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceList>,
    /// What the container may use at most; the memory limit is also the
    /// conversion's memory budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceList>,
}

/// Amounts of resources, as Kubernetes quantities.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ResourceList {
    /// CPU. Example: 500m.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_quantity")]
    pub cpu: Option<IntOrString>,
    /// Memory. Example: 512Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_quantity")]
    pub memory: Option<IntOrString>,
    /// Local storage. Example: 1Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_quantity")]
    pub ephemeral_storage: Option<IntOrString>,
}

fn key_template() -> String {
    "{yyyy}/{mm}/{dd}/{stem}.json".to_owned()
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::default(),
        }
    }
}

// The schema of a type with rules takes its defaults field by field.
fn initial_seconds() -> u32 {
    10
}

fn factor() -> u32 {
    2
}

fn max_seconds() -> u32 {
    600
}

fn jitter_percent() -> u32 {
    20
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial_seconds: initial_seconds(),
            factor: factor(),
            max_seconds: max_seconds(),
            jitter_percent: jitter_percent(),
        }
    }
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            parallelism: 1,
            active_deadline_seconds: 3600,
            start_deadline_seconds: 600,
        }
    }
}

pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

pub(crate) fn optional_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}

fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 10,
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "x-kubernetes-validations": [{
            "rule": "self.all(key, key.size() >= 1 && key.size() <= 128)",
            "message": "a tag's key has 1 to 128 characters"
        }]
    })
}

fn node_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 63 }
    })
}

fn optional_quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        // As the API server's own pattern for quantities, without signs.
        "pattern": r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][0-9]+))?$",
        "maxLength": 32,
        "nullable": true
    })
}
