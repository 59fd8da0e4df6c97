//! What is remembered of an EtlJob between two passes. All of it may be lost:
//! a new process decides the same without it, only a little later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etl_api::EtlJob;
use etl_core::Refusal;
use kube::ResourceExt;

use crate::backoff::Backoff;
use crate::cluster::Kind;

/// Between tries of a failing effect of one object.
const EFFECT_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};

/// Between tries of what only a person can allow.
pub const SLOW: Duration = Duration::from_secs(15);

/// Notes on EtlJobs, by uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Note>>);

#[derive(Debug, Default)]
struct Note {
    /// Effects that failed in a row. Spends no attempts.
    failures: u32,
    /// Why the Job of this name was not created.
    refusal: Option<(String, Refusal)>,
    /// The object as the last status write returned it, until the watch has
    /// brought it or a newer one.
    written: Option<Arc<EtlJob>>,
    /// Version of the last own write, until a pass has seen it: the watch may
    /// bring it after a pass was given an older one.
    floor: u64,
}

impl Note {
    fn is_empty(&self) -> bool {
        self.failures == 0 && self.refusal.is_none() && self.written.is_none() && self.floor == 0
    }
}

impl Memory {
    fn notes(&self) -> MutexGuard<'_, HashMap<String, Note>> {
        // A note is valid after any step of its changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newer of `job` and what was last written, so that no pass decides
    /// on a status that an own write has replaced. `None` if `job` is older
    /// than that write and the watch, which has brought it meanwhile, has a
    /// newer one to give.
    pub fn newest(&self, job: Arc<EtlJob>) -> Option<Arc<EtlJob>> {
        let uid = job.uid().unwrap_or_default();
        let mut notes = self.notes();
        let Some(note) = notes.get_mut(&uid) else {
            return Some(job);
        };
        if note.floor > version(&job) {
            return note.written.clone();
        }
        note.written = None;
        note.floor = 0;
        if note.is_empty() {
            notes.remove(&uid);
        }
        Some(job)
    }

    /// Remembers the object as a status write returned it.
    pub fn wrote(&self, job: Arc<EtlJob>) {
        let uid = job.uid().unwrap_or_default();
        let mut notes = self.notes();
        let note = notes.entry(uid).or_default();
        note.floor = version(&job);
        note.written = Some(job);
    }

    /// The watch has brought `job`: an own write that is no newer is not
    /// needed any more.
    pub fn caught_up(&self, job: &EtlJob) {
        let uid = job.uid().unwrap_or_default();
        let mut notes = self.notes();
        let Some(note) = notes.get_mut(&uid) else {
            return;
        };
        if note
            .written
            .as_ref()
            .is_some_and(|written| version(written) <= version(job))
        {
            note.written = None;
        }
        if note.is_empty() {
            notes.remove(&uid);
        }
    }

    /// Why the Job `name` could not be created, if that is known.
    pub fn refusal(&self, uid: &str, name: &str) -> Option<Refusal> {
        let notes = self.notes();
        let (refused, refusal) = notes.get(uid)?.refusal.as_ref()?;
        (refused == name).then(|| refusal.clone())
    }

    /// Remembers why the Job `name` was not created.
    pub fn refused(&self, uid: &str, name: &str, refusal: Refusal) {
        let entry = (name.to_owned(), refusal);
        self.notes().entry(uid.to_owned()).or_default().refusal = Some(entry);
    }

    /// Forgets the last refusal: the Job is there.
    pub fn accepted(&self, uid: &str) {
        if let Some(note) = self.notes().get_mut(uid) {
            note.refusal = None;
        }
    }

    /// Counts a failed effect and tells how long to wait.
    pub fn failed(&self, uid: &str, kind: Kind) -> Duration {
        let mut notes = self.notes();
        let note = notes.entry(uid.to_owned()).or_default();
        note.failures = note.failures.saturating_add(1);
        let delay = EFFECT_BACKOFF.delay(note.failures);
        match kind {
            Kind::Forbidden | Kind::Rejected => delay.max(SLOW),
            _ => delay,
        }
    }

    /// The last pass did all it meant to.
    pub fn succeeded(&self, uid: &str) {
        if let Some(note) = self.notes().get_mut(uid) {
            note.failures = 0;
        }
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        self.notes().remove(uid);
    }
}

/// Resource versions of one kind can be compared as numbers; one that is no
/// number counts as the oldest.
fn version(job: &EtlJob) -> u64 {
    job.resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::fixture;

    fn at(version: u64) -> Arc<EtlJob> {
        let mut job = fixture::etljob();
        job.metadata.resource_version = Some(version.to_string());
        Arc::new(job)
    }

    #[test]
    fn an_own_write_is_preferred_until_the_watch_has_caught_up() {
        let memory = Memory::default();
        let newest = |job| memory.newest(job).map(|job| version(&job));
        memory.wrote(at(9));
        assert_eq!(newest(at(8)), Some(9));
        assert_eq!(newest(at(10)), Some(10));
        // From then on it is forgotten.
        assert_eq!(newest(at(8)), Some(8));
    }

    /// The pass was given its object, then the watch brought the own write.
    #[test]
    fn a_pass_that_began_with_an_older_object_ends_without_a_decision() {
        let memory = Memory::default();
        let given = at(8);
        memory.wrote(at(9));
        memory.caught_up(&at(9));
        assert_eq!(memory.newest(given), None);
        assert_eq!(memory.newest(at(9)).map(|job| version(&job)), Some(9));
    }

    #[test]
    fn nothing_is_kept_of_an_object_at_rest() {
        let memory = Memory::default();
        memory.wrote(at(9));
        memory.caught_up(&at(8));
        assert!(memory.newest(at(8)).is_some());
        memory.caught_up(&at(9));
        memory.newest(at(9));
        assert!(memory.notes().is_empty());
    }

    #[test]
    fn a_refusal_belongs_to_one_name_and_ends_with_success() {
        let memory = Memory::default();
        memory.refused("uid", "a", Refusal::NameTaken);
        assert_eq!(memory.refusal("uid", "a"), Some(Refusal::NameTaken));
        assert_eq!(memory.refusal("uid", "b"), None);
        memory.accepted("uid");
        assert_eq!(memory.refusal("uid", "a"), None);
    }

    #[test]
    fn what_is_forbidden_is_tried_slowly_and_success_resets_the_delay() {
        let memory = Memory::default();
        assert!(memory.failed("uid", Kind::Transient) <= Duration::from_secs(1));
        assert!(memory.failed("uid", Kind::Forbidden) >= SLOW);
        for _ in 0..10 {
            memory.failed("uid", Kind::Transient);
        }
        assert!(memory.failed("uid", Kind::Transient) >= Duration::from_secs(30));
        memory.succeeded("uid");
        assert!(memory.failed("uid", Kind::Transient) <= Duration::from_secs(1));
    }
}
