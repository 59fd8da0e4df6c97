//! What became of the Jobs and pods of a namespace, in the order in which it
//! happened.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::tenant::Tenant;

/// Where a Job or a pod stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Alive,
    Finished,
    Gone,
}

/// One change of one object. The revision is the store's own, in which Jobs
/// and pods have one order.
#[derive(Debug, Clone)]
struct Moment {
    revision: u64,
    kind: &'static str,
    name: String,
    uid: String,
    owner: String,
    standing: Standing,
}

/// The life of one object, in revisions; an end that did not come is the end of
/// time.
#[derive(Debug)]
struct Life {
    kind: &'static str,
    name: String,
    uid: String,
    owner: String,
    born: u64,
    finished: u64,
    gone: u64,
}

/// A record of the Jobs and pods of one namespace. It ends when it is dropped.
#[derive(Debug)]
pub struct Timeline {
    moments: Arc<Mutex<Vec<Moment>>>,
    excepted: Mutex<HashSet<String>>,
    watches: [JoinHandle<()>; 2],
}

impl Tenant<'_> {
    /// Records what becomes of the tenant's Jobs and pods from now on.
    ///
    /// # Errors
    /// The watches do not begin.
    pub async fn timeline(&self) -> Result<Timeline> {
        let moments = Arc::default();
        let (jobs, pods) = (self.api::<Job>(), self.api::<Pod>());
        let (job_ready, pod_ready) = (Arc::default(), Arc::default());
        let watches = [
            tokio::spawn(follow(
                watch(jobs),
                "Job",
                Arc::clone(&moments),
                Arc::clone(&job_ready),
                job,
            )),
            tokio::spawn(follow(
                watch(pods),
                "Pod",
                Arc::clone(&moments),
                Arc::clone(&pod_ready),
                pod,
            )),
        ];
        let timeline = Timeline {
            moments,
            excepted: Mutex::default(),
            watches,
        };
        let begun = async {
            job_ready.notified().await;
            pod_ready.notified().await;
        };
        let begun = tokio::time::timeout(Duration::from_secs(10), begun).await;
        begun.context("the watches of Jobs and pods do not begin")?;
        Ok(timeline)
    }
}

type Watched<K> = std::result::Result<Event<K>, watcher::Error>;

fn watch<K>(api: Api<K>) -> impl Stream<Item = Watched<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, watcher::Config::default())
}

async fn follow<K: Resource>(
    watch: impl Stream<Item = Watched<K>>,
    kind: &'static str,
    moments: Arc<Mutex<Vec<Moment>>>,
    ready: Arc<tokio::sync::Notify>,
    standing: fn(&K) -> Standing,
) {
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        let (object, standing) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let standing = standing(&object);
                (object, standing)
            }
            Ok(Event::Delete(object)) => (object, Standing::Gone),
            Ok(Event::InitDone) => {
                ready.notify_one();
                continue;
            }
            // The watch begins again by itself.
            Ok(Event::Init) | Err(_) => continue,
        };
        let revision = object.meta().resource_version.as_ref();
        let moment = Moment {
            revision: revision
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            kind,
            name: object.name_any(),
            uid: object.meta().uid.clone().unwrap_or_default(),
            owner: object
                .owner_references()
                .first()
                .map(|o| o.uid.clone())
                .unwrap_or_default(),
            standing,
        };
        lock(&moments).push(moment);
    }
}

fn job(job: &Job) -> Standing {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let finished = conditions
        .into_iter()
        .flatten()
        .any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True");
    if finished {
        Standing::Finished
    } else {
        Standing::Alive
    }
}

fn pod(pod: &Pod) -> Standing {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    match phase {
        Some("Succeeded" | "Failed") => Standing::Finished,
        _ => Standing::Alive,
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Timeline {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

impl Timeline {
    /// The names of the Jobs of an EtlJob so far, in the order of their creation.
    #[must_use]
    pub fn jobs_of(&self, etljob_uid: &str) -> Vec<String> {
        self.children("Job", etljob_uid)
            .map(|life| life.name)
            .collect()
    }

    /// The names of the pods of a Job so far, in the order of their creation.
    #[must_use]
    pub fn pods_of(&self, job: &str) -> Vec<String> {
        let owner = self
            .lives()
            .into_iter()
            .find(|life| life.kind == "Job" && life.name == job);
        let owner = owner.map(|life| life.uid).unwrap_or_default();
        self.children("Pod", &owner).map(|life| life.name).collect()
    }

    /// Waits until an EtlJob has had `count` Jobs. Returns within milliseconds
    /// of the last one's creation.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn wait_jobs(&self, etljob_uid: &str, count: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.jobs_of(etljob_uid).len() < count {
            ensure!(
                Instant::now() < deadline,
                "{count} Jobs are not there after {} s, only {:?}",
                limit.as_secs(),
                self.jobs_of(etljob_uid)
            );
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// At no time had an EtlJob two Jobs that were not finished.
    ///
    /// # Errors
    /// The two, with the revisions between which they lived.
    pub fn ensure_one_live_job(&self, etljob_uid: &str) -> Result<()> {
        let jobs: Vec<Life> = self.children("Job", etljob_uid).collect();
        for pair in jobs.windows(2) {
            ensure!(
                pair[0].finished <= pair[1].born,
                "two Jobs of one EtlJob lived side by side: {pair:?}"
            );
        }
        Ok(())
    }

    /// Takes a Job out of [`Timeline::ensure_no_orphans`]: it was not the operator
    /// who deleted it.
    pub fn except(&self, job: &str) {
        lock(&self.excepted).insert(job.to_owned());
    }

    /// No pod was alive after its Job was gone.
    ///
    /// # Errors
    /// The pod and its Job.
    pub fn ensure_no_orphans(&self) -> Result<()> {
        let lives = self.lives();
        for pod in lives.iter().filter(|life| life.kind == "Pod") {
            let Some(job) = lives.iter().find(|life| life.uid == pod.owner) else {
                continue;
            };
            let excepted = lock(&self.excepted).contains(&job.name);
            ensure!(
                pod.finished <= job.gone || excepted,
                "a pod was alive after its Job was gone: {pod:?}, {job:?}"
            );
        }
        Ok(())
    }

    fn children(&self, kind: &'static str, owner: &str) -> impl Iterator<Item = Life> {
        let mut lives = self.lives();
        lives.retain(|life| life.kind == kind && life.owner == owner);
        lives.sort_by_key(|life| life.born);
        lives.into_iter()
    }

    fn lives(&self) -> Vec<Life> {
        let mut lives: HashMap<String, Life> = HashMap::new();
        for moment in lock(&self.moments).iter() {
            let life = lives.entry(moment.uid.clone()).or_insert_with(|| Life {
                kind: moment.kind,
                name: moment.name.clone(),
                uid: moment.uid.clone(),
                owner: moment.owner.clone(),
                born: moment.revision,
                finished: u64::MAX,
                gone: u64::MAX,
            });
            if moment.standing != Standing::Alive {
                life.finished = life.finished.min(moment.revision);
            }
            if moment.standing == Standing::Gone {
                life.gone = life.gone.min(moment.revision);
            }
        }
        lives.into_values().collect()
    }
}
