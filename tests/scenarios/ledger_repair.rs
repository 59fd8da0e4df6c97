//! What befalls the ledger, or an EtlJob in it, while no operator runs.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use etl_tests::{LEDGER_TABLE, Lab, Tenant};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::faults::{self, SMALL, start_frozen};
use crate::invariants::{Row, attribute};

/// For pods to go, and for a sweep to be made and written.
const SETTLE: Duration = Duration::from_secs(60);

/// An EtlJob is deleted in the middle of its run, and rows are removed, altered
/// and damaged. The next operator ends the one and restores the others, and
/// leaves alone what is another cluster's.
pub(crate) async fn the_next_operator_puts_right_what_happened_meanwhile(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let mut finished = Vec::new();
    for name in ["removed", "altered", "defaced"] {
        finished.push(faults::complete(tenant, &timeline, name).await?);
    }
    let (doomed, worker) = start_frozen(tenant, "doomed", json!({})).await?;
    let under_way = |row: &Row| attribute(row, "processing_status") == Some("IN_PROGRESS");
    let open = faults::wait_row(tenant, &doomed, "IN_PROGRESS", SETTLE, under_way).await?;
    let mut rows = Vec::new();
    for job in &finished {
        rows.push(tenant.ledger_row(job, 1).await?.context("there is a row")?);
    }

    let lab = tenant.lab();
    lab.install(&json!({"replicaCount": 0}))?;
    let meanwhile = async {
        wait_operators_gone(lab).await?;
        tenant.delete_etljob("doomed").await?;
        worker.wait_told(Duration::from_secs(30)).await?;
        worker.thaw()?;
        tamper(lab, &rows).await?;
        put_stranger(lab, &open).await
    }
    .await;
    lab.install(&json!({"replicaCount": 1}))?;
    let stranger = meanwhile?;

    let closed = |row: &Row| attribute(row, "processing_status") == Some("CANCELLED");
    let closed = faults::wait_row(tenant, &doomed, "CANCELLED", SETTLE, closed).await?;
    let message = attribute(&closed, "error_message");
    ensure!(
        message == Some("deleted before its end was recorded"),
        "the row says {message:?}"
    );
    ensure!(closed.contains_key("end_time"), "the row has no end");
    let kept = ["source_file_path", "start_time", "job", "uid", "attempt"];
    for name in kept {
        ensure!(closed.get(name) == open.get(name), "{name} has changed");
    }
    for (job, row) in finished.iter().zip(&rows) {
        let restored = |now: &Row| now == row;
        faults::wait_row(tenant, job, "as it was", SETTLE, restored).await?;
    }
    let key = attribute(&stranger, "file_id").context("it has a key")?;
    let still = lab.ledger_row(key).await?;
    ensure!(
        still.as_ref() == Some(&stranger),
        "another cluster's row was touched: {still:?}"
    );
    Ok(())
}

async fn wait_operators_gone(lab: &Lab) -> Result<()> {
    let deadline = Instant::now() + SETTLE;
    while !lab.operator_pods().await?.is_empty() {
        ensure!(Instant::now() < deadline, "an operator still runs");
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Removes the first row, alters the second, and takes the third its revision.
async fn tamper(lab: &Lab, rows: &[Row]) -> Result<()> {
    let [removed, altered, defaced] = rows else {
        bail!("three rows are to be changed");
    };
    let table = lab.dynamodb();
    let key = removed.get("file_id").context("it has a key")?;
    let removal = table.delete_item().table_name(LEDGER_TABLE);
    removal.key("file_id", key.clone()).send().await?;
    let mut altered = altered.clone();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    altered.insert("processing_status".to_owned(), text("FAILED"));
    altered.insert("error_message".to_owned(), text("so it was said"));
    altered.remove("manifest");
    let mut defaced = defaced.clone();
    defaced.insert("revision".to_owned(), text("newest"));
    for row in [altered, defaced] {
        let put = table.put_item().table_name(LEDGER_TABLE);
        put.set_item(Some(row)).send().await?;
    }
    Ok(())
}

/// Puts the same row for a cluster of another id, whose EtlJobs are not here.
async fn put_stranger(lab: &Lab, row: &Row) -> Result<Row> {
    let mut stranger = row.clone();
    let key = attribute(row, "file_id").context("it has a key")?;
    let (_, rest) = key
        .split_once('/')
        .context("the key begins with the cluster")?;
    let key = AttributeValue::S(format!("elsewhere/{rest}"));
    stranger.insert("file_id".to_owned(), key);
    let put = lab.dynamodb().put_item().table_name(LEDGER_TABLE);
    put.set_item(Some(stranger.clone())).send().await?;
    Ok(stranger)
}
