//! Which EtlJobs have gone away. A deletion is an event of the watch, or, if
//! it happened while the watch was interrupted, a gap in the next list. An
//! EtlJob that this version can no longer read has not gone away: it is left
//! alone until it can be read again.

use std::collections::HashMap;
use std::sync::Arc;

use etl_api::EtlJob;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;

use crate::cache::Cache;

/// Compares the events of a watch with the cache that they are about to
/// change: it must see an event before the cache does.
pub struct Departures {
    cache: Cache,
    /// By uid, whether it can be read.
    listed: HashMap<String, bool>,
    /// Those that are there but cannot be read any more, by uid, as they last
    /// could.
    hidden: HashMap<String, Arc<EtlJob>>,
}

/// What an event says beyond what is in it.
#[derive(Debug, Default)]
pub struct Comings {
    /// EtlJobs that are gone, as last seen.
    pub gone: Vec<Arc<EtlJob>>,
    /// EtlJobs that can be read again. Nothing in them need have changed, and
    /// nobody has looked at them meanwhile.
    pub back: Vec<ObjectRef<EtlJob>>,
}

impl Departures {
    /// `cache` is the one that the same watch feeds, with what can be read.
    pub fn new(cache: Cache) -> Self {
        Departures {
            cache,
            listed: HashMap::new(),
            hidden: HashMap::new(),
        }
    }

    /// What has become of EtlJobs by this event.
    pub fn by(&mut self, event: &Event<DeserializeGuard<EtlJob>>) -> Comings {
        match event {
            Event::Init => {
                self.listed.clear();
                Comings::default()
            }
            Event::InitApply(job) => {
                let uid = job.uid().unwrap_or_default();
                self.listed.insert(uid, job.0.is_ok());
                Comings::default()
            }
            Event::InitDone => self.listed(),
            Event::Apply(job) => self.applied(job),
            Event::Delete(job) => self.deleted(job),
        }
    }

    fn listed(&mut self) -> Comings {
        let listed = std::mem::take(&mut self.listed);
        let mut comings = Comings::default();
        for (uid, job) in std::mem::take(&mut self.hidden) {
            match listed.get(&uid) {
                None => comings.gone.push(job),
                Some(false) => {
                    self.hidden.insert(uid, job);
                }
                Some(true) => comings.back.push(ObjectRef::from_obj(job.as_ref())),
            }
        }
        for resident in self.cache.residents() {
            let readable = listed.get(&*resident.uid);
            if readable == Some(&true) {
                continue;
            }
            let Some(job) = self.cache.get(&resident.namespace, &resident.name) else {
                continue;
            };
            if readable.is_none() {
                comings.gone.push(job);
            } else {
                self.hidden.insert(resident.uid.to_string(), job);
            }
        }
        comings
    }

    fn applied(&mut self, job: &DeserializeGuard<EtlJob>) -> Comings {
        let (reference, uid) = (reference(job), job.uid().unwrap_or_default());
        let namespace = job.namespace().unwrap_or_default();
        let mut comings = Comings::default();
        // Deleted and made again behind the watch's back.
        let replaced = self.hidden.extract_if(|other, job| {
            *other != uid && ObjectRef::from_obj(job.as_ref()) == reference
        });
        comings.gone.extend(replaced.map(|(_, job)| job));
        if let Some(wish) = self.cache.wish(&namespace, &reference.name) {
            let before = || self.cache.get(&namespace, &reference.name);
            if *wish.uid != *uid {
                comings.gone.extend(before());
            } else if job.0.is_err() {
                let before = before().map(|before| (uid.clone(), before));
                self.hidden.extend(before);
            }
        }
        if job.0.is_ok() && self.hidden.remove(&uid).is_some() {
            comings.back.push(reference);
        }
        comings
    }

    fn deleted(&mut self, job: &DeserializeGuard<EtlJob>) -> Comings {
        let uid = job.uid().unwrap_or_default();
        let hidden = self.hidden.remove(&uid);
        let last = match &job.0 {
            Ok(job) => Some(Arc::new(job.clone())),
            Err(_) => hidden.or_else(|| {
                let namespace = job.namespace().unwrap_or_default();
                self.cache.get(&namespace, &job.name_any())
            }),
        };
        Comings {
            gone: last
                .into_iter()
                .filter(|job| job.uid() == Some(uid.clone()))
                .collect(),
            back: Vec::new(),
        }
    }
}

/// The name of an object, whether or not the rest of it can be read.
pub fn reference(job: &DeserializeGuard<EtlJob>) -> ObjectRef<EtlJob> {
    ObjectRef::new(&job.name_any()).within(&job.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::readable;
    use crate::simulation::fixture;

    type Guard = DeserializeGuard<EtlJob>;

    struct Watch {
        cache: Cache,
        departures: Departures,
    }

    impl Watch {
        fn new() -> Self {
            let cache = Cache::new();
            Watch {
                departures: Departures::new(cache.clone()),
                cache,
            }
        }

        /// Uids of those that are gone, and names of those that are back.
        fn all(&mut self, event: Event<Guard>) -> (Vec<String>, Vec<String>) {
            let comings = self.departures.by(&event);
            if let Some(event) = readable(event, &self.cache) {
                self.cache.apply(event);
            }
            let gone = comings.gone.iter().filter_map(|job| job.uid());
            let mut gone: Vec<String> = gone.collect();
            gone.sort();
            (gone, comings.back.into_iter().map(|r| r.name).collect())
        }

        fn see(&mut self, event: Event<Guard>) -> Vec<String> {
            let (gone, back) = self.all(event);
            assert!(back.is_empty(), "{back:?}");
            gone
        }

        fn list(&mut self, jobs: &[Guard]) -> Vec<String> {
            self.see(Event::Init);
            for job in jobs {
                assert!(self.see(Event::InitApply(job.clone())).is_empty());
            }
            self.see(Event::InitDone)
        }
    }

    fn job(name: &str, uid: &str) -> Guard {
        let mut job = fixture::etljob();
        job.metadata.name = Some(name.into());
        job.metadata.uid = Some(uid.into());
        DeserializeGuard(Ok(job))
    }

    /// The same, as a newer version may leave it.
    fn unreadable(name: &str, uid: &str) -> Guard {
        let mut job = serde_json::to_value(job(name, uid).0.unwrap()).unwrap();
        job["status"]["phase"] = "Dreaming".into();
        let guard: Guard = serde_json::from_value(job).unwrap();
        assert!(guard.0.is_err());
        guard
    }

    #[test]
    fn a_deletion_is_a_departure() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1")]);
        assert_eq!(watch.see(Event::Delete(job("a", "1"))), ["1"]);
    }

    #[test]
    fn a_gap_in_the_next_list_is_a_departure() {
        let mut watch = Watch::new();
        assert!(watch.list(&[job("a", "1"), job("b", "2")]).is_empty());
        assert_eq!(watch.list(&[job("b", "2")]), ["1"]);
        assert!(watch.list(&[job("b", "2")]).is_empty());
    }

    #[test]
    fn a_successor_of_the_same_name_means_that_the_old_one_is_gone() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1")]);
        assert_eq!(watch.see(Event::Apply(job("a", "2"))), ["1"]);
        assert_eq!(watch.list(&[job("a", "3")]), ["2"]);
    }

    #[test]
    fn what_can_no_longer_be_read_is_not_gone() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1"), job("b", "2")]);
        assert!(
            watch
                .list(&[unreadable("a", "1"), job("b", "2")])
                .is_empty()
        );
        assert!(
            watch
                .list(&[unreadable("a", "1"), job("b", "2")])
                .is_empty()
        );
        let update = Event::Apply(unreadable("b", "2"));
        assert!(watch.see(update).is_empty());
        assert!(watch.cache.residents().is_empty());
        // Both are told of when they do go, in whatever way.
        assert_eq!(watch.see(Event::Delete(unreadable("b", "2"))), ["2"]);
        assert_eq!(watch.list(&[]), ["1"]);
        assert!(watch.list(&[]).is_empty());
    }

    #[test]
    fn a_last_state_that_cannot_be_read_is_a_departure_too() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1")]);
        assert_eq!(watch.see(Event::Delete(unreadable("a", "1"))), ["1"]);
        assert!(watch.cache.residents().is_empty());
        // One that could never be read leaves nothing to tell.
        assert!(watch.see(Event::Delete(unreadable("z", "9"))).is_empty());
    }

    #[test]
    fn a_successor_of_one_that_cannot_be_read_means_that_it_is_gone() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1"), job("b", "2")]);
        watch.list(&[unreadable("a", "1"), unreadable("b", "2")]);
        assert_eq!(watch.see(Event::Apply(job("a", "3"))), ["1"]);
        assert_eq!(watch.see(Event::Apply(unreadable("a", "4"))), ["3"]);
        assert_eq!(watch.list(&[unreadable("b", "5")]), ["2"]);
    }

    #[test]
    fn what_can_be_read_again_is_told_once() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1"), job("b", "2")]);
        watch.list(&[unreadable("a", "1"), unreadable("b", "2")]);
        let back = |name: &str| (Vec::new(), vec![name.to_owned()]);
        assert_eq!(watch.all(Event::Apply(job("a", "1"))), back("a"));
        assert!(watch.see(Event::Apply(job("a", "1"))).is_empty());
        for event in [Event::Init, Event::InitApply(job("a", "1"))] {
            watch.see(event);
        }
        watch.see(Event::InitApply(job("b", "2")));
        assert_eq!(watch.all(Event::InitDone), back("b"));
        assert!(watch.list(&[job("a", "1"), job("b", "2")]).is_empty());
    }
}
