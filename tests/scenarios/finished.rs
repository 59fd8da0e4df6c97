//! Finished stays finished.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::Tenant;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::faults::{self, ATTEMPT, SMALL, spec};
use crate::invariants;

/// Child Jobs of a complete and of a failed run are deleted and the operator is
/// restarted: nothing is started, and not a byte of either EtlJob changes.
pub(crate) async fn nothing_starts_a_finished_run_again(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let good = spec(tenant, "good", json!({}));
    let bad = spec(
        tenant,
        "bad",
        json!({"source": {"uri": tenant.uri("in/nothing.parquet")}}),
    );
    tenant.create_etljob("good", &good).await?;
    tenant.create_etljob("bad", &bad).await?;
    tenant.wait_complete("good", ATTEMPT).await?;
    tenant.wait_failed("bad", ATTEMPT).await?;
    let before = [
        faults::hold(tenant, &timeline, "good", SMALL).await?,
        invariants::hold(tenant, &timeline, "bad").await?,
    ];
    let category = &before[1]["status"]["lastFailure"]["category"];
    ensure!(
        category == "SourceNotFound",
        "the run failed for {category}"
    );

    delete_jobs(tenant).await?;
    tenant.lab().kill_operator().await?;
    tenant.lab().wait_operator_ready().await?;
    // What the new process works off first are the EtlJobs that it found.
    let later = spec(tenant, "later", json!({}));
    tenant.create_etljob("later", &later).await?;
    tenant.wait_complete("later", ATTEMPT).await?;
    faults::hold(tenant, &timeline, "later", SMALL).await?;
    for old in &before {
        unchanged(tenant, old).await?;
        let jobs = timeline.jobs_of(faults::uid(old)?);
        ensure!(jobs.len() == 1, "a finished run got another Job: {jobs:?}");
    }
    Ok(())
}

async fn delete_jobs(tenant: &Tenant<'_>) -> Result<()> {
    let jobs = tenant.api::<Job>();
    let all = ListParams::default();
    jobs.delete_collection(&DeleteParams::background(), &all)
        .await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !jobs.list(&all).await?.items.is_empty() {
        ensure!(Instant::now() < deadline, "the Jobs do not go");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn unchanged(tenant: &Tenant<'_>, before: &Value) -> Result<()> {
    let name = invariants::text(before, "/metadata/name")?;
    let after = tenant.etljob(name).await?.context("the EtlJob is there")?;
    ensure!(
        *before == after,
        "EtlJob {name} was {before}, and is {after}"
    );
    Ok(())
}
