//! Keys that the store does not know.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::{Tenant, reason};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::invariants::{self, attempts, number, text};
use crate::reader::same_rows;

const LIMIT: Duration = Duration::from_secs(180);

/// How much later than its time an attempt may start, in seconds.
const LATE: f64 = 5.0;

/// AccessDenied is retried with the delays that the resource asks for, and given
/// up at exactly `maxAttempts`.
pub(crate) async fn wrong_keys_are_retried_by_the_own_backoff(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    source(tenant).await?;
    tenant.break_credentials().await?;
    // Delays of 1, 3, 4 and 4 s, and of 2 s with up to half of it on top.
    let steady = json!({"initialSeconds": 1, "factor": 3, "maxSeconds": 4, "jitterPercent": 0});
    let jittery = json!({"initialSeconds": 2, "factor": 1, "maxSeconds": 2, "jitterPercent": 50});
    create(tenant, "steady", 5, &steady).await?;
    create(tenant, "jittery", 3, &jittery).await?;
    for (name, delays) in [
        (
            "steady",
            &[(1.0, 1.0), (3.0, 3.0), (4.0, 4.0), (4.0, 4.0)][..],
        ),
        ("jittery", &[(2.0, 3.0), (2.0, 3.0)]),
    ] {
        tenant.wait_failed(name, LIMIT).await?;
        let job = invariants::hold(tenant, &timeline, name).await?;
        ensure!(
            reason(&job, "Failed") == Some("RetriesExhausted"),
            "{name}: {}",
            job["status"]["conditions"]
        );
        let failure = &job["status"]["lastFailure"];
        ensure!(
            failure["category"] == "AccessDenied" && failure["reason"] == "RetriesExhausted",
            "{name}: {failure}"
        );
        ensure!(
            failure["hint"].is_string(),
            "{name}: no next step: {failure}"
        );
        let allowed = number(&job, "/spec/retryPolicy/maxAttempts");
        ensure!(
            attempts(&job).len() as u64 == allowed
                && number(&job, "/status/run/failures") == allowed,
            "{name}: not exactly {allowed} attempts: {}",
            job["status"]["attempts"]
        );
        the_gaps_are(name, &job, delays)?;
    }
    Ok(())
}

/// The recorded end of each attempt against the recorded start of the next.
fn the_gaps_are(name: &str, job: &Value, delays: &[(f64, f64)]) -> Result<()> {
    let attempts = attempts(job);
    ensure!(attempts.len() == delays.len() + 1, "{name}: {attempts:?}");
    for (pair, (least, most)) in attempts.windows(2).zip(delays) {
        let end: Timestamp = text(&pair[0], "/endTime")?.parse()?;
        let start: Timestamp = text(&pair[1], "/startTime")?.parse()?;
        let gap = start.duration_since(end).as_secs_f64();
        ensure!(
            gap >= *least && gap <= most + LATE,
            "{name}: {gap} s between attempts, not {least} to {most}: {pair:?}"
        );
        let told = pair[0]["backoffSeconds"].as_f64();
        let told = told.with_context(|| format!("{name}: no delay recorded: {pair:?}"))?;
        ensure!(
            told >= *least && told <= most.ceil() && gap >= told - 1.0,
            "{name}: a delay of {told} s is recorded, it was {gap} s"
        );
    }
    ensure!(
        attempts
            .iter()
            .all(|attempt| attempt["result"] == "AccessDenied"),
        "{name}: {attempts:?}"
    );
    let last = attempts.last().context("there are attempts")?;
    ensure!(
        last["backoffSeconds"].is_null(),
        "{name}: a delay after the end: {last}"
    );
    Ok(())
}

/// Keys that are mended while the operator waits are used by the next attempt.
pub(crate) async fn mended_keys_end_the_trouble(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    source(tenant).await?;
    tenant.break_credentials().await?;
    let backoff = json!({"initialSeconds": 4, "factor": 1, "maxSeconds": 4});
    create(tenant, "mended", 5, &backoff).await?;
    let retrying = |job: &Value| job["status"]["phase"] == "Retrying";
    let waiting = tenant
        .wait_for("mended", "Retrying", LIMIT, retrying)
        .await?;
    let due = text(&waiting, "/status/nextAttemptTime")?.to_owned();
    tenant.mend_credentials().await?;
    tenant.wait_complete("mended", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "mended").await?;
    let results: Vec<&Value> = attempts(&job)
        .iter()
        .map(|attempt| &attempt["result"])
        .collect();
    ensure!(
        results == ["AccessDenied", "Complete"],
        "the attempts ended as {results:?}"
    );
    let (start, due) = (
        text(&attempts(&job)[1], "/startTime")?,
        due.parse::<Timestamp>()?,
    );
    ensure!(
        start.parse::<Timestamp>()? >= due,
        "it started at {start}, due was {due}"
    );
    ensure!(
        job["status"]["lastFailure"].is_null(),
        "the failure is still shown"
    );
    let key = text(&job, "/status/output/firstObjectUri")?.replace(&tenant.uri(""), "");
    same_rows(tenant, &[("in/a.parquet", key.as_str())], &json!({})).map(drop)
}

async fn source(tenant: &Tenant<'_>) -> Result<()> {
    tenant
        .put_sample("in/a.parquet", "green_tripdata_2022-01.parquet")
        .await
}

async fn create(tenant: &Tenant<'_>, name: &str, attempts: u32, backoff: &Value) -> Result<()> {
    let spec = json!({
        "source": {"uri": tenant.uri("in/a.parquet")},
        "output": {"uri": tenant.uri(&format!("out/{name}/"))},
        "retryPolicy": {"maxAttempts": attempts, "backoff": backoff},
    });
    tenant.create_etljob(name, &spec).await.map(drop)
}
