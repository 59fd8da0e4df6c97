//! Many objects, several workers, one result.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_api::labels::ATTEMPT;
use etl_tests::{Call, Fault, Rule, Tenant};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::invariants::{self, number};
use crate::reader::{same_rows, write_parquet};

const LIMIT: Duration = Duration::from_secs(180);

const OBJECTS: usize = 40;

/// Object n has n * 7 + 1 rows, and no id occurs in two of them.
const TABLES: &str = r#"
import pyarrow as pa
def build(n):
    ids = [n * 1000 + i for i in range(n * 7 + 1)]
    return pa.table({"id": pa.array(ids, pa.int64()),
                     "text": pa.array([f"row {i}" if i % 3 else None for i in ids]),
                     "half": pa.array([i / 2 for i in ids], pa.float64())})
"#;

/// Counts rows and ids, to see that nothing is there twice.
const COUNT: &str = r#"
import json, os, sys
from pyarrow import fs
s3 = fs.S3FileSystem(endpoint_override=os.environ["S3_ENDPOINT"], region="us-east-1",
                     access_key=os.environ["AWS_ACCESS_KEY_ID"],
                     secret_key=os.environ["AWS_SECRET_ACCESS_KEY"])
ids = []
for key in sys.argv[2:]:
    with s3.open_input_file(f"{sys.argv[1]}/{key}") as file:
        ids += [json.loads(line)["id"] for line in file.read().splitlines()]
print(len(ids), len(set(ids)))
"#;

/// Forty objects by four workers: every row once, under one manifest.
pub(crate) async fn forty_objects_become_one_result(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let pairs = write_sources(tenant)?;
    tenant.create_etljob("forty", &spec(tenant)).await?;
    tenant.wait_complete("forty", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "forty").await?;
    every_row_is_there_once(tenant, &job, &pairs).await?;
    let jobs = timeline.jobs_of(invariants::text(&job, "/metadata/uid")?);
    let pods: Vec<_> = jobs
        .iter()
        .flat_map(|name| timeline.pods_of(name))
        .collect();
    ensure!(pods.len() == 4, "four workers were asked for: {pods:?}");
    Ok(())
}

/// The worker of shard 2 is killed in the first and in the second attempt: two
/// charged failures, and what was done by then is not done again.
pub(crate) async fn a_shard_that_fails_twice_is_finished(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let pairs = write_sources(tenant)?;
    // Nobody reaches an object before he was looked at.
    let reach = Reach::default();
    let held = tenant.lab().proxies().s3().arm(reach.denied(tenant));
    tenant.create_etljob("stubborn", &spec(tenant)).await?;
    kill_shard(tenant, "stubborn", 1, 2).await?;
    reach.give_to_siblings(tenant, 1, 2).await?;
    retrying(tenant, "stubborn", 1).await?;
    let after_first = written(tenant).await?;
    // The other three shards finish their tasks, whatever becomes of this one.
    ensure!(
        after_first.len() >= OBJECTS / 2 && after_first.len() < OBJECTS,
        "{} outputs after the first attempt",
        after_first.len()
    );
    kill_shard(tenant, "stubborn", 2, 2).await?;
    held.release();
    tenant.wait_complete("stubborn", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "stubborn").await?;
    ensure!(
        number(&job, "/status/run/failures") == 2,
        "two failures were caused"
    );
    let results: Vec<&Value> = invariants::attempts(&job)
        .iter()
        .map(|a| &a["result"])
        .collect();
    ensure!(
        results == ["WorkerLost", "WorkerLost", "Complete"],
        "the attempts ended as {results:?}"
    );
    every_row_is_there_once(tenant, &job, &pairs).await?;
    let at_the_end = written(tenant).await?;
    for (key, time) in after_first {
        ensure!(
            at_the_end.get(&key) == Some(&time),
            "{key} was written again: at {time}, then at {:?}",
            at_the_end.get(&key)
        );
    }
    Ok(())
}

fn spec(tenant: &Tenant<'_>) -> Value {
    json!({
        "source": {"uri": tenant.uri("in/")},
        "output": {"uri": tenant.uri("out/"), "keyTemplate": "{dir}/{stem}.json"},
        "execution": {"parallelism": 4},
        "retryPolicy": {
            "maxAttempts": 5,
            "backoff": {"initialSeconds": 2, "factor": 1, "maxSeconds": 2, "jitterPercent": 0},
        },
    })
}

/// The keys of forty sources with those of their outputs. File names repeat in
/// the folders.
fn write_sources(tenant: &Tenant<'_>) -> Result<Vec<(String, String)>> {
    let pair = |n: usize| {
        let place = format!("day={:02}/part-{}", n / 4, n % 4);
        (format!("in/{place}.parquet"), format!("out/{place}.json"))
    };
    let pairs: Vec<_> = (0..OBJECTS).map(pair).collect();
    let sources: Vec<&String> = pairs.iter().map(|(source, _)| source).collect();
    write_parquet(tenant, TABLES, &sources)?;
    Ok(pairs)
}

async fn every_row_is_there_once(
    tenant: &Tenant<'_>,
    job: &Value,
    pairs: &[(String, String)],
) -> Result<()> {
    let rows = same_rows(tenant, pairs, &job["spec"]["output"])?;
    let total: u64 = rows.iter().sum();
    let keys: Vec<&str> = pairs.iter().map(|(_, output)| output.as_str()).collect();
    let found = tenant.outputs("out/").await?;
    let found: Vec<&str> = found.iter().map(|object| object.key.as_str()).collect();
    ensure!(found == keys, "the outputs are {found:?}");
    let counted = tenant
        .lab()
        .python(COUNT, &[&[tenant.bucket()], keys.as_slice()].concat())?;
    ensure!(
        counted.trim() == format!("{total} {total}"),
        "rows and ids: {counted}, wanted {total} of each"
    );
    ensure!(
        number(job, "/status/statistics/rowsWritten") == total
            && number(job, "/status/statistics/outputObjects") == OBJECTS as u64,
        "the statistics say {}",
        job["status"]["statistics"]
    );
    ensure!(
        tenant.manifests("out/").await?.len() == 1,
        "there are several manifests"
    );
    Ok(())
}

/// The workers that the store answers, by address.
#[derive(Default)]
struct Reach(Arc<Mutex<HashSet<IpAddr>>>);

impl Reach {
    /// Keeps everybody else waiting.
    fn denied(&self, tenant: &Tenant<'_>) -> Rule<Call, Fault> {
        let given = Arc::clone(&self.0);
        let denied = move |call: &Call| !lock(&given).contains(&call.peer);
        tenant.requests().and(denied).always(Fault::Hold)
    }

    /// Lets all workers of an attempt but that of one shard go on.
    async fn give_to_siblings(&self, tenant: &Tenant<'_>, attempt: u32, shard: u32) -> Result<()> {
        let (attempt, shard) = (attempt.to_string(), shard.to_string());
        let is_sibling = |pod: &&Pod| {
            let labels = pod.labels();
            labels.get(ATTEMPT) == Some(&attempt)
                && labels.get("batch.kubernetes.io/job-completion-index") != Some(&shard)
        };
        let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok();
        let deadline = Instant::now() + LIMIT;
        loop {
            let pods = tenant.pods().await?;
            let siblings: Vec<IpAddr> =
                pods.iter().filter(is_sibling).filter_map(address).collect();
            if siblings.len() == 3 {
                lock(&self.0).extend(siblings);
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the siblings are {siblings:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn kill_shard(tenant: &Tenant<'_>, job: &str, attempt: u32, shard: u32) -> Result<()> {
    let (attempt, shard) = (attempt.to_string(), shard.to_string());
    let (_, process) = tenant
        .wait_worker(LIMIT, |pod, process| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            labels.get(ATTEMPT) == Some(&attempt)
                && process.environment.get("JOB_COMPLETION_INDEX") == Some(&shard)
        })
        .await
        .with_context(|| format!("attempt {attempt} of {job}, shard {shard}"))?;
    process.signal(etl_tests::Signal::KILL)
}

/// Waits until the operator waits for the attempt after `closed` closed ones.
async fn retrying(tenant: &Tenant<'_>, job: &str, closed: usize) -> Result<()> {
    let condition = |job: &Value| invariants::attempts(job).len() == closed;
    tenant
        .wait_for(job, "the attempt is closed", LIMIT, condition)
        .await
        .map(drop)
}

/// The outputs with the times at which they were written.
async fn written(tenant: &Tenant<'_>) -> Result<BTreeMap<String, String>> {
    let listed = tenant
        .lab()
        .s3()
        .list_objects_v2()
        .bucket(tenant.bucket())
        .prefix("out/day=")
        .send()
        .await?;
    let entry = |object: aws_sdk_s3::types::Object| {
        let time = object.last_modified.context("an object has a time")?;
        anyhow::Ok((object.key.context("an object has a key")?, time.to_string()))
    };
    listed
        .contents
        .unwrap_or_default()
        .into_iter()
        .map(entry)
        .collect()
}
