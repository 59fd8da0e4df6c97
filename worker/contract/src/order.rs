//! The work order: everything a worker is told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::CONTRACT_VERSION;
use crate::choice::choice;
use crate::json::JsonOptions;
use crate::transform::{Schema, Transform};

/// Why a work order could not be used.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Not JSON of the expected form.
    #[error("the work order is not valid: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by another version of the operator.
    #[error(
        "the work order has version {found}, this worker reads version {CONTRACT_VERSION}: \
         operator and worker images must come from the same release"
    )]
    Version {
        /// The version that the order states.
        found: u32,
    },
}

/// One attempt's instructions. The same for all shards of the attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkOrder {
    /// [`CONTRACT_VERSION`] of the writer.
    pub version: u32,
    /// Whose work it is.
    pub job: Job,
    /// Which run of it.
    pub run: Run,
    /// Ordinal of the attempt, from 1, never reused within the EtlJob.
    pub attempt: u32,
    /// Number of shards; a shard does the tasks with `task % shards == shard`.
    pub shards: u32,
    /// Convert, or only look up how the run ended.
    pub mode: Mode,
    /// Seconds from the start of the process after which it neither writes nor
    /// commits.
    pub active_deadline_seconds: u64,
    /// Memory the process may use, in bytes, if the operator set a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// What to read.
    pub source: Source,
    /// What to write.
    pub output: Output,
    /// Which columns are written.
    #[serde(default, skip_serializing_if = "Transform::is_identity")]
    pub transform: Transform,
    /// What the rows must be like; anything when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// What turns values into text. Decides nothing about the result.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoder: Encoder,
    /// How to reach the object store.
    #[serde(default)]
    pub storage: Storage,
}

impl WorkOrder {
    /// Parses an order and checks its version.
    pub fn from_json(text: &str) -> Result<Self, OrderError> {
        // The version is looked at first: an order of another version may well
        // have other fields, and "unknown field" would hide the real cause.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_str(text)?;
        if version != CONTRACT_VERSION {
            return Err(OrderError::Version { found: version });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The order as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a work order has only string keys and finite numbers")
    }
}

/// The EtlJob that asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// Cluster id, as set at installation (`local` for local runs).
    pub cluster: String,
    /// Namespace of the EtlJob.
    pub namespace: String,
    /// Name of the EtlJob.
    pub name: String,
    /// Uid of the EtlJob.
    pub uid: String,
    /// When the EtlJob was created; part of the order between two writers.
    pub created: Timestamp,
    /// `<cluster>/<namespace>/<kind>/<name>` of the EtlTrigger that made the
    /// job, else of the EtlJob itself: who may replace an output object.
    pub owner: String,
}

/// The run that the attempt belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// Number of the run within the EtlJob, from 1.
    pub number: u32,
    /// Hash of the fields that define the work, as `v1:<64 hex digits>`.
    pub work_hash: String,
    /// Start of the run: the date in output keys.
    pub start_time: Timestamp,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Do the work.
    Convert,
    /// Read the manifest and report what it says; write nothing.
    Settle,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// `s3://bucket/key`, `file:///path`, or a prefix that ends in `/`.
    pub uri: String,
    /// Globs below the prefix that an object must match one of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs below the prefix that leave an object out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Only objects modified at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_after: Option<Timestamp>,
    /// Only objects modified before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_before: Option<Timestamp>,
    /// Pins one version of a single object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Pins the content of a single object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Event sequencer of a single object: orders two writers of one output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// What becomes of an object that cannot be converted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_invalid_object: OnInvalidObject,
    /// Most objects of the run that may be left out; more fail it as the last
    /// one of them would have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_invalid_objects: u32,
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Prefix, ends in `/`.
    pub uri: String,
    /// Key below the prefix; placeholders `{yyyy} {mm} {dd} {stem} {dir} {name}
    /// {part}`.
    pub key_template: String,
    /// Inputs whose row groups hold more bytes than this are split by whole row
    /// groups into several objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_bytes: Option<u64>,
    /// Form of an output object.
    #[serde(default)]
    pub format: Format,
    /// Compression of an output object; adds `.gz` or `.zst` to its key.
    #[serde(default)]
    pub compression: Compression,
    /// How values are written.
    #[serde(default)]
    pub json: JsonOptions,
    /// What to do with an object that is already at an output key.
    #[serde(default)]
    pub on_existing: OnExisting,
    /// Storage class of output objects; the bucket's default when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Tags of output objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// One object tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Tag key.
    pub key: String,
    /// Tag value.
    pub value: String,
}

/// How to reach the object store. Comes from the installation, never from a
/// resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Endpoint of a store that is not AWS; selects path-style addressing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Region; the SDK's default chain when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Account that must own every bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_bucket_owner: Option<String>,
}

choice! {
    /// Form of an output object.
    Format {
        /// One JSON object per line.
        JsonLines,
        /// One JSON array of objects.
        JsonArray,
    }
}
choice! {
    /// Compression of an output object.
    Compression {
        /// None.
        None,
        /// gzip, suffix `.gz`.
        Gzip,
        /// Zstandard, suffix `.zst`.
        Zstd,
    }
}
choice! {
    /// What happens to an object that is already at an output key. An object of
    /// this very run is always accepted.
    OnExisting {
        /// Replaced if the same owner wrote it from the same source key.
        ReplaceOwn,
        /// Replaced, whoever wrote it.
        Replace,
        /// Never replaced.
        Fail,
    }
}

choice! {
    /// What becomes of a source object that cannot be converted: one that is
    /// damaged, that uses what cannot be rendered, or that has other columns or
    /// rows than the order demands.
    OnInvalidObject {
        /// The run fails.
        Fail,
        /// The object is recorded with its reason and left out.
        Skip,
    }
}
choice! {
    /// What turns decoded values into text. Both write the same bytes.
    Encoder {
        /// The engine's own, column by column.
        Columnar,
        /// arrow-json, value by value: slower, and there to check the other
        /// against.
        Reference,
    }
}

/// Fields with their default are not written: an order that asks for nothing
/// new stays readable for a worker that knows nothing of it.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnType, OnExtraColumn, OnInvalidRecord, OnMissingColumn, SchemaColumn};

    fn order() -> WorkOrder {
        WorkOrder {
            version: CONTRACT_VERSION,
            job: Job {
                cluster: "c".into(),
                namespace: "n".into(),
                name: "j".into(),
                uid: "u".into(),
                created: Timestamp::UNIX_EPOCH,
                owner: "c/n/EtlJob/j".into(),
            },
            run: Run {
                number: 1,
                work_hash: "v1:00".into(),
                start_time: Timestamp::UNIX_EPOCH,
            },
            attempt: 1,
            shards: 1,
            mode: Mode::Convert,
            active_deadline_seconds: 3600,
            memory_limit_bytes: None,
            source: Source {
                uri: "s3://raw/a.parquet".into(),
                include: vec![],
                exclude: vec![],
                modified_after: None,
                modified_before: None,
                version_id: None,
                etag: None,
                sequencer: None,
                on_invalid_object: OnInvalidObject::default(),
                max_invalid_objects: 0,
            },
            output: Output {
                uri: "s3://out/".into(),
                key_template: "{stem}.json".into(),
                split_bytes: None,
                format: Format::default(),
                compression: Compression::default(),
                json: JsonOptions::default(),
                on_existing: OnExisting::default(),
                storage_class: None,
                tags: vec![],
            },
            transform: Transform::default(),
            schema: None,
            encoder: Encoder::default(),
            storage: Storage::default(),
        }
    }

    /// An order in which every field that came later is used.
    fn full_order() -> WorkOrder {
        let column = SchemaColumn {
            name: "id".into(),
            kind: ColumnType::Integer,
            required: true,
            min: Some("0".into()),
            max: None,
        };
        let plain = order();
        WorkOrder {
            source: Source {
                on_invalid_object: OnInvalidObject::Skip,
                max_invalid_objects: 3,
                ..plain.source
            },
            output: Output {
                key_template: "{stem}-{part}.json".into(),
                split_bytes: Some(64 << 20),
                ..plain.output
            },
            transform: Transform {
                columns: vec!["id".into()],
                ingested_at_column: Some("at".into()),
                source_column: Some("from".into()),
            },
            schema: Some(Schema {
                columns: vec![column],
                on_missing_column: OnMissingColumn::Null,
                on_extra_column: OnExtraColumn::Drop,
                on_invalid_record: OnInvalidRecord::Quarantine,
                max_invalid_records: 9,
            }),
            encoder: Encoder::Reference,
            ..plain
        }
    }

    #[test]
    fn an_order_survives_the_way_to_the_worker() {
        for order in [order(), full_order()] {
            assert_eq!(WorkOrder::from_json(&order.to_json()).unwrap(), order);
        }
    }

    /// An attempt of an open run has the worker image that the run began with,
    /// whatever the operator has become since.
    #[test]
    fn an_order_that_asks_for_nothing_new_is_as_it_always_was() {
        let text = r#"{"version":1,"job":{"cluster":"c","namespace":"n","name":"j","uid":"u",
            "created":"1970-01-01T00:00:00Z","owner":"c/n/EtlJob/j"},
            "run":{"number":1,"workHash":"v1:00","startTime":"1970-01-01T00:00:00Z"},
            "attempt":1,"shards":1,"mode":"Convert","activeDeadlineSeconds":3600,
            "source":{"uri":"s3://raw/a.parquet"},
            "output":{"uri":"s3://out/","keyTemplate":"{stem}.json","format":"JsonLines",
            "compression":"None","json":{"nulls":"Omit","localTimestamps":"Utc",
            "timestamps":"Iso","int64":"Number","decimals":"Number","binary":"Base64",
            "nonFinite":"String"},"onExisting":"ReplaceOwn"},"storage":{}}"#;
        let old: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(order()).unwrap(), old);
        assert_eq!(WorkOrder::from_json(text).unwrap(), order());
    }

    #[test]
    fn another_version_is_named_even_when_fields_differ() {
        let error = WorkOrder::from_json(r#"{"version": 9, "novelty": true}"#).unwrap_err();
        assert!(error.to_string().contains("has version 9"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut value = serde_json::to_value(order()).unwrap();
        value["surprise"] = true.into();
        let error = WorkOrder::from_json(&value.to_string()).unwrap_err();
        assert!(error.to_string().contains("surprise"), "{error}");
    }
}
