//! A worker that needs more memory than it is given.

use anyhow::{Context, Result, ensure};
use etl_tests::Tenant;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::faults::{self, ATTEMPT, LARGE, ensure_attempts, start_frozen, wait_closed};

/// The kernel ends a worker that is over its limit; the memory is raised while
/// the next attempt waits, and that one finishes.
pub(crate) async fn memory_raised_between_attempts_is_used_by_the_next(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let changes = json!({
        "worker": {"resources": memory("256Mi")},
        "retryPolicy": {"backoff": {"initialSeconds": 10, "maxSeconds": 10}},
    });
    let (_, worker) = start_frozen(tenant, "hungry", changes).await?;
    // What a worker can know beforehand it refuses (below): it has accepted the
    // limit when it is taken away.
    tenant.advance_to_plan(&worker, ATTEMPT).await?;
    worker.exhaust_memory()?;
    worker.thaw()?;
    let waiting = wait_closed(tenant, "hungry", 1, ATTEMPT).await?;
    ensure_attempts(&waiting, &[("OutOfMemory", true)])?;
    ensure!(
        waiting["status"]["phase"] == "Retrying",
        "the phase is {}",
        waiting["status"]["phase"]
    );
    the_kernel_did_it(tenant).await?;

    let more = json!({"spec": {"worker": {"resources": memory("512Mi")}}});
    tenant.patch_etljob("hungry", &more).await?;
    let second = tenant.worker("hungry", 2, ATTEMPT).await?;
    let limits = serde_json::to_value(&second.pod.spec)?["containers"][0]["resources"].clone();
    ensure!(limits == memory("512Mi"), "the second worker has {limits}");
    tenant.wait_complete("hungry", ATTEMPT * 2).await?;
    let done = faults::hold(tenant, &timeline, "hungry", LARGE).await?;
    ensure_attempts(&done, &[("OutOfMemory", true), ("Complete", false)])
}

/// A file that cannot fit is refused before it is started, with the amount.
pub(crate) async fn a_file_that_cannot_fit_is_refused_with_the_amount(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let changes = json!({
        "worker": {"resources": memory("32Mi")},
        "retryPolicy": {"maxAttempts": 1},
    });
    let spec = faults::spec(tenant, "refused", changes);
    tenant.create_etljob("refused", &spec).await?;
    tenant.wait_failed("refused", ATTEMPT).await?;
    let failed = crate::invariants::hold(tenant, &timeline, "refused").await?;
    ensure_attempts(&failed, &[("OutOfMemory", true)])?;
    let failure = &failed["status"]["lastFailure"];
    let message = failure["message"].as_str().unwrap_or_default();
    ensure!(
        failure["exitCode"] == 82 && message.contains("MiB"),
        "the failure does not name the amount: {failure}"
    );
    Ok(())
}

fn memory(amount: &str) -> Value {
    json!({"requests": {"memory": amount}, "limits": {"memory": amount}})
}

async fn the_kernel_did_it(tenant: &Tenant<'_>) -> Result<()> {
    let pods = tenant
        .api::<Pod>()
        .list(&ListParams::default())
        .await?
        .items;
    let pod = pods
        .first()
        .context("the pod of the first attempt is there")?;
    let status = serde_json::to_value(&pod.status)?;
    let reason = &status["containerStatuses"][0]["state"]["terminated"]["reason"];
    ensure!(
        reason == "OOMKilled",
        "the container ended otherwise: {status}"
    );
    Ok(())
}
