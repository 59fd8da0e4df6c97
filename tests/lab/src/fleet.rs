//! Nodes that exist only in the API: kwok plays their kubelets, so that as many
//! pods as the control plane can take run without running anything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::controlplane::{ETCD, kubectl};
use crate::layout::write;
use crate::net::http_post;
use crate::process::{Launch, Lifetime, Process};
use crate::site::Site;

const READY: Duration = Duration::from_secs(60);

/// Pretended nodes, and how the pods of Jobs fare on them.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Nodes, each with room for 1,000 pods that are not finished.
    pub nodes: u32,
    /// From the start of a pod's containers to their end, with exit code 0.
    pub run_time: Duration,
    /// What they leave as termination message: a Go template in which `$pod` is
    /// the pod. It may not contain single quotes.
    pub termination_message: String,
}

impl Fleet {
    /// Starts kwok, creates the nodes and waits until they are ready.
    pub(crate) fn start(&self, site: &Site, lifetime: Lifetime) -> Result<Process> {
        ensure!(
            !self.termination_message.contains('\''),
            "the termination message stands in single quotes: use none in it"
        );
        let kwok = site.artefacts().kwok()?;
        let layout = site.layout();
        let config = layout.root().join("kwok.yaml");
        write(&config, self.configuration())?;
        let kwok = Launch::in_netns("kwok", &layout.netns_path(), &layout.log(), kwok)
            .arg(format!("--kubeconfig={}", site.kubeconfig().display()))
            .arg(format!("--config={}", config.display()))
            .args(["--manage-all-nodes", "--server-address=127.0.0.1:10247"])
            .spawn(lifetime)?;
        let nodes: Vec<Value> = (0..self.nodes).map(node).collect();
        site.apply(&json!({
            "apiVersion": "v1", "kind": "List", "metadata": {"name": "fleet"}, "items": nodes,
        }))?;
        let arguments = [
            "wait",
            "--for=condition=Ready",
            "nodes",
            "--all",
            "--timeout=5s",
        ];
        kwok.wait_until("nodes ready", READY, || {
            let bin = site.artefacts().controlplane();
            Ok(kubectl(layout, bin, &arguments)?.status.success())
        })?;
        Ok(kwok)
    }

    /// One YAML document per object; JSON is YAML.
    fn configuration(&self) -> String {
        let documents = [
            json!({
                "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
                "kind": "KwokConfiguration",
                // It knows no defaults for a file; those are the ones of its flags, but
                // that 4 pods at a time would be what is measured.
                "options": {
                    "cidr": "10.0.0.1/24",
                    "podPlayStageParallelism": 32,
                    "podsOnNodeSyncParallelism": 4,
                    "nodePlayStageParallelism": 4,
                    "nodeLeaseParallelism": 4,
                    // Who renews no lease is taken for lost.
                    "nodeLeaseDurationSeconds": 120,
                },
            }),
            node_stage(),
            stage(
                "pod-starts",
                &["Pending"],
                false,
                Duration::ZERO,
                PodIs::Running,
            ),
            stage(
                "pod-ends",
                &["Running"],
                true,
                self.run_time,
                PodIs::Succeeded(self),
            ),
            stage("pod-goes", &[], false, Duration::ZERO, PodIs::Gone),
        ];
        documents
            .map(|document| document.to_string())
            .join("\n---\n")
    }
}

/// A node gets ready at once, and stays so.
fn node_stage() -> Value {
    json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "node-is-ready"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Node"},
            "selector": {"matchExpressions": [{
                "key": ".status.conditions.[] | select( .type == \"Ready\" ) | .status",
                "operator": "NotIn",
                "values": ["True"],
            }]},
            "next": {"statusTemplate": NODE_READY},
        },
    })
}

const NODE_READY: &str = r#"{{ $now := Now }}
conditions:
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: pretended
  reason: KubeletReady
  status: "True"
  type: Ready
"#;

/// What becomes of a pod.
enum PodIs<'a> {
    Running,
    Succeeded(&'a Fleet),
    Gone,
}

/// One step in the life of a pod on a pretended node.
fn stage(name: &str, phases: &[&str], of_job: bool, delay: Duration, becomes: PodIs) -> Value {
    let exists = |key: &str, operator: &str| json!({"key": key, "operator": operator});
    let is_in =
        |key: &str, values: &[&str]| json!({"key": key, "operator": "In", "values": values});
    let deleted = match becomes {
        PodIs::Gone => "Exists",
        PodIs::Running | PodIs::Succeeded(_) => "DoesNotExist",
    };
    let mut conditions = vec![exists(".metadata.deletionTimestamp", deleted)];
    if !phases.is_empty() {
        conditions.push(is_in(".status.phase", phases));
    }
    if of_job {
        conditions.push(is_in(".metadata.ownerReferences.[].kind", &["Job"]));
    }
    let next = match becomes {
        PodIs::Running => json!({"statusTemplate": RUNNING}),
        PodIs::Succeeded(fleet) => {
            json!({"statusTemplate": SUCCEEDED.replace("MESSAGE", &fleet.termination_message)})
        }
        PodIs::Gone => json!({"finalizers": {"empty": true}, "delete": true}),
    };
    json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": conditions},
            "delay": {"durationMilliseconds": delay.as_millis()},
            "next": next,
        },
    })
}

const RUNNING: &str = r#"{{ $now := Now }}
conditions:
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: PodReadyToStartContainers}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Initialized}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Ready}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: ContainersReady}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
hostIP: 10.244.0.1
podIP: 10.244.0.2
phase: Running
startTime: {{ $now | Quote }}
"#;

const SUCCEEDED: &str = r#"{{ $now := Now }}
{{ $pod := . }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $pod.status.startTime | Quote }}
      finishedAt: {{ $now | Quote }}
      message: 'MESSAGE'
{{ end }}
phase: Succeeded
"#;

fn node(index: u32) -> Value {
    let room = json!({"cpu": "1k", "memory": "10Ti", "pods": "1000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": format!("pretended-{index}"),
            "labels": {
                "kubernetes.io/os": "linux",
                "kubernetes.io/hostname": format!("pretended-{index}"),
            },
        },
        "status": {"allocatable": room, "capacity": room},
    })
}

impl Site {
    /// Asks etcd's JSON interface, such as `/v3/kv/txn`: for objects in numbers
    /// that the API server would need hours to create.
    ///
    /// # Errors
    /// What etcd says.
    pub fn etcd(&self, path: &str, body: &Value) -> Result<Value> {
        let address = ETCD.trim_start_matches("http://").parse()?;
        let headers = [("Content-Type", "application/json")];
        let answer = http_post(address, path, &headers, &body.to_string());
        let (status, answer) = answer.context("etcd does not answer")?;
        let (_, answer) = answer.split_once("\r\n\r\n").unwrap_or_default();
        ensure!(status == 200, "etcd answers {status}: {answer}");
        Ok(serde_json::from_str(answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_documents_that_kwok_can_tell_apart() {
        let fleet = Fleet {
            nodes: 1,
            run_time: Duration::from_millis(1500),
            termination_message: r#"{"uid":"{{ $pod.metadata.uid }}"}"#.into(),
        };
        let text = fleet.configuration();
        let documents: Vec<Value> = text
            .split("\n---\n")
            .map(|document| serde_json::from_str(document).unwrap())
            .collect();
        let kinds: Vec<&Value> = documents.iter().map(|document| &document["kind"]).collect();
        assert_eq!(
            kinds,
            ["KwokConfiguration", "Stage", "Stage", "Stage", "Stage"]
        );
        let end = &documents[3]["spec"];
        assert_eq!(end["delay"]["durationMilliseconds"], 1500);
        let status = end["next"]["statusTemplate"].as_str().unwrap();
        assert!(status.contains(r#"message: '{"uid":"{{ $pod.metadata.uid }}"}'"#));
    }
}
