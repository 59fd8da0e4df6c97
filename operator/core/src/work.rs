//! What defines a run's work, and the order that is given for it.

use etl_api::{Attempt, EtlJob, EtlJobSpec, Resources, Run};
use etl_contract::{CONTRACT_VERSION, Job, Mode, Tag, WorkOrder};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::quantity;
use crate::settings::Settings;

/// Version of the hash. It changes only with a change of meaning of a field
/// that is already covered; then both forms are kept.
const HASH_VERSION: &str = "v1";

/// Hash of the fields that define the work: `source`, `output`, `transform`,
/// `schema` and `runId`, without the members that equal their default, so that a new field
/// with a default leaves old hashes as they are.
pub fn work_hash(spec: &EtlJobSpec) -> String {
    let mut work = Map::new();
    work.insert("source".into(), source(&spec.source));
    work.insert("output".into(), output(&spec.output));
    if !spec.transform.is_default() {
        work.insert("transform".into(), json(&spec.transform));
    }
    if let Some(spec) = &spec.schema {
        work.insert("schema".into(), schema(spec));
    }
    if let Some(id) = &spec.run_id {
        work.insert("runId".into(), json!(id));
    }
    // serde_json's map is sorted by key: the text is canonical.
    let digest = Sha256::digest(Value::Object(work).to_string());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HASH_VERSION}:{hex}")
}

fn source(source: &etl_api::Source) -> Value {
    let plain: etl_api::Source = with_defaults(json!({ "uri": "" }));
    without_defaults(json(source), &json(&plain))
}

fn output(output: &etl_api::Output) -> Value {
    let plain: etl_api::Output = with_defaults(json!({ "uri": "" }));
    let mut output = output.clone();
    // 64Mi and 67108864 are the same work.
    if let Some(bytes) = output.split_bytes.as_ref().and_then(quantity::bytes_of) {
        output.split_bytes = Some(IntOrString::String(bytes.to_string()));
    }
    without_defaults(json(&output), &json(&plain))
}

fn schema(schema: &etl_api::Schema) -> Value {
    let plain: etl_api::Schema = with_defaults(json!({ "columns": [] }));
    let mut work = without_defaults(json(schema), &json(&plain));
    let plain: etl_api::SchemaColumn = with_defaults(json!({ "name": "", "type": "Integer" }));
    let mut plain = json(&plain);
    if let Value::Object(members) = &mut plain {
        // What is required has no default.
        members.retain(|name, _| !["name", "type"].contains(&name.as_str()));
    }
    let columns = schema.columns.iter();
    work["columns"] = columns
        .map(|column| without_defaults(json(column), &plain))
        .collect();
    work
}

/// A value of which only the required members are given.
fn with_defaults<T: serde::de::DeserializeOwned>(required: Value) -> T {
    serde_json::from_value(required).expect("every other field has a default")
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
    let mut output = output_order(&spec.output);
    // The manifest is looked up where this run wrote it, whatever the spec asks
    // for by now.
    if let Some(uri) = run.output_uri.as_ref().filter(|_| attempt.settle) {
        output.uri.clone_from(uri);
    }
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
        memory_limit_bytes: memory_limit(spec, run, settings),
        source: source_order(&spec.source),
        output,
        transform: etl_contract::Transform {
            columns: spec.transform.columns.clone(),
            ingested_at_column: spec.transform.ingested_at_column.clone(),
            source_column: spec.transform.source_column.clone(),
        },
        schema: spec.schema.as_ref().map(schema_order),
        encoder: settings.encoder,
        storage: settings.storage.clone(),
    }
}

fn source_order(source: &etl_api::Source) -> etl_contract::Source {
    etl_contract::Source {
        uri: source.uri.clone(),
        include: source.include.clone(),
        exclude: source.exclude.clone(),
        modified_after: source.modified_after,
        modified_before: source.modified_before,
        version_id: source.version_id.clone(),
        etag: source.etag.clone(),
        sequencer: source.sequencer.clone(),
        on_invalid_object: source.on_invalid_object,
        max_invalid_objects: source.max_invalid_objects,
    }
}

fn output_order(output: &etl_api::Output) -> etl_contract::Output {
    let tag = |(key, value): (&String, &String)| Tag {
        key: key.clone(),
        value: value.clone(),
    };
    etl_contract::Output {
        uri: output.uri.clone(),
        key_template: output.key_template.clone(),
        split_bytes: output.split_bytes.as_ref().and_then(quantity::bytes_of),
        format: output.format,
        compression: output.compression,
        json: output.json,
        on_existing: output.on_existing,
        storage_class: output.storage_class.clone(),
        tags: output.tags.iter().map(tag).collect(),
    }
}

fn schema_order(schema: &etl_api::Schema) -> etl_contract::Schema {
    let column = |column: &etl_api::SchemaColumn| etl_contract::SchemaColumn {
        name: column.name.clone(),
        kind: column.kind,
        required: column.required,
        min: column.min.clone(),
        max: column.max.clone(),
    };
    etl_contract::Schema {
        columns: schema.columns.iter().map(column).collect(),
        on_missing_column: schema.on_missing_column,
        on_extra_column: schema.on_extra_column,
        on_invalid_record: schema.on_invalid_record,
        max_invalid_records: schema.max_invalid_records,
    }
}

/// Memory limit of the run's attempts in bytes, if there is one.
pub(crate) fn memory_limit(spec: &EtlJobSpec, run: &Run, settings: &Settings) -> Option<u64> {
    let given = given_resources(spec, settings)?;
    let limit = quantity::bytes_of(given.limits.as_ref()?.memory.as_ref()?)?;
    // What was raised is not lowered by an edit to less.
    Some(run.memory_bytes.map_or(limit, |raised| raised.max(limit)))
}

/// Resources of the worker container: those of the resource, else those of the
/// installation, with the memory that the run has come to need.
pub(crate) fn resources(spec: &EtlJobSpec, run: &Run, settings: &Settings) -> Option<Resources> {
    let mut resources = given_resources(spec, settings)?.clone();
    if run.memory_bytes.is_some()
        && let Some(bytes) = memory_limit(spec, run, settings)
    {
        // Also set aside: an attempt that starved once shall not depend on what
        // its neighbours leave.
        for list in [&mut resources.limits, &mut resources.requests]
            .into_iter()
            .flatten()
        {
            list.memory = Some(IntOrString::String(bytes.to_string()));
        }
    }
    Some(resources)
}

fn given_resources<'a>(spec: &'a EtlJobSpec, settings: &'a Settings) -> Option<&'a Resources> {
    let own = spec.worker.resources.as_ref();
    own.or(settings.worker.resources.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(spec: Value) -> String {
        work_hash(&serde_json::from_value(spec).unwrap())
    }

    fn validated() -> Value {
        json!({
            "source": {"uri": "s3://raw/in/", "onInvalidObject": "Skip", "maxInvalidObjects": 3},
            "output": {"uri": "s3://out/", "keyTemplate": "{stem}-{part}.json",
                       "splitBytes": "64Mi"},
            "transform": {"columns": ["id", "at"], "ingestedAtColumn": "ingested_at",
                          "sourceColumn": "source_file"},
            "schema": {
                "columns": [{"name": "id", "type": "Integer", "required": true, "min": "0"},
                            {"name": "at", "type": "Timestamp"}],
                "onMissingColumn": "Null", "onExtraColumn": "Drop",
                "onInvalidRecord": "Quarantine", "maxInvalidRecords": 1000
            }
        })
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
        assert_eq!(
            hash(validated()),
            "v1:6ab4096c204e247b707f481df280994cbf976dec435b21beddc4b1aaad23b8c0"
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
            "transform": {"columns": []},
            "retryPolicy": {"maxAttempts": 9}, "execution": {"parallelism": 4},
            "ttlSecondsAfterFinished": 60
        });
        assert_eq!(hash(short), hash(long));

        let mut long = validated();
        long["schema"]["columns"][1]["required"] = json!(false);
        long["output"]["splitBytes"] = json!(64 << 20);
        assert_eq!(hash(validated()), hash(long));
    }

    #[test]
    fn every_rule_for_columns_and_records_changes_the_hash() {
        for (pointer, value) in [
            ("/source/maxInvalidObjects", json!(4)),
            ("/output/splitBytes", json!("65Mi")),
            ("/transform/columns", json!(["at", "id"])),
            ("/transform/ingestedAtColumn", json!("now")),
            ("/transform/sourceColumn", json!("file")),
            ("/schema/columns/0/name", json!("key")),
            ("/schema/columns/0/type", json!("Number")),
            ("/schema/columns/0/required", json!(false)),
            ("/schema/columns/0/min", json!("1")),
            ("/schema/columns/1/max", json!("2030-01-01T00:00:00Z")),
            ("/schema/onMissingColumn", json!("Fail")),
            ("/schema/onExtraColumn", json!("Keep")),
            ("/schema/onInvalidRecord", json!("Skip")),
            ("/schema/maxInvalidRecords", json!(7)),
        ] {
            let mut spec = validated();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value;
            assert_ne!(hash(spec), hash(validated()), "{pointer}");
        }
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
            ("/runId", json!("again")),
        ] {
            let mut spec = base.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value;
            assert_ne!(hash(spec), hash(base.clone()), "{pointer}");
        }
    }
}
