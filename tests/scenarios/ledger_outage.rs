//! A ledger that is away, and one that is ahead.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use etl_tests::{LEDGER_TABLE, Tenant};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::faults::{self, ATTEMPT, SMALL, ensure_attempts, spec, start_frozen};
use crate::invariants::{Row, attribute};

/// Within which the ledger follows after any outage.
const CATCH_UP: Duration = Duration::from_secs(60);

/// Runs that begin and end while the ledger is away.
const DOZENS: usize = 24;

/// For all of them, on a machine with two cores.
const ALL_OF_THEM: Duration = Duration::from_secs(400);

/// DynamoDB is away for a whole run with a retry in it: the run does not mind,
/// and the row that appears afterwards says what the status says.
pub(crate) async fn a_run_without_its_ledger_is_recorded_later(tenant: &Tenant<'_>) -> Result<()> {
    recorded_after(tenant, run_with_a_retry(tenant)).await
}

/// What an operator did not live to write is written by the next one, which
/// starts without the ledger.
pub(crate) async fn a_restart_during_an_outage_loses_no_row(tenant: &Tenant<'_>) -> Result<()> {
    let run = async {
        run_with_a_retry(tenant).await?;
        tenant.lab().kill_operator().await?;
        tenant.lab().wait_operator_ready().await
    };
    recorded_after(tenant, run).await
}

async fn run_with_a_retry(tenant: &Tenant<'_>) -> Result<()> {
    let (_, worker) = start_frozen(tenant, "unrecorded", json!({})).await?;
    worker.kill()?;
    tenant.wait_complete("unrecorded", ATTEMPT * 2).await?;
    Ok(())
}

async fn recorded_after(
    tenant: &Tenant<'_>,
    outage: impl Future<Output = Result<()>>,
) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let ledger = tenant.lab().site().dynamodb();
    ledger.stop()?;
    let outcome = outage.await;
    ledger.start()?;
    outcome?;

    let job = tenant
        .etljob("unrecorded")
        .await?
        .context("the EtlJob is there")?;
    let recorded = |row: &Row| attribute(row, "processing_status") == Some("COMPLETED");
    faults::wait_row(tenant, &job, "COMPLETED", CATCH_UP, recorded).await?;
    let done = faults::hold(tenant, &timeline, "unrecorded", SMALL).await?;
    ensure_attempts(&done, &[("WorkerLost", true), ("Complete", false)])
}

/// Many EtlJobs run in the outage, and some are deleted in it when they have
/// ended: nothing but the operator knows of their runs by then.
pub(crate) async fn dozens_of_runs_without_their_ledger_are_recorded_in_a_minute(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let ledger = tenant.lab().site().dynamodb();
    ledger.stop()?;
    let ran = run_dozens(tenant).await;
    ledger.start()?;
    let start = Instant::now();
    let jobs = ran?;
    for job in &jobs {
        let left = CATCH_UP.saturating_sub(start.elapsed());
        let recorded = |row: &Row| attribute(row, "processing_status") == Some("COMPLETED");
        let row = faults::wait_row(tenant, job, "COMPLETED", left, recorded).await?;
        let revision = row.get("revision").and_then(|value| value.as_n().ok());
        let expected = job["status"]["revision"].to_string();
        ensure!(
            revision == Some(&expected),
            "the row has revision {revision:?}, the status {expected}"
        );
    }
    Ok(())
}

/// The EtlJobs as they were at their ends.
async fn run_dozens(tenant: &Tenant<'_>) -> Result<Vec<Value>> {
    let deadline = Instant::now() + ALL_OF_THEM;
    let names: Vec<String> = (0..DOZENS)
        .map(|number| format!("dozens-{number}"))
        .collect();
    for name in &names {
        tenant
            .create_etljob(name, &spec(tenant, name, json!({})))
            .await?;
    }
    let mut ended = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        ended.push(tenant.wait_complete(name, left).await?);
        if number % 6 == 0 {
            tenant.delete_etljob(name).await?;
        }
    }
    Ok(ended)
}

/// A row with a higher revision stays as it is through a restart of the operator
/// and a change of the status.
pub(crate) async fn a_newer_row_is_never_replaced(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let job = faults::complete(tenant, &timeline, "ahead").await?;
    let mut row = tenant
        .ledger_row(&job, 1)
        .await?
        .context("there is a row")?;
    let revision = job["status"]["revision"]
        .as_i64()
        .context("there is a revision")?;
    // An hour ahead, as after the restore of an old backup of the cluster.
    let ahead = (revision + 3_600_000).to_string();
    row.insert("revision".to_owned(), AttributeValue::N(ahead));
    row.insert(
        "error_message".to_owned(),
        AttributeValue::S("from the future".to_owned()),
    );
    let put = tenant.lab().dynamodb().put_item().table_name(LEDGER_TABLE);
    put.set_item(Some(row.clone())).send().await?;

    tenant.lab().kill_operator().await?;
    tenant.lab().wait_operator_ready().await?;
    let edit = json!({"spec": {"retryPolicy": {"maxAttempts": 7}}});
    let edited = tenant.patch_etljob("ahead", &edit).await?;
    let generation = edited["metadata"]["generation"].clone();
    let answered = |job: &Value| {
        job["status"]["observedGeneration"] == generation && job["status"]["revision"] != revision
    };
    tenant
        .wait_for("ahead", "the edit is answered", ATTEMPT, answered)
        .await?;
    // Rows are written in the order in which they are offered: when this one is
    // there, the other has been tried.
    faults::complete(tenant, &timeline, "afterwards").await?;
    let now = tenant
        .ledger_row(&job, 1)
        .await?
        .context("the row is there")?;
    ensure!(now == row, "the newer row was replaced: {now:?}");
    Ok(())
}
