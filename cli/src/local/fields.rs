//! Fields of an EtlJob that say something about pods, nodes or objects in S3,
//! of which a local run may have none.

use etl_api::{EtlJobSpec, Execution, ResourceList, Worker};

/// Paths of the fields that were given and change nothing in a local run.
pub fn without_meaning(spec: &EtlJobSpec) -> Vec<&'static str> {
    let to_files = spec.output.uri.starts_with("file://");
    let start_deadline = spec.execution.start_deadline_seconds;
    let of_the_job = [
        (
            "spec.ttlSecondsAfterFinished",
            spec.ttl_seconds_after_finished.is_some(),
        ),
        // A process runs as soon as it is started.
        (
            "spec.execution.startDeadlineSeconds",
            start_deadline != Execution::default().start_deadline_seconds,
        ),
        (
            "spec.output.storageClass",
            to_files && spec.output.storage_class.is_some(),
        ),
        ("spec.output.tags", to_files && !spec.output.tags.is_empty()),
    ];
    let of_the_pods = of_worker(&spec.worker);
    of_the_job
        .into_iter()
        .chain(of_the_pods)
        .filter_map(|(path, given)| given.then_some(path))
        .collect()
}

fn of_worker(worker: &Worker) -> [(&'static str, bool); 9] {
    let resources = worker.resources.as_ref();
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let limited = |is_given: fn(&ResourceList) -> bool| limits.is_some_and(is_given);
    [
        (
            "spec.worker.serviceAccountName",
            worker.service_account_name.is_some(),
        ),
        (
            "spec.worker.resources.requests",
            resources.is_some_and(|resources| resources.requests.is_some()),
        ),
        (
            "spec.worker.resources.limits.cpu",
            limited(|limits| limits.cpu.is_some()),
        ),
        (
            "spec.worker.resources.limits.ephemeral-storage",
            limited(|limits| limits.ephemeral_storage.is_some()),
        ),
        ("spec.worker.nodeSelector", !worker.node_selector.is_empty()),
        ("spec.worker.tolerations", !worker.tolerations.is_empty()),
        (
            "spec.worker.priorityClassName",
            worker.priority_class_name.is_some(),
        ),
        ("spec.worker.queueName", worker.queue_name.is_some()),
        (
            "spec.worker.credentialsSecretName",
            worker.credentials_secret_name.is_some(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn paths(spec: Value) -> Vec<&'static str> {
        without_meaning(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn everything_about_pods_is_named_and_the_memory_limit_is_not() {
        let found = paths(json!({
            "source": {"uri": "s3://raw/a.parquet"},
            "output": {"uri": "s3://out/", "storageClass": "STANDARD_IA", "tags": {"a": "b"}},
            "execution": {"startDeadlineSeconds": 60, "activeDeadlineSeconds": 60, "parallelism": 2},
            "ttlSecondsAfterFinished": 60,
            "worker": {
                "serviceAccountName": "etl",
                "resources": {
                    "requests": {"cpu": "1"},
                    "limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                },
                "nodeSelector": {"a": "b"},
                "tolerations": [{"operator": "Exists"}],
                "priorityClassName": "low",
                "queueName": "etl",
                "credentialsSecretName": "keys",
            },
        }));
        let expected = [
            "spec.ttlSecondsAfterFinished",
            "spec.execution.startDeadlineSeconds",
            "spec.worker.serviceAccountName",
            "spec.worker.resources.requests",
            "spec.worker.resources.limits.cpu",
            "spec.worker.resources.limits.ephemeral-storage",
            "spec.worker.nodeSelector",
            "spec.worker.tolerations",
            "spec.worker.priorityClassName",
            "spec.worker.queueName",
            "spec.worker.credentialsSecretName",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn files_have_neither_storage_class_nor_tags() {
        let found = paths(json!({
            "source": {"uri": "s3://raw/a.parquet"},
            "output": {"uri": "file:///out/", "storageClass": "STANDARD_IA", "tags": {"a": "b"}},
            "worker": {"resources": {"limits": {"memory": "1Gi"}}},
        }));
        assert_eq!(found, ["spec.output.storageClass", "spec.output.tags"]);
    }
}
