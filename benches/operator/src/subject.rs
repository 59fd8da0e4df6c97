//! What is run: EtlJobs, or plain batch Jobs of the very pods that EtlJobs make.

use anyhow::{Context, Result};
use etl_api::labels;
use etl_contract::{CONTRACT_VERSION, Outcome, OutputLocation, RunReport, Statistics};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use kube::core::{ApiResource, GroupVersionKind, Object};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows that a pretended worker says it has written.
const ROWS: u64 = 22_000;

/// Who runs the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arm {
    /// Nobody but Kubernetes.
    Jobs,
    /// The operator.
    EtlJobs,
}

/// An object of either arm, reduced to what says how it ended.
pub(crate) type Watched = Object<Unread, Ending>;

/// A spec that nobody looks at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unread {}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ending {
    conditions: Vec<Condition>,
    statistics: Option<Converted>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Converted {
    rows_written: u64,
}

impl Arm {
    /// How the report calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Jobs => "plain Jobs",
            Self::EtlJobs => "EtlJobs",
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        let kind = match self {
            Self::Jobs => GroupVersionKind::gvk("batch", "v1", "Job"),
            Self::EtlJobs => GroupVersionKind::gvk("etl-operator.io", "v1alpha1", "EtlJob"),
        };
        ApiResource::from_gvk(&kind)
    }

    /// Whether anybody has looked after `object`.
    pub(crate) fn begun(object: &Watched) -> bool {
        let status = object.status.as_ref();
        // A status is there from the start: the schema has a default for it.
        status.is_some_and(|status| !status.conditions.is_empty())
    }

    /// How `object` ended: `None` if it has not, an error if not as it should.
    pub(crate) fn ended(self, object: &Watched) -> Option<Result<()>> {
        let status = object.status.as_ref()?;
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let is = |kind: &str| {
            let mut conditions = status.conditions.iter();
            conditions.any(|condition| condition.kind == kind && condition.status == "True")
        };
        if is("Failed") {
            return Some(Err(anyhow::anyhow!("{name} has failed")));
        }
        if !is("Complete") {
            return None;
        }
        // An EtlJob whose report was not read is no EtlJob as it should be.
        let rows = status.statistics.as_ref().map(|s| s.rows_written);
        Some(if self == Self::EtlJobs && rows != Some(ROWS) {
            Err(anyhow::anyhow!("{name} knows {rows:?} rows, not {ROWS}"))
        } else {
            Ok(())
        })
    }
}

/// What an EtlJob asks for.
pub(crate) fn etljob(name: &str) -> Value {
    json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {"name": name},
        "spec": {
            "source": {"uri": format!("s3://raw-data/2026/01/15/{name}.parquet")},
            "output": {"uri": "s3://processed-data/"},
        },
    })
}

/// A plain Job of the pods that `template` describes.
pub(crate) fn plain_job(name: &str, template: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    })
}

/// The pod template of any Job that the operator has made in a namespace,
/// without what Kubernetes has added for that one Job.
pub(crate) async fn template(client: &kube::Client, namespace: &str) -> Result<Value> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let list = jobs.list(&ListParams::default().limit(1)).await?;
    let job = list.items.into_iter().next().context("there is no Job")?;
    let spec = job.spec.context("a Job has a spec")?;
    let mut template = serde_json::to_value(spec.template)?;
    let labels = template["metadata"]["labels"].as_object_mut();
    labels.context("pods have labels")?.retain(|label, _| {
        let added = label.starts_with("batch.kubernetes.io/");
        !added && label != "controller-uid" && label != "job-name"
    });
    Ok(template)
}

/// The report of a worker that has done its work in the first attempt, as a
/// template over its pod.
pub(crate) fn report() -> String {
    let report = RunReport {
        version: CONTRACT_VERSION,
        // In backquotes, which JSON leaves alone.
        uid: format!("{{{{ index $pod.metadata.labels `{}` }}}}", labels::JOB_UID),
        run: 1,
        attempt: 1,
        shard: 0,
        outcome: Outcome::Complete {
            statistics: Statistics {
                source_objects: 1,
                source_bytes: 371_218,
                rows_read: ROWS,
                rows_written: ROWS,
                output_objects: 1,
                output_bytes: 9_283_114,
                ..Statistics::default()
            },
            output: OutputLocation {
                manifest_uri: "s3://processed-data/_etl/0/1-0123456789ab/manifest".into(),
                first_object_uri: Some("s3://processed-data/2026/01/15/part.json".into()),
            },
            skipped: Vec::new(),
        },
    };
    report.to_json()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(status: Value) -> Watched {
        let object = json!({"metadata": {"name": "a"}, "spec": {"any": 1}, "status": status});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_etljob_counts_only_when_its_report_was_read() {
        let complete = |rows: Option<u64>| {
            watched(json!({
                "conditions": [{"type": "Complete", "status": "True"}],
                "statistics": rows.map(|rows| json!({"rowsWritten": rows})),
            }))
        };
        let ended = |arm: Arm, object| arm.ended(&object).map(|ended| ended.is_ok());
        assert_eq!(ended(Arm::EtlJobs, complete(Some(ROWS))), Some(true));
        assert_eq!(ended(Arm::EtlJobs, complete(None)), Some(false));
        assert_eq!(ended(Arm::Jobs, complete(None)), Some(true));
    }

    #[test]
    fn the_default_of_a_status_is_no_begin() {
        assert!(!Arm::begun(&watched(json!({"observedGeneration": -1}))));
        let conditions = json!([{"type": "Reconciling", "status": "True"}]);
        assert!(Arm::begun(&watched(json!({"conditions": conditions}))));
    }

    #[test]
    fn what_has_not_ended_is_told_from_what_has_failed() {
        let condition = |kind: &str, status: &str| {
            watched(json!({"conditions": [{"type": kind, "status": status}]}))
        };
        assert!(Arm::Jobs.ended(&watched(json!({}))).is_none());
        assert!(Arm::Jobs.ended(&condition("Complete", "False")).is_none());
        assert!(
            Arm::Jobs
                .ended(&condition("Failed", "True"))
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn the_report_is_what_the_operator_reads_once_the_uid_stands_in_it() {
        let text = report();
        let (before, rest) = text.split_once("{{").unwrap();
        let (action, after) = rest.split_once("}}").unwrap();
        assert!(action.contains("`etl-operator.io/job-uid`"), "{action}");
        let report = RunReport::from_json(&format!("{before}some-uid{after}")).unwrap();
        assert_eq!(report.uid, "some-uid");
        assert!(!text.contains('\''));
    }
}
