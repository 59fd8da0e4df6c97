//! What the scenarios with faults share: a generated source, an EtlJob over it,
//! and the story of its attempts.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etl_tests::{Tenant, Timeline, Worker};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::invariants::{self, Row};
use crate::reader::same_rows;

/// The key of the generated source.
pub(crate) const SOURCE: &str = "in/generated.parquet";

/// A source that is converted in one piece.
pub(crate) const SMALL: u32 = 20_000;

/// A source whose output is uploaded in several parts.
pub(crate) const LARGE: u32 = 200_000;

/// Enough for one attempt on a busy machine, its pod's start included.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(90);

const GENERATE: &str = "
import os, sys
os.environ['AWS_EC2_METADATA_DISABLED'] = 'true'
import pyarrow as pa, pyarrow.parquet as pq
from pyarrow import fs
s3 = fs.S3FileSystem(endpoint_override=os.environ['S3_ENDPOINT'], region='us-east-1',
                     access_key=os.environ['AWS_ACCESS_KEY_ID'],
                     secret_key=os.environ['AWS_SECRET_ACCESS_KEY'])
rows = range(int(sys.argv[2]))
scramble = lambda i: i * 2654435761 % 2**32
table = pa.table({
    'id': pa.array(rows, pa.int64()),
    'city': pa.array((None if i % 7 == 0 else f'city {i % 50}' for i in rows), pa.string()),
    'fare': pa.array((scramble(i) / 1024 for i in rows), pa.float64()),
    'at': pa.array((1609459200000 + i * 1001 for i in rows), pa.timestamp('ms')),
    'note': pa.array((f'{scramble(i):08x}' * 12 for i in rows), pa.string()),
})
pq.write_table(table, sys.argv[1], filesystem=s3, row_group_size=20_000)
";

/// Puts a source of `rows` rows into the tenant's bucket.
pub(crate) fn put_source(tenant: &Tenant<'_>, rows: u32) -> Result<()> {
    let place = format!("{}/{SOURCE}", tenant.bucket());
    tenant
        .lab()
        .python(GENERATE, &[&place, &rows.to_string()])?;
    Ok(())
}

/// The spec of the EtlJob `name`: from the generated source to a prefix of its
/// own, retried after two seconds, with `changes` merged over it.
pub(crate) fn spec(tenant: &Tenant<'_>, name: &str, changes: Value) -> Value {
    let mut spec = json!({
        "source": {"uri": tenant.uri(SOURCE)},
        "output": {"uri": tenant.uri(&format!("{name}/"))},
        "retryPolicy": {"backoff": {
            "initialSeconds": 2, "factor": 1, "maxSeconds": 2, "jitterPercent": 0,
        }},
    });
    merge(&mut spec, changes);
    spec
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Creates the EtlJob `name` and stops its first worker before it has done
/// anything; by then the operator has seen it run.
pub(crate) async fn start_frozen(
    tenant: &Tenant<'_>,
    name: &str,
    changes: Value,
) -> Result<(Value, Worker)> {
    let held = tenant.hold_workers();
    let job = tenant
        .create_etljob(name, &spec(tenant, name, changes))
        .await?;
    let worker = tenant.freeze_worker(name, 1, ATTEMPT).await?;
    held.release();
    wait_running(tenant, name).await?;
    Ok((job, worker))
}

/// Waits until the operator has seen a worker of the open attempt run.
pub(crate) async fn wait_running(tenant: &Tenant<'_>, name: &str) -> Result<Value> {
    let running = |job: &Value| job["status"]["attempt"]["runningTime"].is_string();
    tenant
        .wait_for(name, "a worker runs", ATTEMPT, running)
        .await
}

/// Waits until `count` attempts are closed.
pub(crate) async fn wait_closed(
    tenant: &Tenant<'_>,
    name: &str,
    count: usize,
    limit: Duration,
) -> Result<Value> {
    let closed = |job: &Value| job["status"]["attempts"].as_array().map_or(0, Vec::len) >= count;
    tenant
        .wait_for(name, &format!("{count} attempts are closed"), limit, closed)
        .await
}

/// The closed attempts of an EtlJob are exactly these: results, and whether each
/// was charged.
pub(crate) fn ensure_attempts(job: &Value, wanted: &[(&str, bool)]) -> Result<()> {
    let attempts = job["status"]["attempts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found: Vec<(&str, bool)> = attempts
        .iter()
        .map(|a| (a["result"].as_str().unwrap_or(""), a["charged"] == true))
        .collect();
    ensure!(
        found == wanted,
        "the attempts are {found:?}, not {wanted:?}"
    );
    let charged = wanted.iter().filter(|(_, charged)| *charged).count();
    let failures = job["status"]["run"]["failures"].as_u64().unwrap_or(0);
    ensure!(
        failures == charged as u64,
        "{failures} failures are counted, {charged} attempts are charged"
    );
    Ok(())
}

/// The uid of an EtlJob.
pub(crate) fn uid(job: &Value) -> Result<&str> {
    job["metadata"]["uid"]
        .as_str()
        .context("an EtlJob has a uid")
}

/// Waits until the row of an EtlJob's first run is as `condition` wants it.
pub(crate) async fn wait_row(
    tenant: &Tenant<'_>,
    job: &Value,
    what: &str,
    limit: Duration,
    condition: impl Fn(&Row) -> bool,
) -> Result<Row> {
    let deadline = Instant::now() + limit;
    loop {
        let row = tenant.ledger_row(job, 1).await?;
        match row {
            Some(row) if condition(&row) => return Ok(row),
            row => ensure!(
                Instant::now() < deadline,
                "the ledger's row is not {what} after {} s: {row:?}",
                limit.as_secs()
            ),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// An EtlJob over the small source, made here and complete: see [`hold`].
pub(crate) async fn complete(
    tenant: &Tenant<'_>,
    timeline: &Timeline,
    name: &str,
) -> Result<Value> {
    tenant
        .create_etljob(name, &spec(tenant, name, json!({})))
        .await?;
    tenant.wait_complete(name, ATTEMPT).await?;
    hold(tenant, timeline, name, SMALL).await
}

/// Everything that holds at the end of a run holds, and the one output has the
/// `rows` rows of the generated source. Returns the EtlJob.
pub(crate) async fn hold(
    tenant: &Tenant<'_>,
    timeline: &Timeline,
    name: &str,
    rows: u32,
) -> Result<Value> {
    let job = invariants::hold(tenant, timeline, name).await?;
    let outputs = tenant
        .outputs(&invariants::output_prefix(tenant, &job)?)
        .await?;
    let [output] = outputs.as_slice() else {
        bail!("there is not one output, but {outputs:?}");
    };
    let compared = same_rows(tenant, &[(SOURCE, &output.key)], &job["spec"]["output"])?;
    ensure!(
        compared == [u64::from(rows)],
        "the output has {compared:?} rows, not {rows}"
    );
    let written = &job["status"]["statistics"]["rowsWritten"];
    ensure!(
        *written == rows,
        "the status says {written} rows, not {rows}"
    );
    Ok(job)
}
