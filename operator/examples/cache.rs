//! What an EtlJob at rest costs in the operator's cache:
//! `cargo run -p etl-operator --example cache -- 100000`.

#[path = "../src/pruned.rs"]
mod pruned;

use etl_api::EtlJob;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(100_000, |count| count.parse().expect("a number of EtlJobs"));
    let (store, mut writer) = reflector::store();
    let before = ALLOCATOR.current_usage();
    writer.apply_watcher_event(&Event::Init);
    for number in 0..count {
        let text = complete(number).to_string();
        let job: EtlJob = serde_json::from_str(&text).expect("a valid EtlJob");
        writer.apply_watcher_event(&Event::InitApply(pruned::pruned(job)));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let bytes = ALLOCATOR.current_usage() - before;
    println!(
        "{} EtlJobs, {} bytes of JSON each",
        store.len(),
        complete(0).to_string().len()
    );
    println!("{} bytes each in the cache", bytes / count.max(1));
    println!("{} bytes of that in fields", size_of::<EtlJob>());
    println!("{:.0} MB in all", bytes as f64 / 1e6);
}

/// An EtlJob that has completed at its second attempt.
fn complete(number: usize) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "Completed", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-24T00:01:00Z",
            "message": "12345 rows in 1 object written to s3://processed-data/2021/01/15/",
        })
    };
    let attempt = |number: u32, result: &str, message: &str| {
        json!({
            "number": number, "run": 1, "startTime": "2026-11-24T00:00:00Z",
            "runningTime": "2026-11-24T00:00:05Z", "endTime": "2026-11-24T00:01:00Z",
            "result": result, "charged": result != "Complete", "message": message,
            "backoffSeconds": 12,
        })
    };
    json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {
            "name": format!("yellow-tripdata-2021-01-{number:06}"),
            "namespace": format!("team-{}", number % 50),
            "uid": format!("6f1c2a52-3b7e-4a80-9d0f-{number:012}"),
            "resourceVersion": format!("{}", 1_000_000 + number),
            "generation": 1,
            "creationTimestamp": "2026-11-24T00:00:00Z",
            "labels": { "app.kubernetes.io/part-of": "nightly", "team": "data" },
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(400),
            },
            "managedFields": [],
        },
        "spec": {
            "source": { "uri": format!("s3://raw-data/2021/01/15/yellow_tripdata_{number}.parquet") },
            "output": { "uri": "s3://processed-data/" },
        },
        "status": {
            "observedGeneration": 1,
            "phase": "Complete",
            "conditions": [
                condition("Complete", "True"), condition("Failed", "False"),
                condition("Suspended", "False"), condition("Reconciling", "False"),
                condition("Stalled", "False"),
            ],
            "run": {
                "number": 1, "workHash": "v1-3f9a0c51e7b2", "generation": 1,
                "sourceUri": format!("s3://raw-data/2021/01/15/yellow_tripdata_{number}.parquet"),
                "outputUri": "s3://processed-data/",
                "startTime": "2026-11-24T00:00:00Z", "completionTime": "2026-11-24T00:01:00Z",
                "outcome": { "result": "Complete", "reason": "Completed",
                    "message": "12345 rows in 1 object" },
                "workerImage": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/etl-worker:0.1.0",
                "shards": 1, "failures": 1, "freeAttempts": 0,
            },
            "attempts": [
                attempt(1, "Unavailable", "s3://raw-data did not answer: connection reset by peer"),
                attempt(2, "Complete", ""),
            ],
            "statistics": {
                "sourceObjects": 1, "sourceBytes": 21_686_067, "rowsRead": 1_369_765,
                "rowsWritten": 1_369_765, "rowsRejected": 0, "objectsSkipped": 0,
                "outputObjects": 1, "outputBytes": 401_234_567,
            },
            "output": {
                "manifestUri": format!("s3://processed-data/_etl/6f1c2a52-3b7e-4a80-9d0f-{number:012}/1-3f9a0c51e7b2/manifest"),
                "firstObjectUri": "s3://processed-data/2021/01/15/yellow_tripdata.json",
            },
            "summary": { "attempt": "1/3", "duration": "1m" },
            "revision": 1_795_478_400_000_i64,
        },
    })
}
