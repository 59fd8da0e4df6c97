//! Objects that tests start from.

use std::collections::BTreeMap;

use etl_api::{EtlJob, labels};
use etl_contract::{Encoder, Storage};
use etl_core::{Reach, Settings, WorkerDefaults};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::json;

/// Uid of [`etljob`].
pub const UID: &str = "6f1d1a3c-0000-4000-8000-000000000001";
/// Its namespace.
pub const NAMESPACE: &str = "etl";

/// An EtlJob as the API server shows it after `kubectl apply`.
pub fn etljob() -> EtlJob {
    serde_json::from_value(json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {
            "name": "trips",
            "namespace": NAMESPACE,
            "uid": UID,
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": "2026-11-24T00:00:00Z",
        },
        "spec": {
            "source": { "uri": "s3://raw/trips.parquet" },
            "output": { "uri": "s3://processed/" },
            "retryPolicy": {
                "maxAttempts": 3,
                "backoff": { "initialSeconds": 10, "factor": 2, "maxSeconds": 600, "jitterPercent": 0 },
            },
        },
        "status": { "observedGeneration": -1 },
    }))
    .expect("the fixture is valid")
}

/// A Job of [`etljob`].
pub fn child(name: &str, uid: &str) -> Job {
    let mut job = Job::default();
    job.metadata.name = Some(name.into());
    job.metadata.namespace = Some(NAMESPACE.into());
    job.metadata.uid = Some(uid.into());
    job.metadata.labels = Some(BTreeMap::from([
        (labels::RUN.to_owned(), "1".to_owned()),
        (labels::ATTEMPT.to_owned(), "1".to_owned()),
    ]));
    job.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "etl-operator.io/v1alpha1".into(),
        kind: "EtlJob".into(),
        name: "trips".into(),
        uid: UID.into(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    job
}

/// Settings of an installation with a ledger.
pub fn settings() -> Settings {
    Settings {
        cluster: "test".into(),
        worker_image: "worker:1".into(),
        image_pull_policy: None,
        worker: WorkerDefaults::default(),
        storage: Storage::default(),
        encoder: Encoder::default(),
        reach: Reach::Cluster,
        ledger: true,
    }
}
