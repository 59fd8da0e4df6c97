//! The world around one EtlJob, and a process that can die and start again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etl_api::{EtlJob, EtlJobStatus};
use etl_core::ledger::LedgerRecord;
use etl_core::{ChildJob, Settings};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use tokio::task::JoinHandle;

use super::cluster::{FakeCluster, Fault};
use super::ledger::{FakeLedger, keep};
use super::workers::Fate;
use super::{fixture, invariants};
use crate::clock::Clock;
use crate::lease::Leadership;
use crate::ledger::mirror::Mirror;
use crate::metrics::Metrics;
use crate::reconcile::{Context, Next, reconcile};

/// More passes than any scenario needs.
const PASSES: usize = 400;

/// How late a watch event is for each pass of lag.
const LATENESS: Duration = Duration::from_millis(500);

/// Passes for which a cache stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    pub etljob: usize,
    pub jobs: usize,
}

pub struct World {
    pub cluster: Arc<FakeCluster>,
    pub ledger: Arc<FakeLedger>,
    pub settings: Settings,
    pub lag: Lag,
    clock: Clock,
    process: Option<Process>,
    pub deaths: u32,
}

/// What dies with a process.
struct Process {
    context: Context,
    mirror: JoinHandle<()>,
    cached: Option<Arc<EtlJob>>,
    passes: usize,
}

impl Process {
    fn see_etljob(&mut self, etljob: Option<EtlJob>) {
        let before = self.cached.take();
        self.cached = etljob.map(Arc::new);
        let uid = |job: &Option<Arc<EtlJob>>| job.as_ref().and_then(|job| job.uid());
        if let Some(before) = before.filter(|job| job.uid() != uid(&self.cached)) {
            self.context.depart(before);
        }
    }

    fn see_jobs(&self, jobs: impl Iterator<Item = Job>) {
        let children = &self.context.children;
        children.apply(Event::Init);
        for job in jobs {
            children.apply(Event::InitApply(job));
        }
        children.apply(Event::InitDone);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.mirror.abort();
    }
}

impl World {
    pub fn new(etljob: EtlJob) -> Self {
        World {
            cluster: Arc::new(FakeCluster::new(etljob)),
            ledger: Arc::default(),
            settings: fixture::settings(),
            lag: Lag::default(),
            clock: Clock::starting_at("2026-11-24T00:00:00Z".parse().unwrap()),
            process: None,
            deaths: 0,
        }
    }

    /// A world whose attempts end like this, from the first one on.
    pub fn with_fates(fates: &[Fate]) -> Self {
        let world = World::new(fixture::etljob());
        world.cluster.state().workers.fates = (1..).zip(fates.iter().copied()).collect();
        world
    }

    pub fn fault(&self, write: usize, fault: Fault) {
        self.cluster.state().faults.insert(write, fault);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends the process without a word. The next pass starts another.
    pub fn kill(&mut self) {
        self.process = None;
        self.deaths += 1;
    }

    /// Passes and steps until nothing is left to do but to wait for
    /// somebody.
    pub async fn settle(&mut self) {
        for _ in 0..PASSES {
            let Some(next) = self.pass().await else {
                continue;
            };
            let changed = self.cluster.state().step();
            match next {
                _ if changed => tokio::time::sleep(Duration::from_millis(10)).await,
                Next::After(delay) if self.is_current() => tokio::time::sleep(delay).await,
                Next::OnChange if self.is_current() => return,
                // A watch event is on its way, late but not for ever.
                Next::After(delay) => tokio::time::sleep(delay.min(LATENESS)).await,
                Next::OnChange => tokio::time::sleep(LATENESS).await,
            }
        }
        let status = self.status();
        panic!("the world does not come to rest: {status:#?}");
    }

    /// One pass; `None` if the process died in it or there is no EtlJob.
    pub async fn pass(&mut self) -> Option<Next> {
        self.sync();
        let process = self.process.as_ref().expect("sync starts a process");
        let Some(job) = process.cached.clone() else {
            return Some(Next::OnChange);
        };
        let cluster = Arc::clone(&self.cluster);
        tokio::select! {
            biased;
            () = cluster.death() => {
                self.kill();
                None
            }
            next = reconcile(job, &process.context) => Some(next),
        }
    }

    /// Brings the caches up to date, each as often as its lag allows.
    fn sync(&mut self) {
        let process = self.process.take().unwrap_or_else(|| self.start());
        let process = self.process.insert(process);
        let due = |lag: usize| process.passes.is_multiple_of(lag + 1);
        let (etljob, jobs) = (due(self.lag.etljob), due(self.lag.jobs));
        process.passes += 1;
        if etljob {
            process.see_etljob(self.cluster.state().etljob.clone());
        }
        if jobs {
            process.see_jobs(self.cluster.state().jobs.values().cloned());
        }
    }

    fn start(&self) -> Process {
        let mirror = Arc::new(Mirror::default());
        let (queue, ledger) = (Arc::clone(&mirror), Arc::clone(&self.ledger));
        let (cluster, clock) = (Arc::clone(&self.cluster), Clock::starting_at(self.now()));
        Process {
            context: Context {
                settings: self.settings.clone(),
                clock,
                cluster: self.cluster.clone(),
                children: Arc::default(),
                memory: Arc::default(),
                mirror: self.settings.ledger.then_some(mirror),
                leadership: Leadership::sole(),
                metrics: Metrics::default(),
            },
            mirror: tokio::spawn(async move {
                keep(
                    &queue,
                    &ledger,
                    cluster.as_ref(),
                    &Leadership::sole(),
                    clock,
                )
                .await;
            }),
            cached: None,
            passes: 0,
        }
    }

    /// Whether the caches hold what the server held after the last pass.
    fn is_current(&self) -> bool {
        let version = |job: Option<&EtlJob>| job.and_then(|j| j.metadata.resource_version.clone());
        let state = self.cluster.state();
        self.process.as_ref().is_some_and(|process| {
            let Some(cached) = &process.cached else {
                return state.etljob.is_none();
            };
            let uid = cached.uid().unwrap_or_default();
            let own = |job: &&Job| job.owner_references().iter().any(|owner| owner.uid == uid);
            let there: Vec<ChildJob> = state
                .jobs
                .values()
                .filter(own)
                .map(ChildJob::from)
                .collect();
            version(Some(cached)) == version(state.etljob.as_ref())
                && process.context.children.of(&uid) == there
        })
    }

    pub fn status(&self) -> EtlJobStatus {
        let state = self.cluster.state();
        state
            .etljob
            .as_ref()
            .and_then(|job| job.status.clone())
            .unwrap_or_default()
    }

    pub fn writes(&self) -> Vec<&'static str> {
        self.cluster.state().writes.clone()
    }

    /// The ledger's row of run 1.
    pub fn row(&self) -> Option<LedgerRecord> {
        self.ledger.row(&format!(
            "test/{}/trips/{}/1",
            fixture::NAMESPACE,
            fixture::UID
        ))
    }

    /// What must hold at every end.
    pub fn check(&self) {
        let state = self.cluster.state();
        assert!(state.violations.is_empty(), "{:#?}", state.violations);
        let runs: BTreeSet<_> = state.workers.manifests.iter().collect();
        assert_eq!(state.workers.commits as usize, runs.len());
        if let Some(status) = state.etljob.as_ref().and_then(|job| job.status.as_ref()) {
            invariants::end(status, &state.workers.manifests);
        }
    }
}
