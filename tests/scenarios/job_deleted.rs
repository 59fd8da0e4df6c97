//! A child Job that somebody deletes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::{Tenant, Timeline};
use serde_json::json;

use crate::faults::{self, ATTEMPT, LARGE, ensure_attempts, start_frozen, uid};

/// The Job goes at once and its pod lives on for a while: the attempt is lost
/// and counted once, and the next one finishes the work.
pub(crate) async fn a_job_deleted_by_kubectl_is_a_lost_attempt(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    delete_and_finish(tenant, &timeline, "--cascade=background").await
}

/// The Job waits for its pod, as when an administrator cleans up with care.
pub(crate) async fn a_job_deleted_with_its_pods_is_a_lost_attempt(
    tenant: &Tenant<'_>,
) -> Result<()> {
    let timeline = tenant.timeline().await?;
    delete_and_finish(tenant, &timeline, "--cascade=foreground").await
}

async fn delete_and_finish(tenant: &Tenant<'_>, timeline: &Timeline, cascade: &str) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let (job, worker) = start_frozen(tenant, "deleted", json!({})).await?;
    let child = timeline
        .jobs_of(uid(&job)?)
        .pop()
        .context("there is a Job")?;
    let namespace = format!("--namespace={}", tenant.namespace());
    let arguments = ["delete", "job", &child, cascade, "--wait=false", &namespace];
    let deleted = tenant.lab().kubectl(&arguments)?;
    let problem = String::from_utf8_lossy(&deleted.stderr);
    ensure!(deleted.status.success(), "kubectl delete job: {problem}");
    if cascade.ends_with("background") {
        timeline.except(&child);
    }
    // Let it sleep through the request to end.
    worker.wait_end(Duration::from_secs(60)).await?;

    let done = tenant.wait_complete("deleted", ATTEMPT * 2).await?;
    ensure_attempts(&done, &[("WorkerLost", true), ("Complete", false)])?;
    faults::hold(tenant, timeline, "deleted", LARGE)
        .await
        .map(drop)
}
