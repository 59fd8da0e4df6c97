//! A node that is lost after the commit and before anybody heard of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use etl_tests::{Node, Tenant, Worker};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::faults::{self, ATTEMPT, SMALL, ensure_attempts, start_frozen, wait_closed};

/// The node that every lab has, and keeps.
const OTHER_NODE: &str = "lab";

/// For Kubernetes to give up the pods of a node that is gone, or for the
/// operator to give up the attempt.
const GIVEN_UP: Duration = Duration::from_secs(180);

/// Two EtlJobs that may fail only once have committed on a node that vanishes
/// with the news. The patient one has its pod replaced by Kubernetes; the hasty
/// one runs into its deadline first, which is charged, and is looked up. Both
/// are complete, with the totals that the lost workers had committed.
pub(crate) async fn what_a_lost_node_had_committed_is_complete(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let node = tenant.lab().add_node("lost")?;
    label(tenant, node.name(), "patient=yes")?;
    label(tenant, node.name(), "hasty=yes")?;
    let (_, patient) = start_frozen(tenant, "patient", on("patient", 3600)).await?;
    let (_, hasty) = start_frozen(tenant, "hasty", on("hasty", 20)).await?;

    lose(tenant, &node, &[(&hasty, "hasty"), (&patient, "patient")]).await?;
    // The autoscaler brings a replacement for the one, and for the other only
    // when its attempt has been given up.
    label(tenant, OTHER_NODE, "patient=yes")?;
    wait_closed(tenant, "hasty", 1, GIVEN_UP).await?;
    label(tenant, OTHER_NODE, "hasty=yes")?;

    tenant.wait_complete("hasty", ATTEMPT).await?;
    let done = faults::hold(tenant, &timeline, "hasty", SMALL).await?;
    ensure_attempts(&done, &[("DeadlineExceeded", true), ("Complete", false)])?;
    tenant.wait_complete("patient", GIVEN_UP).await?;
    let done = faults::hold(tenant, &timeline, "patient", SMALL).await?;
    ensure_attempts(&done, &[("Complete", false)])
}

fn on(label: &str, deadline: u32) -> Value {
    json!({
        "worker": {"nodeSelector": {label: "yes"}},
        "retryPolicy": {"maxAttempts": 1},
        "execution": {"activeDeadlineSeconds": deadline},
    })
}

/// Lets the workers commit while their kubelet says nothing, then takes the node
/// away, as a cloud does: first the machine, then its name.
async fn lose(tenant: &Tenant<'_>, node: &Node, workers: &[(&Worker, &str)]) -> Result<()> {
    node.freeze_kubelet()?;
    for (worker, name) in workers {
        worker.thaw()?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while tenant.manifests(&format!("{name}/")).await?.is_empty() {
            ensure!(Instant::now() < deadline, "{name} does not commit");
            sleep(Duration::from_millis(10)).await;
        }
    }
    node.kill()?;
    for (worker, _) in workers {
        let pod = tenant.api::<Pod>().get(worker.pod_name()).await?;
        let phase = pod.status.and_then(|status| status.phase);
        ensure!(
            phase.as_deref() == Some("Running"),
            "the end of pod {} is known: {phase:?}",
            worker.pod_name()
        );
    }
    kubectl(tenant, &["delete", "node", node.name(), "--wait=false"])
}

fn label(tenant: &Tenant<'_>, node: &str, label: &str) -> Result<()> {
    kubectl(tenant, &["label", "node", node, label, "--overwrite"])
}

fn kubectl(tenant: &Tenant<'_>, arguments: &[&str]) -> Result<()> {
    let output = tenant.lab().kubectl(arguments)?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {arguments:?}: {problem}");
    Ok(())
}
