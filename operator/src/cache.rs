//! The EtlJobs of one territory, as the watch brought them last.
//!
//! There may be a hundred thousand at rest for every one that is looked at, so
//! they are kept packed: without what no pass looks at, as JSON, compressed
//! against a typical EtlJob. That is a fifth of what they are as structures,
//! and a pass unpacks its own in some microseconds.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etl_api::{EtlJob, Phase};
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use tokio::sync::watch;

use crate::metrics::Counts;

/// What EtlJobs have in common. Nothing is kept beyond the process, so it may
/// change at any time.
const TYPICAL: &[u8] = include_bytes!("cache/typical.json");

/// All of them; cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shelves: RwLock<Shelves>,
    complete: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Shelves {
    jobs: Shelf,
    /// Those of a list under way; they replace the others when it is complete.
    listing: Shelf,
}

/// By namespace and name.
type Shelf = HashMap<Arc<str>, HashMap<Arc<str>, Arc<Packed>>>;

/// An EtlJob.
#[derive(Debug, PartialEq, Eq)]
struct Packed {
    wish: Wish,
    phase: Option<Phase>,
    bytes: Box<[u8]>,
}

/// What somebody else asks for with an EtlJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Which it is.
    pub uid: Arc<str>,
    generation: Option<i64>,
    deleting: bool,
}

impl From<&EtlJob> for Wish {
    fn from(job: &EtlJob) -> Self {
        Wish {
            uid: job.metadata.uid.as_deref().unwrap_or_default().into(),
            generation: job.metadata.generation,
            deleting: job.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// Who an EtlJob is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resident {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name there.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
}

impl From<&EtlJob> for Resident {
    fn from(job: &EtlJob) -> Self {
        Resident {
            namespace: job.namespace().unwrap_or_default().into(),
            name: job.name_any().into(),
            uid: job.uid().unwrap_or_default().into(),
        }
    }
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Cache(Arc::new(Shared {
            shelves: RwLock::default(),
            complete: watch::Sender::new(false),
        }))
    }

    /// The EtlJob of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>> {
        let packed = self.find(namespace, name)?;
        Some(Arc::new(packed.open()))
    }

    /// What is asked for with it.
    pub fn wish(&self, namespace: &str, name: &str) -> Option<Wish> {
        Some(self.find(namespace, name)?.wish.clone())
    }

    /// All that are here.
    pub fn residents(&self) -> Vec<Resident> {
        let shelves = self.read();
        let all = shelves.jobs.iter().flat_map(|(namespace, jobs)| {
            jobs.iter().map(|(name, packed)| Resident {
                namespace: Arc::clone(namespace),
                name: Arc::clone(name),
                uid: Arc::clone(&packed.wish.uid),
            })
        });
        all.collect()
    }

    /// Adds them to `counts`, by phase; one that has none is about to get its
    /// first.
    pub fn count(&self, counts: &mut Counts) {
        let shelves = self.read();
        for packed in shelves.jobs.values().flat_map(HashMap::values) {
            counts[packed.phase.unwrap_or(Phase::Pending) as usize] += 1;
        }
    }

    /// Waits for the first complete list.
    pub async fn complete(&self) {
        // The sender lives as long as `self`, so there is no error to see.
        let _ = self.0.complete.subscribe().wait_for(|it| *it).await;
    }

    /// Takes an event of the watch over.
    pub fn apply(&self, event: Event<EtlJob>) {
        let mut shelves = self.write();
        match event {
            Event::Init => shelves.listing = Shelf::new(),
            Event::InitApply(job) => {
                let (namespace, name, mut packed) = pack(job);
                // A list as a rule brings what is known.
                if let Some(known) = shelves
                    .jobs
                    .get(&namespace)
                    .and_then(|jobs| jobs.get(&name))
                    && *known == packed
                {
                    packed = Arc::clone(known);
                }
                let shelf = shelves.listing.entry(namespace).or_default();
                shelf.insert(name, packed);
            }
            Event::InitDone => {
                shelves.jobs = std::mem::take(&mut shelves.listing);
                self.0.complete.send_replace(true);
            }
            Event::Apply(job) => {
                let (namespace, name, packed) = pack(job);
                let shelf = shelves.jobs.entry(namespace).or_default();
                shelf.insert(name, packed);
            }
            Event::Delete(job) => {
                let namespace = job.namespace().unwrap_or_default();
                if let Some(shelf) = shelves.jobs.get_mut(namespace.as_str()) {
                    shelf.remove(job.name_any().as_str());
                    if shelf.is_empty() {
                        shelves.jobs.remove(namespace.as_str());
                    }
                }
            }
        }
    }

    fn find(&self, namespace: &str, name: &str) -> Option<Arc<Packed>> {
        let shelves = self.read();
        shelves.jobs.get(namespace)?.get(name).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelves> {
        let shelves = &self.0.shelves;
        shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelves> {
        let shelves = &self.0.shelves;
        shelves.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Packed {
    fn open(&self) -> EtlJob {
        let json = decompress_size_prepended_with_dict(&self.bytes, TYPICAL)
            .expect("it was packed by this process");
        serde_json::from_slice(&json).expect("it was written from an EtlJob")
    }
}

fn pack(job: EtlJob) -> (Arc<str>, Arc<str>, Arc<Packed>) {
    let job = pruned(job);
    let json = serde_json::to_vec(&job).expect("an EtlJob has no keys that are no strings");
    let packed = Packed {
        wish: Wish::from(&job),
        phase: job.status.as_ref().and_then(|status| status.phase),
        bytes: compress_prepend_size_with_dict(&json, TYPICAL).into(),
    };
    let namespace = job.metadata.namespace.unwrap_or_default().into();
    let name = job.metadata.name.unwrap_or_default().into();
    (namespace, name, Arc::new(packed))
}

/// `job` without what no pass looks at.
///
/// The API server takes nothing but the status from a status write, so what is
/// missing here is not lost there.
fn pruned(mut job: EtlJob) -> EtlJob {
    let metadata = &mut job.metadata;
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.labels = None;
    metadata.finalizers = None;
    job
}

#[cfg(test)]
mod tests;
