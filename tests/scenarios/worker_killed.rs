//! A worker that is killed in the middle of its work.

use anyhow::{Result, ensure};
use etl_tests::Tenant;
use serde_json::json;

use crate::faults::{self, ATTEMPT, LARGE, ensure_attempts, start_frozen};

/// SIGKILL with an output half uploaded: charged once, done again, and nothing
/// of the first try is left.
pub(crate) async fn the_work_of_a_killed_worker_is_done_again(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let (_, worker) = start_frozen(tenant, "killed", json!({})).await?;
    tenant.advance_to_upload(&worker, ATTEMPT).await?;
    ensure!(
        tenant.outputs("killed/").await?.is_empty(),
        "an output is visible before it is whole"
    );
    worker.kill()?;

    let job_done = tenant.wait_complete("killed", ATTEMPT * 2).await?;
    ensure_attempts(&job_done, &[("WorkerLost", true), ("Complete", false)])?;
    let left = tenant.uploaded_parts().await?;
    ensure!(
        left == 0,
        "{left} parts of the killed worker's upload are left"
    );
    faults::hold(tenant, &timeline, "killed", LARGE)
        .await
        .map(drop)
}
