//! Changes of a spec: other work, a suspend, a cancel.

use anyhow::{Result, ensure};
use etl_tests::{Tenant, reason};
use serde_json::{Value, json};

use crate::faults::{self, ATTEMPT, SMALL, start_frozen};
use crate::invariants;

/// A new `runId` begins another run of a finished EtlJob, and the ledger keeps
/// both.
pub(crate) async fn a_run_id_begins_another_run(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let spec = faults::spec(tenant, "again", json!({}));
    tenant.create_etljob("again", &spec).await?;
    tenant.wait_complete("again", ATTEMPT).await?;
    faults::hold(tenant, &timeline, "again", SMALL).await?;

    let patch = json!({"spec": {"runId": "second"}});
    tenant.patch_etljob("again", &patch).await?;
    let second = |job: &Value| job["status"]["run"]["id"] == "second";
    let what = "the second run is open";
    tenant.wait_for("again", what, ATTEMPT, second).await?;
    tenant.wait_complete("again", ATTEMPT).await?;
    let job = faults::hold(tenant, &timeline, "again", SMALL).await?;
    let status = &job["status"];
    ensure!(status["run"]["number"] == 2, "it is not run 2: {status}");
    let first = &status["runs"][0];
    ensure!(first["result"] == "Complete", "run 1 ended as {first}");
    let is = |wanted: &'static str| {
        move |row: &invariants::Row| {
            row["processing_status"].as_s().map(String::as_str) == Ok(wanted)
        }
    };
    faults::wait_row(tenant, &job, "complete", ATTEMPT, is("COMPLETED")).await?;
    Ok(())
}

/// Other work, asked for while a worker runs, ends that worker first.
pub(crate) async fn other_work_replaces_the_run_under_way(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let (_, worker) = start_frozen(tenant, "replaced", json!({})).await?;
    let patch = json!({"spec": {"output": {"json": {"nulls": "Explicit"}}}});
    tenant.patch_etljob("replaced", &patch).await?;
    worker.wait_end(ATTEMPT).await?;
    tenant.wait_complete("replaced", ATTEMPT).await?;
    let job = faults::hold(tenant, &timeline, "replaced", SMALL).await?;
    faults::ensure_attempts(&job, &[("Replaced", false), ("Complete", false)])?;
    let run = &job["status"]["run"]["number"];
    ensure!(*run == 2, "the complete run is {run}");
    Ok(())
}

/// A suspend ends the worker and charges nothing; a resume goes on with the run.
pub(crate) async fn a_suspended_run_goes_on_when_it_is_resumed(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let (_, worker) = start_frozen(tenant, "paused", json!({})).await?;
    let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
    tenant.patch_etljob("paused", &suspend(true)).await?;
    worker.wait_end(ATTEMPT).await?;
    let suspended = |job: &Value| job["status"]["phase"] == "Suspended";
    let what = "it is suspended";
    tenant.wait_for("paused", what, ATTEMPT, suspended).await?;
    ensure!(tenant.pods().await?.is_empty(), "there are still pods");

    tenant.patch_etljob("paused", &suspend(false)).await?;
    tenant.wait_complete("paused", ATTEMPT).await?;
    let job = faults::hold(tenant, &timeline, "paused", SMALL).await?;
    faults::ensure_attempts(&job, &[("Suspended", false), ("Complete", false)])?;
    let run = &job["status"]["run"]["number"];
    ensure!(*run == 1, "the complete run is {run}");
    Ok(())
}

/// A cancel ends worker and run, once it is known that nothing was committed.
pub(crate) async fn a_cancelled_run_is_failed_and_its_record_kept(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let (_, worker) = start_frozen(tenant, "cancelled", json!({})).await?;
    let patch = json!({"spec": {"cancel": true}});
    tenant.patch_etljob("cancelled", &patch).await?;
    worker.wait_end(ATTEMPT).await?;
    tenant.wait_failed("cancelled", ATTEMPT).await?;
    let job = invariants::hold(tenant, &timeline, "cancelled").await?;
    faults::ensure_attempts(&job, &[("Cancelled", false), ("NoManifest", false)])?;
    let found = reason(&job, "Failed");
    ensure!(found == Some("Cancelled"), "the reason is {found:?}");
    Ok(())
}
