//! Two operators, one of which leads.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_lab::CHART_NAMESPACE;
use etl_tests::{Lab, Signal, Tenant};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::faults::{self, ATTEMPT, SMALL, spec};

/// Until a silent holder is replaced, by its own terms.
const EXPIRY: Duration = Duration::from_secs(15);

/// For a pod to come or go on a busy machine.
const SETTLE: Duration = Duration::from_secs(60);

/// SIGSTOP takes the leader away in the middle of a run. The other one ends the
/// run; when the first wakes up, it does nothing and stands by.
pub(crate) async fn a_frozen_leader_is_replaced_and_harmless_when_it_wakes_up(
    tenant: &Tenant<'_>,
) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    scale(tenant.lab(), 2).await?;
    let outcome = frozen_and_woken(tenant).await;
    scale(tenant.lab(), 1).await?;
    outcome
}

async fn frozen_and_woken(tenant: &Tenant<'_>) -> Result<()> {
    let lab = tenant.lab();
    let (_, worker) = faults::start_frozen(tenant, "handed", json!({})).await?;
    let frozen = holder(lab).await?.context("nobody leads")?;
    signal(lab, &frozen, Signal::STOP).await?;
    worker.thaw()?;
    let done = tenant.wait_complete("handed", ATTEMPT).await;
    let next = holder(lab).await?;
    signal(lab, &frozen, Signal::CONT).await?;
    let done = done?;
    ensure!(
        next.as_ref().is_some_and(|next| *next != frozen),
        "the run was ended under the lease of {next:?}, and {frozen} was frozen"
    );
    // Several renewals of the one and looks of the other.
    sleep(Duration::from_secs(5)).await;
    ensure!(
        holder(lab).await? == next,
        "the one that woke up took the lease"
    );
    let still = tenant.etljob("handed").await?.context("it is there")?;
    ensure!(
        still["metadata"]["resourceVersion"] == done["metadata"]["resourceVersion"],
        "something was written after the end: {still}"
    );
    faults::ensure_attempts(&still, &[("Complete", false)])
}

/// A pod that is deleted gives the lease back: the other one leads long before
/// the lease would have expired, and works.
pub(crate) async fn a_leader_that_is_stopped_hands_over_at_once(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    scale(tenant.lab(), 2).await?;
    let outcome = stopped(tenant).await;
    scale(tenant.lab(), 1).await?;
    outcome
}

async fn stopped(tenant: &Tenant<'_>) -> Result<()> {
    let lab = tenant.lab();
    let first = holder(lab).await?.context("nobody leads")?;
    let pods: Api<Pod> = Api::namespaced(lab.client(), CHART_NAMESPACE);
    let asked = Instant::now();
    pods.delete(&first, &DeleteParams::default()).await?;
    let led = |name: &Option<String>| name.as_ref().is_some_and(|name| *name != first);
    while !led(&holder(lab).await?) {
        ensure!(
            asked.elapsed() < EXPIRY,
            "nobody took the lease that {first} should have given back"
        );
        sleep(Duration::from_millis(50)).await;
    }
    tenant
        .create_etljob("next", &spec(tenant, "next", json!({})))
        .await?;
    tenant.wait_complete("next", ATTEMPT).await.map(drop)
}

/// Who holds the lease.
async fn holder(lab: &Lab) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(lab.client(), CHART_NAMESPACE);
    let lease = leases.get_opt(CHART_NAMESPACE).await?;
    let holder = lease.and_then(|lease| lease.spec?.holder_identity);
    Ok(holder.filter(|holder| !holder.is_empty()))
}

/// Lets this many operators run, and waits until one of them leads and all
/// others are gone or ready.
async fn scale(lab: &Lab, replicas: usize) -> Result<()> {
    // Not by kubectl: Helm would not touch the field again.
    lab.install(&json!({"replicaCount": replicas}))?;
    let deadline = Instant::now() + SETTLE;
    loop {
        let pods = lab.operator_pods().await?;
        let names: Vec<&str> = pods
            .iter()
            .filter_map(|pod| pod.metadata.name.as_deref())
            .collect();
        let leader = holder(lab).await?;
        let led = leader.is_some_and(|leader| names.contains(&leader.as_str()));
        if pods.len() == replicas && pods.iter().all(etl_tests::is_ready) && led {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "there are not {replicas} ready operators with a leader: {names:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends `signal` to the processes of the operator's pod `name`.
async fn signal(lab: &Lab, name: &str, signal: Signal) -> Result<()> {
    let pods = lab.operator_pods().await?;
    let pod = pods
        .into_iter()
        .find(|pod| pod.metadata.name.as_deref() == Some(name));
    let uid = pod.and_then(|pod| pod.metadata.uid);
    let uid = uid.with_context(|| format!("there is no pod {name}"))?;
    let processes = lab.site().pod_processes(&uid)?;
    ensure!(!processes.is_empty(), "pod {name} has no process");
    for process in processes {
        process.signal(signal)?;
    }
    Ok(())
}
