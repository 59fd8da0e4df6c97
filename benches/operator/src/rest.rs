//! An operator among many EtlJobs that have ended: what its start takes, and what
//! it does when there is nothing to do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::Client;
use kube::api::PostParams;
use kube::core::{ApiResource, Request};
use kube::{Api, Resource};
use serde::de::IgnoredAny;
use tokio::time::{sleep, timeout};

use crate::audit::AuditLog;
use crate::bed::Bed;
use crate::copies;
use crate::operator::{Operator, Variant};
use crate::results::{Growth, Rest};
use crate::subject::{Arm, Watched, etljob};

/// How long it is watched at rest.
const IDLE: Duration = Duration::from_secs(20);

/// The one that is created while no operator is there.
const NEWCOMER: &str = "newcomer";
const NEWCOMER_LIMIT: Duration = Duration::from_secs(120);

/// Puts another operator in the place of `operator` and follows it until it has
/// come to rest, and for a while after that.
pub(crate) async fn restart(
    bed: &mut Bed,
    operator: Operator,
    audit: &mut AuditLog,
) -> Result<(Operator, Rest)> {
    let objects = copies::present(&bed.client).await?;
    operator.at_rest().await?;
    operator.stop().await?;
    let namespace = bed.namespace("restart").await?;
    create(&bed.client, &namespace).await?;
    audit.requests(None)?;
    let rows = bed.ledger.writes();
    let mut operator = Operator::start(&bed.installation, &Variant::default())?;
    let started = operator.started();
    let (ready, first_pass) =
        tokio::try_join!(operator.ready(), begun(&bed.client, &namespace, started))?;
    let at_rest = operator.at_rest().await? - started;
    let usage = operator.usage()?;
    let own = only_about_objects(audit.requests(Some(&namespace))?.own);
    sleep(IDLE).await;
    let after = operator.usage()?;
    let rest = Rest {
        objects,
        ready_seconds: ready.as_secs_f64(),
        first_pass_seconds: first_pass.as_secs_f64(),
        at_rest_seconds: at_rest.as_secs_f64(),
        cpu_seconds: usage.cpu_seconds,
        rss_bytes: after.rss_bytes,
        peak_rss_bytes: usage.peak_rss_bytes,
        own,
        ledger_rows: bed.ledger.writes() - rows,
        idle_seconds: IDLE.as_secs_f64(),
        idle_cpu_seconds: after.cpu_seconds - usage.cpu_seconds,
        idle_own: only_about_objects(audit.requests(Some(&namespace))?.own),
    };
    eprintln!(
        "bench: restart among {objects}: ready {:.2} s, first pass {:.2} s, at rest {:.1} s, {} MB",
        rest.ready_seconds,
        rest.first_pass_seconds,
        rest.at_rest_seconds,
        rest.rss_bytes / 1_000_000,
    );
    Ok((operator, rest))
}

/// Adds copies of an EtlJob that has ended until there are `objects` in all, beside
/// a running operator.
pub(crate) async fn grow(bed: &mut Bed, operator: &Operator, objects: usize) -> Result<Growth> {
    let present = copies::present(&bed.client).await?;
    let missing = objects.saturating_sub(present);
    let namespace = bed.namespace("copies").await?;
    create(&bed.client, &namespace).await?;
    ended(&bed.client, &namespace).await?;
    operator.forget_peak()?;
    // The model is one of them.
    copies::copy(bed, &namespace, NEWCOMER, missing.saturating_sub(1))?;
    operator.at_rest().await?;
    let objects = copies::present(&bed.client).await?;
    let usage = operator.usage()?;
    eprintln!(
        "bench: {objects} EtlJobs: {} MB, {} MB at most",
        usage.rss_bytes / 1_000_000,
        usage.peak_rss_bytes / 1_000_000
    );
    Ok(Growth {
        objects,
        rss_bytes: usage.rss_bytes,
        peak_rss_bytes: usage.peak_rss_bytes,
    })
}

/// Without the lists and watches that every start begins with, and without the
/// lease, which is renewed for ever.
fn only_about_objects(own: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let kept = own.into_iter().filter(|(request, _)| {
        let cache = ["list etljobs", "list jobs"].contains(&&**request);
        !cache && !request.starts_with("watch ") && !request.ends_with(" leases")
    });
    kept.collect()
}

async fn create(client: &Client, namespace: &str) -> Result<()> {
    let path = Watched::url_path(&Arm::EtlJobs.resource(), Some(namespace));
    let body = serde_json::to_vec(&etljob(NEWCOMER))?;
    let request = Request::new(path).create(&PostParams::default(), body)?;
    client.request::<IgnoredAny>(request).await?;
    Ok(())
}

/// Waits until somebody looks after the newcomer; returns how long after `start` that was.
async fn begun(client: &Client, namespace: &str, start: Instant) -> Result<Duration> {
    until(client, namespace, Arm::begun).await?;
    Ok(start.elapsed())
}

async fn ended(client: &Client, namespace: &str) -> Result<()> {
    until(client, namespace, |job| Arm::EtlJobs.ended(job).is_some()).await
}

async fn until(client: &Client, namespace: &str, is_so: impl Fn(&Watched) -> bool) -> Result<()> {
    let resource: ApiResource = Arm::EtlJobs.resource();
    let jobs: Api<Watched> = Api::namespaced_with(client.clone(), namespace, &resource);
    let look = async {
        loop {
            match jobs.get(NEWCOMER).await {
                Ok(job) if is_so(&job) => return Ok(()),
                Ok(_) => sleep(Duration::from_millis(20)).await,
                Err(error) => return Err(error),
            }
        }
    };
    let looked = timeout(NEWCOMER_LIMIT, look).await;
    let looked = looked.context("nobody looks after a new EtlJob")?;
    ensure!(looked.is_ok(), "{:?}", looked.err());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_start_and_every_lease_needs_is_not_about_objects() {
        let own = [
            "list etljobs",
            "list jobs",
            "watch jobs",
            "update leases",
            "list pods",
            "update etljobs/status",
        ];
        let own = own.map(|request| (request.to_owned(), 1));
        let left: Vec<String> = only_about_objects(BTreeMap::from(own))
            .into_keys()
            .collect();
        assert_eq!(left, ["list pods", "update etljobs/status"]);
    }
}
