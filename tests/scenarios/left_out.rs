//! What a user lets be left out, large objects in parts, and columns of his own
//! choice: all at once, as somebody would write it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::Tenant;
use serde_json::{Value, json};

use crate::invariants::{self, number, text};
use crate::reader::write_parquet;

const LIMIT: Duration = Duration::from_secs(180);

/// Object 0 has 60 row groups of 1000 rows that cannot be compressed, and every
/// thousandth fare is negative; object 1 is small.
const TABLES: &str = r#"
import random
import pyarrow as pa
def build(n):
    rows = [60_000, 10][n]
    noise = random.Random(n)
    return pa.table({"id": pa.array(range(rows), pa.int64()),
                     "fare": pa.array([-1.0 if i % 1000 == 7 else i / 4 for i in range(rows)],
                                      pa.float64()),
                     "noise": pa.array([noise.randbytes(400).hex() for _ in range(rows)])})
"#;

/// Rows of both objects, and those of them with a negative fare.
const ROWS: u64 = 60_010;
const REJECTED: u64 = 61;

/// The sources: a large object, a small one, one that is torn and one that is no
/// parquet at all.
async fn write_sources(tenant: &Tenant<'_>) -> Result<()> {
    write_parquet(tenant, TABLES, &["in/large.parquet", "in/small.parquet"])?;
    tenant
        .put_sample(
            "in/torn.parquet",
            "yellow_tripdata_2021-01.truncated-download.parquet",
        )
        .await?;
    let csv = b"id,name\n1,one\n".repeat(100);
    tenant.put("in/other.parquet", csv).await
}

fn spec(tenant: &Tenant<'_>, max_invalid_objects: u32) -> Value {
    json!({
        "source": {
            "uri": tenant.uri("in/"),
            "onInvalidObject": "Skip", "maxInvalidObjects": max_invalid_objects,
        },
        "output": {
            "uri": tenant.uri("out/"),
            "keyTemplate": "{stem}-{part}.json", "splitBytes": "16Mi",
        },
        "transform": {
            "columns": ["fare", "id"],
            "ingestedAtColumn": "ingested_at", "sourceColumn": "source_file",
        },
        "schema": {
            "columns": [
                {"name": "id", "type": "Integer", "required": true, "min": "0"},
                {"name": "fare", "type": "Number", "min": "0"},
            ],
            "onExtraColumn": "Keep",
            "onInvalidRecord": "Quarantine", "maxInvalidRecords": 100,
        },
        "execution": {"parallelism": 2},
    })
}

/// Two objects are left out, 61 rows are quarantined, and the rest is there with
/// the columns that were asked for.
pub(crate) async fn bad_objects_and_rows_are_left_out_and_told(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    write_sources(tenant).await?;
    tenant.create_etljob("choosy", &spec(tenant, 2)).await?;
    tenant.wait_complete("choosy", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "choosy").await?;
    the_status_tells_it(tenant, &job)?;
    every_good_row_is_there_once(tenant, &job).await?;
    every_bad_row_is_kept(tenant, &job).await
}

fn the_status_tells_it(tenant: &Tenant<'_>, job: &Value) -> Result<()> {
    let statistics = &job["status"]["statistics"];
    let wanted = json!({
        "sourceObjects": 4, "objectsSkipped": 2,
        "rowsRead": ROWS, "rowsRejected": REJECTED, "rowsWritten": ROWS - REJECTED,
    });
    for (name, count) in wanted.as_object().into_iter().flatten() {
        ensure!(statistics[name] == *count, "{name}: {statistics}");
    }
    let skipped = job["status"]["skippedObjects"].as_array();
    let skipped: Vec<(&Value, &Value)> = skipped
        .into_iter()
        .flatten()
        .map(|object| (&object["uri"], &object["category"]))
        .collect();
    let [other, torn] = ["in/other.parquet", "in/torn.parquet"].map(|key| json!(tenant.uri(key)));
    let category = json!("BadInput");
    ensure!(
        skipped == [(&other, &category), (&torn, &category)],
        "left out: {skipped:?}"
    );
    let described = tenant.describe("choosy")?;
    ensure!(
        described.contains("footer magic missing"),
        "the reason is not in: {described}"
    );
    Ok(())
}

/// The lines of the manifest's outputs, by key.
async fn manifest(tenant: &Tenant<'_>, job: &Value) -> Result<Value> {
    let uri = text(job, "/status/output/manifestUri")?;
    let key = uri.strip_prefix(&tenant.uri("")).context("elsewhere")?;
    Ok(serde_json::from_slice(&tenant.get(key).await?)?)
}

async fn every_good_row_is_there_once(tenant: &Tenant<'_>, job: &Value) -> Result<()> {
    let outputs = tenant.outputs("out/").await?;
    let keys: Vec<&str> = outputs.iter().map(|object| object.key.as_str()).collect();
    // 47 MB of hexadecimal text take 24 MB at the least.
    ensure!(
        keys.len() >= 3 && keys[0] == "out/large-00000.json",
        "the outputs are {keys:?}"
    );
    let start = text(job, "/status/run/startTime")?;
    let mut rows: HashMap<(String, u64), u32> = HashMap::new();
    for key in &keys {
        for line in tenant.get(key).await?.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            ensure!(
                line.starts_with(b"{\"fare\":"),
                "another order of columns: {}",
                String::from_utf8_lossy(line)
            );
            let row: Value = serde_json::from_slice(line)?;
            ensure!(
                row.as_object().is_some_and(|row| row.len() == 4),
                "columns: {row}"
            );
            let at: jiff::Timestamp = text(&row, "/ingested_at")?.parse()?;
            let wanted: jiff::Timestamp = start.parse()?;
            ensure!(at == wanted, "{at} is not the run's start {wanted}");
            let place = (text(&row, "/source_file")?.to_owned(), number(&row, "/id"));
            *rows.entry(place).or_default() += 1;
        }
    }
    ensure!(
        rows.len() as u64 == ROWS - REJECTED && rows.values().all(|count| *count == 1),
        "{} rows",
        rows.len()
    );
    Ok(())
}

async fn every_bad_row_is_kept(tenant: &Tenant<'_>, job: &Value) -> Result<()> {
    let manifest = manifest(tenant, job).await?;
    let mut kept = 0;
    for output in manifest["outputs"].as_array().into_iter().flatten() {
        let Some(key) = output["quarantine"]["key"].as_str() else {
            continue;
        };
        let content = tenant.get(&format!("out/{key}")).await?;
        for line in content.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let line: Value = serde_json::from_slice(line)?;
            ensure!(
                line["column"] == "fare" && line["record"]["fare"] == -1.0,
                "quarantined: {line}"
            );
            // Rows count from one, whichever part they are in.
            ensure!(
                number(&line, "/row") == number(&line, "/record/id") + 1,
                "quarantined: {line}"
            );
            kept += 1;
        }
    }
    ensure!(kept == REJECTED, "{kept} rows are kept");
    Ok(())
}

/// The same with one object less allowed: nothing is a result.
pub(crate) async fn one_bad_object_too_many_fails_the_run(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    write_sources(tenant).await?;
    tenant.create_etljob("strict", &spec(tenant, 1)).await?;
    tenant.wait_failed("strict", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "strict").await?;
    let failure = &job["status"]["lastFailure"];
    ensure!(failure["category"] == "BadInput", "{failure}");
    let message = text(failure, "/message")?;
    ensure!(
        message.contains("2 objects cannot be converted and source.maxInvalidObjects allows 1"),
        "{message}"
    );
    Ok(())
}
