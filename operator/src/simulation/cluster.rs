//! An API server that holds one EtlJob and its Jobs.

use std::collections::BTreeMap;
use std::future;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use etl_api::{EtlJob, labels};
use etl_core::Event;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tokio::sync::Notify;

use super::invariants;
use super::workers::Workers;
use crate::cluster::{ApiError, Cluster, Kind};

/// What goes wrong with one write.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The process dies before the request leaves it.
    CrashBefore,
    /// The process dies before it sees the answer.
    CrashAfter,
    /// The request takes effect, but the answer is lost.
    LoseAnswer,
    /// The server answers with an error.
    Answer(Kind),
}

/// What the server holds, and what is to go wrong.
pub struct State {
    pub etljob: Option<EtlJob>,
    pub jobs: BTreeMap<String, Job>,
    /// By uid of their Job.
    pub pods: BTreeMap<String, Vec<Pod>>,
    pub workers: Workers,
    /// Reasons and notes of events.
    pub events: Vec<(String, String)>,
    /// All writes, events left out, by name.
    pub writes: Vec<&'static str>,
    /// By number of the write, from 0.
    pub faults: BTreeMap<usize, Fault>,
    /// Answers every creation of a Job, for as long as it is set.
    pub creates_fail: Option<Kind>,
    pub violations: Vec<String>,
    version: u64,
    uids: u32,
}

/// The server, as one process sees it.
pub struct FakeCluster {
    state: Mutex<State>,
    died: Notify,
}

impl FakeCluster {
    pub fn new(etljob: EtlJob) -> Self {
        let state = State {
            etljob: Some(etljob),
            jobs: BTreeMap::new(),
            pods: BTreeMap::new(),
            workers: Workers::default(),
            events: Vec::new(),
            writes: Vec::new(),
            faults: BTreeMap::new(),
            creates_fail: None,
            violations: Vec::new(),
            version: 1,
            uids: 0,
        };
        FakeCluster {
            state: Mutex::new(state),
            died: Notify::new(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Resolves when the process has died of a fault.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    async fn write<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let fault = {
            let mut state = self.state();
            let number = state.writes.len();
            state.writes.push(name);
            state.faults.remove(&number)
        };
        match fault {
            None => effect(&mut self.state()),
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::CrashAfter) => {
                let _ = effect(&mut self.state());
                self.die().await
            }
            Some(Fault::LoseAnswer) => {
                let _ = effect(&mut self.state());
                Err(ApiError::new(Kind::Transient, "no answer"))
            }
            Some(Fault::Answer(kind)) => Err(ApiError::new(kind, "as told")),
        }
    }

    /// The dead send no more requests and see no more answers.
    async fn die<T>(&self) -> T {
        self.died.notify_one();
        future::pending().await
    }
}

impl State {
    pub fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    /// Somebody else changes the EtlJob.
    pub fn edit(&mut self, change: impl FnOnce(&mut EtlJob)) {
        let version = self.next_version();
        let job = self.etljob.as_mut().expect("the EtlJob exists");
        change(job);
        job.metadata.resource_version = Some(version);
    }

    fn replace_status(&mut self, body: &EtlJob) -> Result<EtlJob, ApiError> {
        let Some(live) = self
            .etljob
            .clone()
            .filter(|live| live.name_any() == body.name_any())
        else {
            return Err(ApiError::new(Kind::NotFound, "etljob not found"));
        };
        let versions = (body.resource_version(), live.resource_version());
        if body.uid() != live.uid() || versions.0 != versions.1 {
            return Err(ApiError::new(
                Kind::Conflict,
                "the object has been modified",
            ));
        }
        invariants::status(
            live.status.as_ref(),
            body.status.as_ref(),
            &mut self.violations,
        );
        let mut stored = EtlJob {
            status: body.status.clone(),
            ..live
        };
        stored.metadata.resource_version = Some(self.next_version());
        self.etljob = Some(stored.clone());
        Ok(stored)
    }

    fn create(&mut self, body: &Job) -> Result<(), ApiError> {
        if let Some(kind) = self.creates_fail {
            return Err(ApiError::new(kind, "exceeded quota: pods"));
        }
        if self.jobs.contains_key(&body.name_any()) {
            return Err(ApiError::new(Kind::AlreadyExists, "job already exists"));
        }
        invariants::create(body, &self.jobs, self.etljob.as_ref(), &mut self.violations);
        let mut job = body.clone();
        if job.labels().contains_key(labels::QUEUE) {
            // As the webhook of a queue does.
            job.spec.get_or_insert_default().suspend = Some(true);
        }
        job.metadata.uid = Some(self.next_uid());
        job.metadata.resource_version = Some(self.next_version());
        self.jobs.insert(job.name_any(), job);
        Ok(())
    }

    /// Begins a foreground deletion.
    pub fn delete(&mut self, name: &str, uid: &str) {
        if let Some(job) = self
            .jobs
            .get_mut(name)
            .filter(|job| job.uid().as_deref() == Some(uid))
        {
            let now = Time("2026-11-24T00:00:00Z".parse().expect("a time"));
            job.metadata.deletion_timestamp.get_or_insert(now);
        }
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    async fn replace_status(&self, job: &EtlJob) -> Result<EtlJob, ApiError> {
        self.write("status", |state| state.replace_status(job))
            .await
    }

    async fn delete_etljob(&self, _: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.write("delete EtlJob", |state| {
            let same = |job: &EtlJob| job.name_any() == name && job.uid().as_deref() == Some(uid);
            if state.etljob.as_ref().is_some_and(same) {
                state.etljob = None;
            }
            Ok(())
        })
        .await
    }

    async fn create_job(&self, job: &Job) -> Result<(), ApiError> {
        self.write("create Job", |state| state.create(job)).await
    }

    async fn get_job(&self, _: &str, name: &str) -> Result<Option<Job>, ApiError> {
        Ok(self.state().jobs.get(name).cloned())
    }

    async fn delete_job(&self, _: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.write("delete Job", |state| {
            state.delete(name, uid);
            Ok(())
        })
        .await
    }

    async fn pods(&self, _: &str, job_uid: &str) -> Result<Vec<Pod>, ApiError> {
        Ok(self.state().pods.get(job_uid).cloned().unwrap_or_default())
    }

    async fn warnings(&self, _: &str, _: &str) -> Result<Vec<String>, ApiError> {
        Ok(Vec::new())
    }

    async fn publish(&self, _: &EtlJob, event: &Event, _: &str) -> Result<(), ApiError> {
        self.state()
            .events
            .push((event.reason.to_owned(), event.note.clone()));
        Ok(())
    }
}
