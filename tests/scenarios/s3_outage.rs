//! A store that is away for a while.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::{Tenant, Worker};
use serde_json::json;
use tokio::time::sleep;

use crate::faults::{self, ATTEMPT, LARGE, start_frozen};
use crate::invariants::attempts;

/// How long nobody can reach the store.
const OUTAGE: Duration = Duration::from_secs(20);

/// The store goes in the middle of a read and a write, and comes back: the run
/// ends well, and what failed meanwhile is called by its name.
pub(crate) async fn a_run_outlives_an_outage_of_the_store(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let changes = json!({"retryPolicy": {"maxAttempts": 20}});
    let (_, worker) = start_frozen(tenant, "bridged", changes).await?;
    tenant.advance_to_upload(&worker, ATTEMPT).await?;

    let s3 = tenant.lab().site().s3();
    s3.stop()?;
    let outage = endure(&worker).await;
    s3.start()?;
    outage?;

    let done = tenant.wait_complete("bridged", ATTEMPT * 2).await?;
    let (last, failed) = attempts(&done).split_last().context("there are attempts")?;
    ensure!(last["result"] == "Complete", "the last attempt is {last}");
    ensure!(
        !failed.is_empty(),
        "no attempt noticed the outage: it was too short to show anything"
    );
    for attempt in failed {
        ensure!(
            attempt["result"] == "Unavailable" && attempt["charged"] == true,
            "an attempt during the outage ended otherwise: {attempt}"
        );
    }
    faults::hold(tenant, &timeline, "bridged", LARGE)
        .await
        .map(drop)
}

async fn endure(worker: &Worker) -> Result<()> {
    worker.thaw()?;
    sleep(OUTAGE).await;
    Ok(())
}
