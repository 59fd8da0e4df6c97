//! The Job of an attempt, as the API server gets it.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use etl_api::EtlJob;
use etl_contract::{Encoder, Mode, Storage, WORK_ORDER_ENV, WorkOrder};
use etl_core::{Action, Observed, Reach, Settings, WorkerDefaults, child, plan};
use jiff::Timestamp;
use serde_json::{Value, json};

fn job(worker: Value) -> EtlJob {
    serde_json::from_value(json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {
            "name": "trips", "namespace": "data", "uid": "0b5e", "generation": 1,
            "creationTimestamp": "2021-01-15T00:00:00Z",
            "labels": {"argocd.argoproj.io/instance": "app"}
        },
        "spec": {
            "source": {"uri": "s3://raw/in/"},
            "output": {"uri": "s3://out/"},
            "execution": {"parallelism": 4},
            "worker": worker
        }
    }))
    .unwrap()
}

fn settings() -> Settings {
    Settings {
        cluster: "prod".into(),
        worker_image: "etl-worker@sha256:0".into(),
        image_pull_policy: Some("IfNotPresent".into()),
        worker: WorkerDefaults {
            service_account_name: Some("etl-worker".into()),
            resources: serde_json::from_value(json!({
                "requests": {"cpu": 1, "memory": "256Mi"}, "limits": {"memory": "512Mi"}
            }))
            .ok(),
            ..WorkerDefaults::default()
        },
        storage: Storage {
            region: Some("eu-central-1".into()),
            ..Storage::default()
        },
        encoder: Encoder::default(),
        reach: Reach::Cluster,
        ledger: true,
    }
}

fn manifest(worker: Value) -> Value {
    changed_manifest(worker, |_| {})
}

fn changed_manifest(worker: Value, change: impl FnOnce(&mut child::Child)) -> Value {
    let job = job(worker);
    let now: Timestamp = "2021-01-15T00:00:01Z".parse().unwrap();
    let plan = plan(&job, &Observed::default(), &settings(), now);
    let Some(Action::Create(child)) = plan.actions.first() else {
        panic!("{plan:?}")
    };
    let mut child = child.clone();
    change(&mut child);
    serde_json::to_value(child::manifest(&child, &job)).unwrap()
}

/// The order travels as text; in the golden file it stands as JSON.
fn unpack_order(manifest: &mut Value) -> Value {
    let variable = &mut manifest["spec"]["template"]["spec"]["containers"][0]["env"][0];
    assert_eq!(variable["name"], WORK_ORDER_ENV);
    let text = variable["value"].as_str().unwrap();
    assert!(WorkOrder::from_json(text).is_ok());
    let order = serde_json::from_str(text).unwrap();
    variable["value"] = json!("(order.json)");
    order
}

#[test]
fn the_manifest_is_the_golden_one() {
    let mut made = manifest(json!({}));
    let order = unpack_order(&mut made);
    let made = json!({ "job": made, "order": order });
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/job.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    assert_eq!(made, expected, "UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn a_queue_holds_the_work_but_not_the_look_up() {
    const QUEUE: &str = "kueue.x-k8s.io/queue-name";
    let worker = json!({"queueName": "etl"});
    let work = manifest(worker.clone());
    assert_eq!(work["metadata"]["labels"][QUEUE], "etl");
    let look_up = changed_manifest(worker, |child| child.order.mode = Mode::Settle);
    assert_eq!(look_up["metadata"]["labels"].get(QUEUE), None);
}

#[test]
fn labels_of_the_resource_are_not_copied() {
    // Argo CD would take the Job for one of its own and prune it.
    assert!(!manifest(json!({})).to_string().contains("argocd"));
}

#[test]
fn a_resource_reaches_only_the_closed_list_of_pod_settings() {
    let own = manifest(json!({
        "serviceAccountName": "trips", "credentialsSecretName": "keys",
        "nodeSelector": {"pool": "spot"}, "priorityClassName": "low",
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "resources": {"limits": {"memory": "1Gi"}}
    }));
    let pod = &own["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["serviceAccountName"], "trips");
    assert_eq!(pod["nodeSelector"]["pool"], "spot");
    assert_eq!(pod["priorityClassName"], "low");
    assert_eq!(pod["tolerations"][0]["key"], "spot");
    assert_eq!(container["resources"], json!({"limits": {"memory": "1Gi"}}));
    assert_eq!(
        container["env"][1]["valueFrom"]["secretKeyRef"]["name"],
        "keys"
    );

    // Apart from that, the pod is the golden one.
    let mut own = own;
    let mut plain = manifest(json!({}));
    for manifest in [&mut own, &mut plain] {
        let pod = manifest["spec"]["template"]["spec"]
            .as_object_mut()
            .unwrap();
        for name in [
            "serviceAccountName",
            "nodeSelector",
            "priorityClassName",
            "tolerations",
        ] {
            pod.remove(name);
        }
        let container = pod["containers"][0].as_object_mut().unwrap();
        container.remove("resources");
        container["env"].as_array_mut().unwrap().clear();
    }
    assert_eq!(own, plain);
}
