//! A namespace that is deleted while a run is under way.

use std::time::Duration;

use anyhow::{Result, ensure};
use etl_tests::Tenant;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::faults::{self, LARGE, start_frozen};
use crate::invariants::{Row, attribute};

const STEP: Duration = Duration::from_millis(100);

/// It is gone in half a minute, and the ledger says what became of the run.
pub(crate) async fn a_namespace_goes_at_once_and_the_ledger_closes_the_run(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let (job, worker) = start_frozen(tenant, "doomed", json!({})).await?;
    wait_row(tenant, &job, "IN_PROGRESS").await?;

    let start = Instant::now();
    let namespaces: Api<Namespace> = Api::all(tenant.lab().client());
    namespaces
        .delete(tenant.namespace(), &DeleteParams::default())
        .await?;
    // The worker sleeps until its end has been asked for, and hears it then.
    worker.wait_told(Duration::from_secs(20)).await?;
    worker.thaw()?;
    while namespaces.get_opt(tenant.namespace()).await?.is_some() {
        let waited = start.elapsed().as_secs();
        ensure!(waited < 30, "the namespace is still there after {waited} s");
        sleep(STEP).await;
    }

    let row = wait_row(tenant, &job, "CANCELLED").await?;
    let message = attribute(&row, "error_message");
    ensure!(
        message == Some("deleted before its end was recorded"),
        "the row says {message:?}"
    );
    ensure!(row.contains_key("end_time"), "the row has no end");
    Ok(())
}

async fn wait_row(tenant: &Tenant<'_>, job: &Value, status: &str) -> Result<Row> {
    let wanted = |row: &Row| attribute(row, "processing_status") == Some(status);
    faults::wait_row(tenant, job, status, Duration::from_secs(60), wanted).await
}
