//! Many EtlJobs under one operator, with one ledger. Each lives on an API
//! server of its own: what is looked at here is how their rows follow.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etl_api::EtlJob;
use etl_core::ledger::{LedgerRecord, ProcessingStatus, records};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use tokio::task::JoinHandle;

use super::cluster::FakeCluster;
use super::fixture;
use super::ledger::{FakeLedger, keep};
use crate::cache::Resident;
use crate::clock::Clock;
use crate::cluster::ApiError;
use crate::lease::Leadership;
use crate::ledger::census::Residents;
use crate::ledger::mirror::Mirror;
use crate::reconcile::{Context, Next, reconcile};

/// More passes than any run needs.
const PASSES: usize = 50;

pub struct Fleet {
    pub homes: Arc<Homes>,
    pub ledger: Arc<FakeLedger>,
    pub clock: Clock,
}

/// Where the EtlJobs are, by their number.
pub struct Homes(Vec<Arc<FakeCluster>>);

/// A process, which ends when it is dropped.
pub struct Operator {
    pub mirror: Arc<Mirror>,
    contexts: Vec<Context>,
    task: JoinHandle<()>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fleet {
    pub fn new(size: usize) -> Self {
        let home = |number: usize| {
            let mut job = fixture::etljob();
            job.metadata.name = Some(format!("trips-{number}"));
            job.metadata.uid = Some(format!("uid-of-{number}"));
            Arc::new(FakeCluster::new(job))
        };
        Fleet {
            homes: Arc::new(Homes((0..size).map(home).collect())),
            ledger: Arc::default(),
            clock: Clock::starting_at("2026-11-24T00:00:00Z".parse().unwrap()),
        }
    }

    pub fn size(&self) -> usize {
        self.homes.0.len()
    }

    pub fn start(&self, leadership: &Leadership) -> Operator {
        let mirror = Arc::new(Mirror::default());
        let context = |home: &Arc<FakeCluster>| Context {
            settings: fixture::settings(),
            clock: self.clock,
            cluster: home.clone(),
            children: Arc::default(),
            memory: Arc::default(),
            mirror: Some(Arc::clone(&mirror)),
            leadership: leadership.clone(),
            metrics: crate::metrics::Metrics::default(),
        };
        let (queue, ledger) = (Arc::clone(&mirror), Arc::clone(&self.ledger));
        let (homes, leadership) = (Arc::clone(&self.homes), leadership.clone());
        let clock = self.clock;
        Operator {
            contexts: self.homes.0.iter().map(context).collect(),
            mirror,
            task: tokio::spawn(async move {
                keep(&queue, &ledger, homes.as_ref(), &leadership, clock).await;
            }),
        }
    }

    /// Passes and steps until `done`.
    pub async fn advance(
        &self,
        operator: &Operator,
        number: usize,
        done: impl Fn(&EtlJob) -> bool,
    ) {
        for _ in 0..PASSES {
            let (job, jobs) = {
                let state = self.homes.0[number].state();
                let jobs: Vec<Job> = state.jobs.values().cloned().collect();
                (state.etljob.clone().expect("it is there"), jobs)
            };
            if done(&job) {
                return;
            }
            let context = &operator.contexts[number];
            context.children.apply(Event::Init);
            for job in jobs {
                context.children.apply(Event::InitApply(job));
            }
            context.children.apply(Event::InitDone);
            let next = reconcile(Arc::new(job), context).await;
            let changed = self.homes.0[number].state().step();
            if let (Next::After(delay), false) = (next, changed) {
                tokio::time::sleep(delay.min(Duration::from_millis(1))).await;
            }
        }
        panic!("EtlJob {number} does not get there");
    }

    /// Asks for another run.
    pub fn ask_again(&self, number: usize, run_id: &str) {
        self.homes.0[number].state().edit(|job| {
            job.spec.run_id = Some(run_id.to_owned());
            job.metadata.generation = job.metadata.generation.map(|generation| generation + 1);
        });
    }

    /// Deletes an EtlJob; `watching` is the operator that sees it go.
    pub fn delete(&self, number: usize, watching: Option<&Operator>) {
        let job = self.homes.0[number].state().etljob.take();
        if let Some(operator) = watching {
            operator.contexts[number].depart(Arc::new(job.expect("it was there")));
        }
    }

    /// Every row is what it should be.
    pub fn check(&self) {
        let diverging = self.diverging();
        let (count, some) = (diverging.len(), diverging.iter().take(5));
        assert_eq!(count, 0, "{:?}", some.collect::<Vec<_>>());
    }

    /// Rows that are not what they should be.
    pub fn diverging(&self) -> Vec<String> {
        let rows = self.ledger.rows.lock().unwrap();
        let living = self.homes.all();
        let expected = living
            .iter()
            .flat_map(|job| records(job, &fixture::settings()));
        let mut diverging: Vec<String> = expected
            .filter(|record| rows.get(&record.file_id) != Some(record))
            .map(|record| record.file_id)
            .collect();
        let uids: Vec<String> = living.iter().filter_map(|job| job.uid()).collect();
        let open = |row: &&LedgerRecord| {
            row.processing_status == ProcessingStatus::InProgress && !uids.contains(&row.uid)
        };
        diverging.extend(rows.values().filter(open).map(|row| row.file_id.clone()));
        diverging
    }
}

impl Homes {
    fn all(&self) -> Vec<Arc<EtlJob>> {
        let there = self.0.iter().filter_map(|home| home.state().etljob.clone());
        there.map(Arc::new).collect()
    }
}

#[async_trait]
impl Residents for Homes {
    async fn listed(&self) -> Vec<Resident> {
        let all = self.all();
        all.iter().map(|job| Resident::from(job.as_ref())).collect()
    }

    fn get(&self, _: &str, name: &str) -> Option<Arc<EtlJob>> {
        let number: usize = name.strip_prefix("trips-")?.parse().ok()?;
        self.0.get(number)?.state().etljob.clone().map(Arc::new)
    }

    async fn live_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.get(namespace, name).and_then(|job| job.uid()))
    }
}
