//! Sources that no retry can mend.

use std::time::Duration;

use anyhow::{Result, ensure};
use etl_tests::{Tenant, Timeline, reason};
use serde_json::{Value, json};

use crate::invariants::{self, text};

const LIMIT: Duration = Duration::from_secs(120);

/// A download that broke off: one attempt, and `kubectl describe` says which
/// object it is, what is wrong with it and what to do.
pub(crate) async fn a_truncated_file_fails_at_once_and_is_named(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    tenant
        .put_sample(
            "in/broken.parquet",
            "yellow_tripdata_2021-01.truncated-download.parquet",
        )
        .await?;
    let uri = tenant.uri("in/broken.parquet");
    create(tenant, "broken", &uri).await?;
    let job = fails_at_once(tenant, &timeline, "broken", "BadInput", &uri).await?;
    let failure = &job["status"]["lastFailure"];
    ensure!(
        failure["exitCode"] == 65,
        "the exit code is {}",
        failure["exitCode"]
    );
    let described = tenant.describe("broken")?;
    for part in [
        uri.as_str(),
        "BadInput",
        "footer magic missing",
        "1918543",
        "upload the object again",
        "NotRetryable",
    ] {
        ensure!(described.contains(part), "{part:?} is not in: {described}");
    }
    Ok(())
}

/// What is not parquet at all is not read as something else.
pub(crate) async fn a_file_of_another_kind_is_named(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let uri = tenant.uri("in/table.parquet");
    tenant
        .put("in/table.parquet", b"id,name\n1,one\n".repeat(100))
        .await?;
    create(tenant, "csv", &uri).await?;
    fails_at_once(tenant, &timeline, "csv", "BadInput", &uri).await?;
    Ok(())
}

/// Nothing at the key, no bucket, nothing below the prefix, nothing that the
/// globs select.
pub(crate) async fn a_source_that_is_not_there_is_named(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    tenant
        .put("other/readme.txt", b"no parquet".to_vec())
        .await?;
    let nowhere = format!("s3://{}-nowhere", tenant.bucket());
    // With what must be named of them.
    let [object, prefix, other] = ["in/none.parquet", "in/", "other/"].map(|key| tenant.uri(key));
    let cases = [
        ("no-object", object.clone(), object),
        (
            "no-bucket",
            format!("{nowhere}/in/none.parquet"),
            nowhere.clone(),
        ),
        ("no-bucket-prefix", format!("{nowhere}/in/"), nowhere),
        ("empty-prefix", prefix.clone(), prefix),
        ("nothing-selected", other.clone(), other),
    ];
    for (name, uri, _) in &cases {
        create(tenant, name, uri).await?;
    }
    for (name, _, named) in &cases {
        let job = fails_at_once(tenant, &timeline, name, "SourceNotFound", named).await?;
        let failure = &job["status"]["lastFailure"];
        ensure!(
            failure["hint"].is_string(),
            "{name}: no next step: {failure}"
        );
    }
    Ok(())
}

async fn create(tenant: &Tenant<'_>, name: &str, source: &str) -> Result<()> {
    let spec = json!({
        "source": {"uri": source},
        "output": {"uri": tenant.uri(&format!("out/{name}/"))},
        // Enough to see that they are not used.
        "retryPolicy": {"maxAttempts": 5, "backoff": {"initialSeconds": 0, "maxSeconds": 0}},
    });
    tenant.create_etljob(name, &spec).await.map(drop)
}

/// One attempt, charged, final; the object is named and nothing is written.
async fn fails_at_once(
    tenant: &Tenant<'_>,
    timeline: &Timeline,
    name: &str,
    category: &str,
    object: &str,
) -> Result<Value> {
    tenant.wait_failed(name, LIMIT).await?;
    let job = invariants::hold(tenant, timeline, name).await?;
    let failure = &job["status"]["lastFailure"];
    ensure!(failure["category"] == category, "{name}: {failure}");
    ensure!(failure["reason"] == "NotRetryable", "{name}: {failure}");
    ensure!(
        reason(&job, "Failed") == Some("NotRetryable"),
        "{name}: {}",
        job["status"]
    );
    let message = text(failure, "/message")?;
    ensure!(
        message.contains(object) || failure["object"] == object,
        "{name}: {object} is not named: {failure}"
    );
    ensure!(
        invariants::attempts(&job).len() == 1 && job["status"]["run"]["failures"] == 1,
        "{name}: it was tried again"
    );
    let outputs = tenant
        .outputs(&invariants::output_prefix(tenant, &job)?)
        .await?;
    ensure!(outputs.is_empty(), "{name}: there are outputs: {outputs:?}");
    let row = invariants::the_ledger_agrees(tenant, &job).await?;
    ensure!(
        invariants::attribute(&row, "error_message") == Some(message),
        "{name}: the ledger says {:?}",
        row.get("error_message")
    );
    Ok(job)
}
