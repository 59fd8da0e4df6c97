//! The operator killed at the worst moments of one run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::{Signal, Tenant, Timeline, Worker, has_condition, reason};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::faults::{
    self, ATTEMPT, LARGE, SMALL, ensure_attempts, spec, start_frozen, uid, wait_closed,
    wait_running,
};

const NAME: &str = "steadfast";

/// The node that every lab has.
const NODE: &str = "lab";

/// Longer than the operator needs to come back.
const BACKOFF_SECONDS: u32 = 20;

/// SIGKILL after the intent, after the Job's creation, while the worker runs,
/// during the wait for the next attempt, while an attempt is being ended and at
/// the worker's end: the run ends as it would have, with each attempt made once.
pub(crate) async fn a_run_survives_its_operator_at_every_moment(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, LARGE)?;
    let timeline = tenant.timeline().await?;
    let job = killed_after_the_intent(tenant, &timeline).await?;
    killed_after_the_creation(tenant, &timeline, &job).await?;
    let next = killed_during_the_wait(tenant).await?;
    killed_while_ending(tenant, next).await?;
    killed_at_the_workers_end(tenant).await?;

    tenant.wait_complete(NAME, ATTEMPT).await?;
    let done = faults::hold(tenant, &timeline, NAME, LARGE).await?;
    let lost = ("WorkerLost", true);
    ensure_attempts(&done, &[lost, lost, ("Complete", false)])?;
    let jobs = timeline.jobs_of(uid(&job)?);
    ensure!(jobs.len() == 3, "three attempts had the Jobs {jobs:?}");
    for child in &jobs {
        let pods = timeline.pods_of(child);
        ensure!(pods.len() == 1, "Job {child} had the pods {pods:?}");
    }
    Ok(())
}

/// A quota keeps the Job from being made, so that the intent stands alone when
/// the operator dies.
async fn killed_after_the_intent(tenant: &Tenant<'_>, timeline: &Timeline) -> Result<Value> {
    let quotas = tenant.api::<ResourceQuota>();
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "no-jobs"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }))?;
    quotas.create(&PostParams::default(), &quota).await?;
    let backoff = json!({"initialSeconds": BACKOFF_SECONDS, "maxSeconds": BACKOFF_SECONDS});
    let spec = spec(tenant, NAME, json!({"retryPolicy": {"backoff": backoff}}));
    let job = tenant.create_etljob(NAME, &spec).await?;
    let intended = |job: &Value| {
        job["status"]["attempt"]["number"] == 1 && reason(job, "Reconciling") == Some("Rejected")
    };
    tenant
        .wait_for(NAME, "the Job is intended and refused", ATTEMPT, intended)
        .await?;
    tenant.lab().kill_operator().await?;
    let jobs = timeline.jobs_of(uid(&job)?);
    ensure!(jobs.is_empty(), "the quota let {jobs:?} pass");
    // The next pod stays where it is until the operator has died once more.
    cordon(tenant, "cordon")?;
    quotas.delete("no-jobs", &DeleteParams::default()).await?;
    Ok(job)
}

/// The moment the Job is there, before its pod runs; and once more when it does.
async fn killed_after_the_creation(
    tenant: &Tenant<'_>,
    timeline: &Timeline,
    job: &Value,
) -> Result<()> {
    let killed = async {
        timeline.wait_jobs(uid(job)?, 1, ATTEMPT).await?;
        tenant.lab().kill_operator().await
    };
    let killed = killed.await;
    cordon(tenant, "uncordon")?;
    killed?;
    let running = tenant.etljob(NAME).await?.context("the EtlJob is there")?;
    ensure!(
        running["status"]["attempt"]["runningTime"].is_null(),
        "the operator had seen the worker already"
    );
    let worker = tenant.freeze_worker(NAME, 1, ATTEMPT).await?;
    wait_running(tenant, NAME).await?;
    tenant.lab().kill_operator().await?;
    worker.kill()
}

fn cordon(tenant: &Tenant<'_>, verb: &str) -> Result<()> {
    let output = tenant.lab().kubectl(&[verb, NODE])?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {verb}: {problem}");
    Ok(())
}

/// The time of the next attempt stands in the status: it neither moves nor is it
/// forgotten. Returns it.
async fn killed_during_the_wait(tenant: &Tenant<'_>) -> Result<Timestamp> {
    let waiting = wait_closed(tenant, NAME, 1, ATTEMPT).await?;
    let next = next_attempt(&waiting)?;
    tenant.lab().kill_operator().await?;
    tenant.lab().wait_operator_ready().await?;
    let still = tenant.etljob(NAME).await?.context("the EtlJob is there")?;
    ensure!(
        next_attempt(&still)? == next,
        "the next attempt was due at {next}, now at {}",
        still["status"]["nextAttemptTime"]
    );
    ensure!(
        Timestamp::now() < next,
        "the operator came back after the wait, which shows nothing"
    );
    Ok(next)
}

fn next_attempt(job: &Value) -> Result<Timestamp> {
    let text = job["status"]["nextAttemptTime"].as_str();
    Ok(text.context("no next attempt is due")?.parse()?)
}

/// The Job is deleted with a worker that does not hear of it: the end takes the
/// pods' whole grace, the operator has written it down and never sees it.
async fn killed_while_ending(tenant: &Tenant<'_>, due: Timestamp) -> Result<()> {
    let worker = tenant.freeze_worker(NAME, 2, ATTEMPT).await?;
    let running = wait_running(tenant, NAME).await?;
    let attempt = &running["status"]["attempt"];
    let start: Timestamp = attempt["startTime"].as_str().unwrap_or_default().parse()?;
    let late = start.duration_since(due).as_secs_f64();
    ensure!(
        (0.0..5.0).contains(&late),
        "the attempt due at {due} started {late} s after that"
    );
    let child = attempt["jobName"]
        .as_str()
        .context("the attempt names its Job")?;
    tenant
        .api::<Job>()
        .delete(child, &DeleteParams::foreground())
        .await?;
    let ending = |job: &Value| job["status"]["attempt"]["ending"].is_object();
    tenant
        .wait_for(NAME, "the end is written down", ATTEMPT, ending)
        .await?;
    ensure!(
        worker.is_alive(),
        "the worker ended before the operator was killed"
    );
    tenant.lab().kill_operator().await
}

/// The operator sleeps while the worker ends, and never wakes.
async fn killed_at_the_workers_end(tenant: &Tenant<'_>) -> Result<()> {
    let worker = tenant.freeze_worker(NAME, 3, ATTEMPT).await?;
    end_unseen(tenant, &worker).await?;
    tenant.lab().kill_operator().await
}

/// The worker ends while no operator looks, and its pod is cleaned away with its
/// report: the next operator knows that the Job succeeded, and looks up the rest.
pub(crate) async fn a_report_that_nobody_read_is_looked_up(tenant: &Tenant<'_>) -> Result<()> {
    faults::put_source(tenant, SMALL)?;
    let timeline = tenant.timeline().await?;
    let (_, worker) = start_frozen(tenant, NAME, json!({})).await?;
    end_unseen(tenant, &worker).await?;
    let pods = tenant.api::<Pod>();
    pods.delete(worker.pod_name(), &DeleteParams::default())
        .await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !tenant.pods().await?.is_empty() {
        ensure!(Instant::now() < deadline, "the pod does not go");
        sleep(Duration::from_millis(100)).await;
    }
    tenant.lab().kill_operator().await?;

    tenant.wait_complete(NAME, ATTEMPT).await?;
    let done = faults::hold(tenant, &timeline, NAME, SMALL).await?;
    ensure_attempts(&done, &[("ReportLost", false), ("Complete", false)])
}

/// Puts the operator to sleep and lets the frozen worker come to its end.
async fn end_unseen(tenant: &Tenant<'_>, worker: &Worker) -> Result<()> {
    let running = wait_running(tenant, NAME).await?;
    let child = &running["status"]["attempt"]["jobName"];
    let child = child.as_str().context("the attempt names its Job")?;
    for process in tenant.lab().operator_processes().await? {
        process.signal(Signal::STOP)?;
    }
    worker.thaw()?;
    wait_job_complete(tenant, child).await?;
    let unseen = tenant.etljob(NAME).await?.context("the EtlJob is there")?;
    ensure!(
        !has_condition(&unseen, "Complete"),
        "the operator was awake"
    );
    Ok(())
}

async fn wait_job_complete(tenant: &Tenant<'_>, name: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(25);
    loop {
        let job = tenant.api::<Job>().get(name).await?;
        let status = job.status.unwrap_or_default();
        let complete = status
            .conditions
            .iter()
            .flatten()
            .any(|c| c.type_ == "Complete" && c.status == "True");
        if complete {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "Job {name} does not complete: {status:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
