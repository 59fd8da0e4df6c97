//! Pods that are evicted, as by `kubectl drain`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::{Tenant, Worker};
use k8s_openapi::api::core::v1::Pod;
use kube::api::EvictParams;
use serde_json::json;

use crate::faults::{self, ATTEMPT, LARGE, ensure_attempts, start_frozen, uid};

/// Kubernetes replaces the pod within the attempt, and nothing is charged.
pub(crate) async fn an_evicted_pod_is_replaced_and_not_charged(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let (job, worker) = start_frozen(tenant, "evicted", json!({})).await?;
    tenant.advance_to_upload(&worker, ATTEMPT).await?;
    evict(tenant, &worker).await?;

    let job_done = tenant.wait_complete("evicted", ATTEMPT * 2).await?;
    ensure_attempts(&job_done, &[("Complete", false)])?;
    let jobs = timeline.jobs_of(uid(&job)?);
    ensure!(jobs.len() == 1, "an eviction led to another Job: {jobs:?}");
    let pods = timeline.pods_of(&jobs[0]);
    ensure!(
        pods.len() == 2,
        "the evicted pod was not replaced: {pods:?}"
    );
    faults::hold(tenant, &timeline, "evicted", LARGE)
        .await
        .map(drop)
}

/// Evicts the pod of a frozen worker and lets the worker hear of it.
async fn evict(tenant: &Tenant<'_>, worker: &Worker) -> Result<()> {
    let pods = tenant.api::<Pod>();
    pods.evict(worker.pod_name(), &EvictParams::default())
        .await
        .with_context(|| format!("cannot evict pod {}", worker.pod_name()))?;
    worker.wait_told(Duration::from_secs(20)).await?;
    worker.thaw()?;
    worker.wait_end(Duration::from_secs(20)).await
}
