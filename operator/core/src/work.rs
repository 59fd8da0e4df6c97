//! What defines a run's work, and the order that is given for it.

use etl_api::{Attempt, EtlJob, EtlJobSpec, Run};
use etl_contract::{CONTRACT_VERSION, Job, Mode, Tag, WorkOrder};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::quantity;
use crate::settings::Settings;

/// Version of the hash. It changes only with a change of meaning of a field
/// that is already covered; then both forms are kept.
const HASH_VERSION: &str = "v1";

/// Hash of the fields that define the work: `source` and `output`, without the
/// members that equal their default, so that a new field with a default leaves
/// old hashes as they are.
pub fn work_hash(spec: &EtlJobSpec) -> String {
    // A minimal spec in which everything optional has its default.
    let mut plain = spec.clone();
    plain.source = etl_api::Source {
        uri: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        modified_after: None,
        modified_before: None,
        version_id: None,
        etag: None,
        sequencer: None,
    };
    plain.output = serde_json::from_value(serde_json::json!({ "uri": "" }))
        .expect("every other field of output has a default");
    let mut work = Map::new();
    for (name, value, default) in [
        ("source", json(&spec.source), json(&plain.source)),
        ("output", json(&spec.output), json(&plain.output)),
    ] {
        work.insert(name.to_owned(), without_defaults(value, &default));
    }
    // serde_json's map is sorted by key: the text is canonical.
    let digest = Sha256::digest(Value::Object(work).to_string());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HASH_VERSION}:{hex}")
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("spec types have string keys and finite numbers")
}

/// `value` without the members, at any depth, that equal `default`.
fn without_defaults(value: Value, default: &Value) -> Value {
    match (value, default) {
        (Value::Object(members), Value::Object(defaults)) => Value::Object(
            members
                .into_iter()
                .filter(|(name, member)| defaults.get(name) != Some(member))
                .map(|(name, member)| {
                    let default = defaults.get(&name).unwrap_or(&Value::Null);
                    let member = without_defaults(member, default);
                    (name, member)
                })
                .collect(),
        ),
        (value, _) => value,
    }
}

/// `<cluster>/<namespace>/EtlJob/<name>`: who may replace an output object.
pub fn owner(job: &EtlJob, settings: &Settings) -> String {
    format!(
        "{}/{}/EtlJob/{}",
        settings.cluster,
        namespace(job),
        job.name_any()
    )
}

pub(crate) fn namespace(job: &EtlJob) -> String {
    job.namespace().unwrap_or_else(|| "default".to_owned())
}

/// The order for one attempt.
pub fn order(job: &EtlJob, run: &Run, attempt: &Attempt, settings: &Settings) -> WorkOrder {
    let spec = &job.spec;
    WorkOrder {
        version: CONTRACT_VERSION,
        job: Job {
            cluster: settings.cluster.clone(),
            namespace: namespace(job),
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
            created: job
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(run.start_time, |time| time.0),
            owner: owner(job, settings),
        },
        run: etl_contract::Run {
            number: run.number,
            work_hash: run.work_hash.clone(),
            start_time: run.start_time,
        },
        attempt: attempt.number,
        // One shard is enough to read a manifest.
        shards: if attempt.settle { 1 } else { run.shards },
        mode: if attempt.settle {
            Mode::Settle
        } else {
            Mode::Convert
        },
        active_deadline_seconds: u64::from(spec.execution.active_deadline_seconds),
        memory_limit_bytes: memory_limit(spec, settings),
        source: etl_contract::Source {
            uri: spec.source.uri.clone(),
            include: spec.source.include.clone(),
            exclude: spec.source.exclude.clone(),
            modified_after: spec.source.modified_after,
            modified_before: spec.source.modified_before,
            version_id: spec.source.version_id.clone(),
            etag: spec.source.etag.clone(),
            sequencer: spec.source.sequencer.clone(),
            on_invalid_object: etl_contract::OnInvalidObject::default(),
            max_invalid_objects: 0,
        },
        output: etl_contract::Output {
            uri: spec.output.uri.clone(),
            key_template: spec.output.key_template.clone(),
            split_bytes: None,
            format: spec.output.format,
            compression: spec.output.compression,
            json: spec.output.json,
            on_existing: spec.output.on_existing,
            storage_class: spec.output.storage_class.clone(),
            tags: spec
                .output
                .tags
                .iter()
                .map(|(key, value)| Tag {
                    key: key.clone(),
                    value: value.clone(),
                })
                .collect(),
        },
        transform: etl_contract::Transform::default(),
        schema: None,
        encoder: etl_contract::Encoder::default(),
        storage: settings.storage.clone(),
    }
}

fn memory_limit(spec: &EtlJobSpec, settings: &Settings) -> Option<u64> {
    let resources = spec
        .worker
        .resources
        .as_ref()
        .or(settings.worker.resources.as_ref())?;
    match resources.limits.as_ref()?.memory.as_ref()? {
        IntOrString::Int(bytes) => u64::try_from(*bytes).ok(),
        IntOrString::String(text) => quantity::bytes(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(spec: Value) -> String {
        work_hash(&serde_json::from_value(spec).unwrap())
    }

    /// Golden hashes are kept for ever: a change means that an upgrade would
    /// run finished work again.
    #[test]
    fn hashes_never_change_between_versions() {
        let minimal =
            json!({"source": {"uri": "s3://raw/a.parquet"}, "output": {"uri": "s3://out/"}});
        assert_eq!(
            hash(minimal),
            "v1:63e78d6ea429a30f1ab42f4bf5bbc304b0f70e4ee014627e927fc3150ab44121"
        );
        let full = json!({
            "source": {"uri": "s3://raw/in/", "include": ["**/*.parquet"], "exclude": ["tmp/**"],
                       "modifiedAfter": "2021-01-15T00:00:00Z"},
            "output": {"uri": "s3://out/x/", "keyTemplate": "{dir}/{name}.json",
                       "compression": "Zstd", "json": {"nulls": "Explicit"},
                       "onExisting": "Fail", "tags": {"team": "trips"}}
        });
        assert_eq!(
            hash(full),
            "v1:5358da7ef3cabf9be605f48d58766a1555fb3b03cb501f75d2d70d523a3c300b"
        );
    }

    #[test]
    fn defaults_written_out_and_fields_beside_the_work_change_nothing() {
        let short =
            json!({"source": {"uri": "s3://raw/a.parquet"}, "output": {"uri": "s3://out/"}});
        let long = json!({
            "source": {"uri": "s3://raw/a.parquet"},
            "output": {"uri": "s3://out/", "keyTemplate": "{yyyy}/{mm}/{dd}/{stem}.json",
                       "format": "JsonLines", "json": {"nulls": "Omit"}},
            "retryPolicy": {"maxAttempts": 9}, "execution": {"parallelism": 4},
            "ttlSecondsAfterFinished": 60
        });
        assert_eq!(hash(short), hash(long));
    }

    #[test]
    fn every_work_field_changes_the_hash() {
        let base = json!({"source": {"uri": "s3://raw/in/"}, "output": {"uri": "s3://out/"}});
        for (pointer, value) in [
            ("/source/uri", json!("s3://raw/other/")),
            ("/source/include", json!(["a/*"])),
            ("/source/exclude", json!(["a/*"])),
            ("/source/modifiedAfter", json!("2021-01-15T00:00:00Z")),
            ("/source/modifiedBefore", json!("2021-01-15T00:00:00Z")),
            ("/source/versionId", json!("v")),
            ("/source/etag", json!("e")),
            ("/source/sequencer", json!("0A")),
            ("/output/uri", json!("s3://out/other/")),
            ("/output/keyTemplate", json!("{name}")),
            ("/output/format", json!("JsonArray")),
            ("/output/compression", json!("Gzip")),
            ("/output/json", json!({"int64": "String"})),
            ("/output/onExisting", json!("Replace")),
            ("/output/storageClass", json!("STANDARD_IA")),
            ("/output/tags", json!({"a": "b"})),
        ] {
            let mut spec = base.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value;
            assert_ne!(hash(spec), hash(base.clone()), "{pointer}");
        }
    }
}
