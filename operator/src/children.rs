//! The Jobs that EtlJobs own, by owner, reduced to the facts that decisions
//! are made on. Fed by one watch; a pass reads it for free.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etl_api::EtlJob;
use etl_core::ChildJob;
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

/// All owned Jobs of a territory.
pub struct Children {
    index: RwLock<Index>,
    synced: watch::Sender<bool>,
}

#[derive(Default)]
struct Index {
    families: Families,
    /// The families of a list under way; they replace the old ones when it is
    /// complete.
    listing: Families,
}

/// By uid of the owner.
type Families = HashMap<String, Family>;

/// Of a hundred thousand of them most have one Job: there is no spare room.
struct Family {
    owner: ObjectRef<EtlJob>,
    /// By name.
    jobs: Vec<ChildJob>,
}

impl Family {
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.jobs
            .binary_search_by(|job| job.name.as_str().cmp(name))
    }
}

impl Default for Children {
    fn default() -> Self {
        Children {
            index: RwLock::default(),
            synced: watch::Sender::new(false),
        }
    }
}

impl Children {
    /// The Jobs of the EtlJob with this uid.
    pub fn of(&self, uid: &str) -> Vec<ChildJob> {
        let index = self.read();
        index
            .families
            .get(uid)
            .map_or_else(Vec::new, |f| f.jobs.clone())
    }

    /// Waits for the first complete list.
    pub async fn synced(&self) {
        // The sender lives as long as `self`, so there is no error to see.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Whether there was one.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Takes an event of the watch over and tells which EtlJobs it concerns.
    /// An event that changes no fact concerns nobody, and nor does the first
    /// list: every EtlJob is looked at after it anyway.
    pub fn apply(&self, event: watcher::Event<Job>) -> Vec<ObjectRef<EtlJob>> {
        let mut index = self.write();
        match event {
            watcher::Event::Init => {
                index.listing.clear();
                Vec::new()
            }
            watcher::Event::InitApply(job) => {
                put(&mut index.listing, &job);
                Vec::new()
            }
            watcher::Event::InitDone => {
                let new = std::mem::take(&mut index.listing);
                let old = std::mem::replace(&mut index.families, new);
                let first = !self.synced.send_replace(true);
                if first {
                    Vec::new()
                } else {
                    differing(&old, &index.families)
                }
            }
            watcher::Event::Apply(job) => put(&mut index.families, &job).into_iter().collect(),
            watcher::Event::Delete(job) => remove(&mut index.families, &job).into_iter().collect(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uid and reference of the EtlJob that controls `job`.
fn owner(job: &Job) -> Option<(String, ObjectRef<EtlJob>)> {
    let reference = job.owner_references().iter().find(|owner| {
        owner.kind == EtlJob::kind(&()) && owner.api_version == EtlJob::api_version(&())
    })?;
    let object = ObjectRef::new(&reference.name).within(&job.namespace()?);
    Some((reference.uid.clone(), object))
}

fn put(families: &mut Families, job: &Job) -> Option<ObjectRef<EtlJob>> {
    let (uid, owner) = owner(job)?;
    let family = families.entry(uid).or_insert_with(|| Family {
        owner: owner.clone(),
        jobs: Vec::new(),
    });
    let child = ChildJob::from(job);
    match family.place(&child.name) {
        Ok(place) if family.jobs[place] == child => None,
        Ok(place) => {
            family.jobs[place] = child;
            Some(owner)
        }
        Err(place) => {
            family.jobs.reserve_exact(1);
            family.jobs.insert(place, child);
            Some(owner)
        }
    }
}

fn remove(families: &mut Families, job: &Job) -> Option<ObjectRef<EtlJob>> {
    let (uid, owner) = owner(job)?;
    let family = families.get_mut(&uid)?;
    let place = family.place(&job.name_any()).ok()?;
    // The name may have been given to a new Job already.
    if Some(&family.jobs[place].uid) != job.metadata.uid.as_ref() {
        return None;
    }
    family.jobs.remove(place);
    if family.jobs.is_empty() {
        families.remove(&uid);
    }
    Some(owner)
}

/// Owners whose Jobs differ between two lists.
fn differing(old: &Families, new: &Families) -> Vec<ObjectRef<EtlJob>> {
    let jobs = |families: &Families, uid: &str| families.get(uid).map(|f| f.jobs.clone());
    let changed = new
        .iter()
        .filter(|(uid, f)| jobs(old, uid).as_ref() != Some(&f.jobs));
    let gone = old.iter().filter(|(uid, _)| !new.contains_key(*uid));
    changed
        .chain(gone)
        .map(|(_, family)| family.owner.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::fixture;
    use watcher::Event;

    fn job(name: &str, uid: &str, active: i32) -> Job {
        let mut job = fixture::child(name, uid);
        job.status.get_or_insert_default().active = Some(active);
        job
    }

    fn listed(jobs: &[Job]) -> (Children, Vec<ObjectRef<EtlJob>>) {
        let children = Children::default();
        let concerned = relist(&children, jobs);
        (children, concerned)
    }

    fn relist(children: &Children, jobs: &[Job]) -> Vec<ObjectRef<EtlJob>> {
        children.apply(Event::Init);
        for job in jobs {
            assert!(children.apply(Event::InitApply(job.clone())).is_empty());
        }
        children.apply(Event::InitDone)
    }

    #[tokio::test]
    async fn the_first_list_makes_it_ready_and_wakes_nobody() {
        let (children, concerned) = listed(&[job("a", "1", 0)]);
        assert!(concerned.is_empty());
        children.synced().await;
        assert_eq!(children.of(fixture::UID).len(), 1);
        assert!(children.of("somebody-else").is_empty());
    }

    #[test]
    fn an_event_concerns_the_owner_only_if_a_fact_changed() {
        let (children, _) = listed(&[job("a", "1", 0)]);
        assert!(children.apply(Event::Apply(job("a", "1", 0))).is_empty());
        let concerned = children.apply(Event::Apply(job("a", "1", 1)));
        assert_eq!(concerned, [ObjectRef::from_obj(&fixture::etljob())]);
        assert_eq!(children.of(fixture::UID)[0].active, 1);
    }

    #[test]
    fn a_late_deletion_does_not_remove_a_successor_of_the_same_name() {
        let (children, _) = listed(&[job("a", "2", 0)]);
        assert!(children.apply(Event::Delete(job("a", "1", 0))).is_empty());
        assert_eq!(children.of(fixture::UID).len(), 1);
        assert_eq!(children.apply(Event::Delete(job("a", "2", 0))).len(), 1);
        assert!(children.of(fixture::UID).is_empty());
    }

    #[test]
    fn a_new_list_replaces_the_old_and_wakes_owners_of_what_vanished() {
        let (children, _) = listed(&[job("a", "1", 0)]);
        // Until it is complete the old one holds.
        children.apply(Event::Init);
        assert_eq!(children.of(fixture::UID).len(), 1);
        assert_eq!(children.apply(Event::InitDone).len(), 1);
        assert!(children.of(fixture::UID).is_empty());
        assert!(relist(&children, &[]).is_empty());
    }

    #[test]
    fn jobs_that_no_etljob_owns_are_left_out() {
        let mut foreign = job("a", "1", 0);
        foreign.metadata.owner_references = None;
        let (children, _) = listed(&[foreign]);
        assert!(children.of(fixture::UID).is_empty());
    }
}
