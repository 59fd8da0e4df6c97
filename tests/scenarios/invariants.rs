//! What holds at the end of every run, whatever happened on the way.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use etl_tests::{Tenant, Timeline, has_condition, reason};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How far the ledger may be behind.
const LEDGER_LAG: Duration = Duration::from_secs(30);

/// What etcd and people can be expected to bear.
const STATUS_LIMIT_BYTES: usize = 8192;

/// Row of the ledger.
pub(crate) type Row = HashMap<String, AttributeValue>;

/// Checks everything that must hold of an EtlJob whose run has ended, and
/// returns it.
pub(crate) async fn hold(tenant: &Tenant<'_>, timeline: &Timeline, name: &str) -> Result<Value> {
    let job = tenant.etljob(name).await?;
    let job = job.with_context(|| format!("no EtlJob {name}"))?;
    let held = check(tenant, timeline, &job).await;
    held.with_context(|| {
        let status = serde_json::to_string_pretty(&job["status"]).unwrap_or_default();
        format!("an invariant of EtlJob {name} does not hold; status: {status}")
    })?;
    Ok(job)
}

async fn check(tenant: &Tenant<'_>, timeline: &Timeline, job: &Value) -> Result<()> {
    the_status_is_sound(job)?;
    the_attempts_add_up(job)?;
    let uid = text(job, "/metadata/uid")?;
    timeline.ensure_one_live_job(uid)?;
    timeline.ensure_no_orphans()?;
    let jobs = timeline.jobs_of(uid).len();
    let attempts = attempts(job)
        .last()
        .map_or(0, |last| number(last, "/number"));
    // None at all would mean that the timeline saw nothing.
    ensure!(
        (1..=attempts).contains(&u64::try_from(jobs)?),
        "{jobs} Jobs for {attempts} attempts"
    );
    no_pod_has_a_token(tenant).await?;
    the_manifest_tells_the_truth(tenant, job).await?;
    the_ledger_agrees(tenant, job).await.map(drop)
}

fn the_status_is_sound(job: &Value) -> Result<()> {
    let status = &job["status"];
    let ended = [has_condition(job, "Complete"), has_condition(job, "Failed")];
    ensure!(
        ended[0] != ended[1],
        "neither or both of Complete and Failed"
    );
    ensure!(
        status["phase"] == if ended[0] { "Complete" } else { "Failed" },
        "the phase contradicts the conditions"
    );
    ensure!(!has_condition(job, "Reconciling"), "still Reconciling");
    ensure!(
        has_condition(job, "Stalled") == ended[1],
        "Stalled must go with Failed"
    );
    ensure!(
        status["observedGeneration"] == job["metadata"]["generation"],
        "the status answers to another generation"
    );
    ensure!(status["attempt"].is_null(), "an attempt is still open");
    ensure!(
        status["nextAttemptTime"].is_null(),
        "another attempt is due"
    );
    ensure!(
        status["run"]["completionTime"].is_string(),
        "the run has no end"
    );
    ensure!(
        job["metadata"]["finalizers"].is_null(),
        "there is a finalizer"
    );
    let bytes = status.to_string().len();
    ensure!(bytes <= STATUS_LIMIT_BYTES, "the status has {bytes} bytes");
    Ok(())
}

/// The closed attempts, oldest first.
pub(crate) fn attempts(job: &Value) -> &[Value] {
    job["status"]["attempts"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

fn the_attempts_add_up(job: &Value) -> Result<()> {
    let attempts = attempts(job);
    let first = attempts.first().map_or(1, |first| number(first, "/number"));
    // Only the last ten are kept.
    ensure!(
        first == 1 || attempts.len() == 10,
        "the first attempt that is kept has number {first}"
    );
    for (attempt, wanted) in attempts.iter().zip(first..) {
        ensure!(
            number(attempt, "/number") == wanted,
            "the attempts are not consecutive"
        );
    }
    let charged = attempts.iter().filter(|attempt| attempt["charged"] == true);
    let charged = u64::try_from(charged.count())?;
    let failures = number(job, "/status/run/failures");
    ensure!(
        charged == failures || first > 1,
        "{charged} attempts are charged, and {failures} failures counted"
    );
    let limit = number(job, "/spec/retryPolicy/maxAttempts");
    ensure!(failures <= limit, "{failures} failures, {limit} allowed");
    Ok(())
}

async fn no_pod_has_a_token(tenant: &Tenant<'_>) -> Result<()> {
    for pod in tenant.pods().await? {
        let name = pod.metadata.name.clone().unwrap_or_default();
        ensure!(!has_token(&pod), "pod {name} has a token of the API server");
    }
    Ok(())
}

fn has_token(pod: &Pod) -> bool {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .flat_map(|volume| volume.projected.iter())
        .flat_map(|projected| projected.sources.iter().flatten())
        .any(|source| source.service_account_token.is_some())
}

/// A complete run has one manifest, which names what is there and how many rows;
/// a failed one has none.
async fn the_manifest_tells_the_truth(tenant: &Tenant<'_>, job: &Value) -> Result<()> {
    let uid = text(job, "/metadata/uid")?;
    let prefix = output_prefix(tenant, job)?;
    let run = number(job, "/status/run/number");
    let folder = format!("{prefix}_etl/{uid}/{run}-");
    let manifests = tenant.manifests(&folder).await?;
    // What was superseded is complete by the manifest of another run.
    if !has_condition(job, "Complete") || reason(job, "Complete") == Some("Superseded") {
        ensure!(
            manifests.is_empty(),
            "a run without output has {manifests:?}"
        );
        return Ok(());
    }
    ensure!(manifests.len() == 1, "not one manifest: {manifests:?}");
    let uri = tenant.uri(&manifests[0].key);
    ensure!(
        job["status"]["output"]["manifestUri"] == uri.as_str(),
        "the status names another manifest than {uri}"
    );
    let manifest: Value = serde_json::from_slice(&tenant.get(&manifests[0].key).await?)?;
    ensure!(
        manifest["totals"] == job["status"]["statistics"],
        "the statistics are not the manifest's: {}",
        manifest["totals"]
    );
    let totals = |name: &str| number(&manifest, &format!("/totals/{name}"));
    ensure!(
        totals("rowsRead") == totals("rowsWritten") + totals("rowsRejected"),
        "rows are lost: {}",
        manifest["totals"]
    );
    the_outputs_are_listed(tenant, &prefix, &manifest).await
}

async fn the_outputs_are_listed(tenant: &Tenant<'_>, prefix: &str, manifest: &Value) -> Result<()> {
    let there = tenant.outputs(prefix).await?;
    let there: HashMap<&str, _> = there.iter().map(|o| (o.key.as_str(), o)).collect();
    let mut rows = 0;
    for output in manifest["outputs"].as_array().into_iter().flatten() {
        let key = format!("{prefix}{}", text(output, "/key")?);
        let object = there
            .get(key.as_str())
            .with_context(|| format!("{key} is in the manifest, not in the bucket"))?;
        ensure!(
            output["etag"] == object.etag.as_str() && output["bytes"] == object.bytes,
            "{object:?} is not what the manifest says: {output}"
        );
        if let Some(lines) = lines(&tenant.get(&key).await?) {
            ensure!(
                output["rows"] == lines,
                "{key} has {lines} lines, the manifest says {}",
                output["rows"]
            );
        }
        rows += number(output, "/rows");
    }
    ensure!(
        manifest["totals"]["rowsWritten"] == rows,
        "the outputs' rows do not add up"
    );
    Ok(())
}

/// The number of lines of JSON Lines. Whatever is compressed, or an array, is
/// for the scenario to read.
fn lines(content: &[u8]) -> Option<usize> {
    let plain = matches!(content.first(), None | Some(b'{'));
    plain.then(|| content.iter().filter(|byte| **byte == b'\n').count())
}

/// The key prefix that an EtlJob writes below, in the tenant's bucket.
pub(crate) fn output_prefix(tenant: &Tenant<'_>, job: &Value) -> Result<String> {
    let uri = text(job, "/spec/output/uri")?;
    let prefix = uri.strip_prefix(&tenant.uri(""));
    let prefix = prefix.with_context(|| format!("{uri} is not in the tenant's bucket"))?;
    Ok(prefix.to_owned())
}

/// Waits until the ledger's row of the present run says what the status says,
/// and returns it.
pub(crate) async fn the_ledger_agrees(tenant: &Tenant<'_>, job: &Value) -> Result<Row> {
    let run = u32::try_from(number(job, "/status/run/number"))?;
    let deadline = Instant::now() + LEDGER_LAG;
    loop {
        let row = tenant.ledger_row(job, run).await?;
        let differs = row.as_ref().map_or_else(
            || Some("there is no row".to_owned()),
            |row| difference(row, job),
        );
        match (differs, row) {
            (None, Some(row)) => return Ok(row),
            (differs, row) => ensure!(
                Instant::now() < deadline,
                "the ledger differs from the status: {}: {row:?}",
                differs.unwrap_or_default()
            ),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn difference(row: &Row, job: &Value) -> Option<String> {
    let status = &job["status"];
    let ended = match status["run"]["outcome"]["result"].as_str() {
        Some("Complete") => "COMPLETED",
        Some("Cancelled") => "CANCELLED",
        _ => "FAILED",
    };
    let last = attempts(job)
        .last()
        .map(|attempt| attempt["number"].clone());
    let wanted = [
        ("processing_status", Value::from(ended)),
        ("record_count", status["statistics"]["rowsWritten"].clone()),
        (
            "file_size_bytes",
            status["statistics"]["sourceBytes"].clone(),
        ),
        ("category", status["lastFailure"]["category"].clone()),
        ("manifest", status["output"]["manifestUri"].clone()),
        ("attempt", last.unwrap_or_default()),
        ("revision", status["revision"].clone()),
    ];
    wanted.into_iter().find_map(|(name, wanted)| {
        let wanted = match wanted {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let found = attribute(row, name);
        (found != wanted.as_deref()).then(|| format!("{name} is {found:?}, not {wanted:?}"))
    })
}

/// The text of an attribute that is a string or a number.
pub(crate) fn attribute<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    match row.get(name)? {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
        _ => None,
    }
}

/// The text at a place that must have one.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.with_context(|| format!("no text at {pointer}"))
}

/// The number at a place; 0 if there is none, as with a counter that is left out.
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}
