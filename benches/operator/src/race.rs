//! A number of objects of one arm, created and watched until all have ended.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::PostParams;
use kube::core::{ApiResource, Request};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::{sleep_until, timeout};

use crate::audit::AuditLog;
use crate::bed::Bed;
use crate::operator::Operator;
use crate::results::{Latency, Load, Run};
use crate::subject::{Arm, Watched, etljob, plain_job};

/// Creations side by side when nothing else holds them back.
const CREATORS: usize = 32;

/// A run in which nothing ends for so long has come to a stop.
const STUCK: Duration = Duration::from_secs(120);

/// One run to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) arm: Arm,
    pub(crate) variant: &'a str,
    pub(crate) jobs: usize,
    pub(crate) load: Load,
    /// Pods of plain Jobs.
    pub(crate) template: &'a Value,
}

/// When each of the objects was about to be created, and when it was seen to have
/// ended.
struct Times {
    begin: Instant,
    created: Mutex<Vec<Option<Instant>>>,
    ended: Vec<Option<Instant>>,
}

/// Makes one run in a namespace of its own.
pub(crate) async fn race(
    bed: &mut Bed,
    operator: &Operator,
    audit: &mut AuditLog,
    task: Task<'_>,
) -> Result<Run> {
    let namespace = bed.namespace("race").await?;
    operator.at_rest().await?;
    operator.forget_peak()?;
    audit.requests(None)?;
    let (before, rows) = (bed.meter(operator)?, bed.ledger.writes());
    let times = all(&bed.client, &namespace, task).await;
    let times = times.with_context(|| format!("in namespace {namespace}"))?;
    // What follows the last end, such as its event, belongs to the run.
    operator.at_rest().await?;
    let cpu_seconds = bed.meter(operator)? - before;
    let requests = audit.requests(None)?;
    let run = Run {
        namespace,
        arm: task.arm,
        variant: task.variant.to_owned(),
        load: task.load,
        jobs: task.jobs,
        seconds: times.seconds(),
        latency: Latency::of(times.latencies()),
        own: requests.own,
        refused: requests.refused,
        writes: requests.writes,
        ledger_rows: bed.ledger.writes() - rows,
        cpu_seconds,
        peak_rss_bytes: operator.usage()?.peak_rss_bytes,
    };
    eprintln!(
        "bench: {} {} ({}, {}): {:.0} per minute, p50 {:.1} s, p99 {:.1} s",
        run.jobs,
        run.arm.title(),
        run.load.title(),
        run.variant,
        run.per_minute(),
        run.latency.p50_seconds,
        run.latency.p99_seconds,
    );
    Ok(run)
}

async fn all(client: &Client, namespace: &str, task: Task<'_>) -> Result<Times> {
    let mut times = Times {
        begin: Instant::now(),
        created: Mutex::new(vec![None; task.jobs]),
        ended: Vec::new(),
    };
    let (_, ended) = tokio::try_join!(
        create(client, namespace, task, &times),
        watch(client, namespace, task),
    )?;
    times.ended = ended;
    Ok(times)
}

async fn create(client: &Client, namespace: &str, task: Task<'_>, times: &Times) -> Result<()> {
    let (side_by_side, per_second) = match task.load {
        Load::Saturation => (CREATORS, None),
        // As they are due, whether or not the ones before are there.
        Load::Half { per_second } => (usize::MAX, Some(per_second)),
    };
    let begin = tokio::time::Instant::from_std(times.begin);
    let due = stream::iter(0..task.jobs).then(|index| async move {
        if let Some(per_second) = per_second {
            sleep_until(begin + Duration::from_secs_f64(index as f64 / per_second)).await;
        }
        index
    });
    let resource = task.arm.resource();
    let path = Watched::url_path(&resource, Some(namespace));
    due.map(|index| create_one(client, &path, index, task, times))
        .buffer_unordered(side_by_side)
        .try_collect()
        .await
}

async fn create_one(
    client: &Client,
    path: &str,
    index: usize,
    task: Task<'_>,
    times: &Times,
) -> Result<()> {
    let name = name(index);
    let body = match task.arm {
        Arm::Jobs => plain_job(&name, task.template),
        Arm::EtlJobs => etljob(&name),
    };
    let request = Request::new(path).create(&PostParams::default(), serde_json::to_vec(&body)?)?;
    times.note(index);
    match client.request::<IgnoredAny>(request).await {
        Ok(_) => Ok(()),
        // The client tries again what an overloaded server may have done already.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot create {name}")),
    }
}

async fn watch(client: &Client, namespace: &str, task: Task<'_>) -> Result<Vec<Option<Instant>>> {
    let resource: ApiResource = task.arm.resource();
    let api: Api<Watched> = Api::namespaced_with(client.clone(), namespace, &resource);
    let mut ended = vec![None; task.jobs];
    let mut left = task.jobs;
    let changes = watcher(api, watcher::Config::default()).default_backoff();
    let mut changes = pin!(changes.applied_objects());
    while left > 0 {
        let Ok(change) = timeout(STUCK, changes.next()).await else {
            bail!(
                "nothing has ended for {} s, {left} are left",
                STUCK.as_secs()
            );
        };
        // The watch goes on by itself.
        let Some(Ok(object)) = change else { continue };
        let Some(end) = task.arm.ended(&object) else {
            continue;
        };
        end?;
        let place = object.metadata.name.as_deref().and_then(index);
        let place = place.and_then(|index| ended.get_mut(index));
        let place = place.context("an object that nobody has created")?;
        if place.is_none() {
            *place = Some(Instant::now());
            left -= 1;
        }
    }
    Ok(ended)
}

fn name(index: usize) -> String {
    format!("part-{index:06}")
}

fn index(name: &str) -> Option<usize> {
    name.strip_prefix("part-")?.parse().ok()
}

impl Times {
    fn note(&self, index: usize) {
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        created[index] = Some(Instant::now());
    }

    /// From the first creation to the last end.
    fn seconds(&self) -> f64 {
        let last = self.ended.iter().flatten().max();
        last.map_or(f64::NAN, |last| (*last - self.begin).as_secs_f64())
    }

    fn latencies(&self) -> Vec<Duration> {
        let created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = created.iter().zip(&self.ended);
        pairs
            .filter_map(|(created, ended)| Some((*ended)? - (*created)?))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_again_by_its_name() {
        assert_eq!(index(&name(42)), Some(42));
        assert_eq!(index("another"), None);
    }
}
