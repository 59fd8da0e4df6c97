//! An attempt that takes too long, with a worker that wakes up too late.

use std::time::Duration;

use anyhow::{Result, ensure};
use etl_tests::Tenant;
use serde_json::{Value, json};

use crate::faults::{self, ATTEMPT, LARGE, ensure_attempts, start_frozen, wait_closed};

/// The operator ends an attempt a minute after the worker's own deadline.
const ENDING: Duration = Duration::from_secs(20 + 60 + 30);

/// A worker that slept through its deadline neither writes nor commits when it
/// wakes up; the next attempt does the work.
pub(crate) async fn a_worker_that_wakes_after_its_deadline_commits_nothing(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let changes = json!({"execution": {"activeDeadlineSeconds": 20}});
    let (_, zombie) = start_frozen(tenant, "late", changes).await?;
    tenant.advance_to_upload(&zombie, ATTEMPT).await?;

    let ending = |job: &Value| job["status"]["attempt"]["ending"]["reason"] == "DeadlineExceeded";
    tenant
        .wait_for("late", "the attempt is being ended", ENDING, ending)
        .await?;
    // It has the pods' grace to do harm.
    zombie.thaw()?;
    zombie.wait_end(Duration::from_secs(30)).await?;
    let (outputs, manifests) = (
        tenant.outputs("late/").await?,
        tenant.manifests("late/").await?,
    );
    ensure!(
        outputs.is_empty() && manifests.is_empty(),
        "a worker wrote after its deadline: {outputs:?}, {manifests:?}"
    );

    wait_closed(tenant, "late", 1, ATTEMPT).await?;
    let longer = json!({"spec": {"execution": {"activeDeadlineSeconds": 600}}});
    tenant.patch_etljob("late", &longer).await?;
    let job_done = tenant.wait_complete("late", ATTEMPT * 2).await?;
    ensure_attempts(
        &job_done,
        &[("DeadlineExceeded", true), ("Complete", false)],
    )?;
    let left = tenant.uploaded_parts().await?;
    ensure!(
        left == 0,
        "{left} parts of the late worker's upload are left"
    );
    faults::hold(tenant, &timeline, "late", LARGE)
        .await
        .map(drop)
}
