//! Which EtlJobs have gone away. A deletion is an event of the watch, or, if
//! it happened while the watch was interrupted, a gap in the next list.

use std::collections::HashSet;
use std::sync::Arc;

use etl_api::EtlJob;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

/// Compares the events of a watch with the store that they are about to
/// change: it must see an event before the store does.
pub struct Departures {
    store: Store<EtlJob>,
    listed: HashSet<String>,
}

impl Departures {
    /// `store` is the one that the same watch feeds.
    pub fn new(store: Store<EtlJob>) -> Self {
        Departures {
            store,
            listed: HashSet::new(),
        }
    }

    /// The EtlJobs that are gone by this event, as last seen.
    pub fn by(&mut self, event: &Event<EtlJob>) -> Vec<Arc<EtlJob>> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(job) => {
                self.listed.extend(job.uid());
                Vec::new()
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let missing = |job: &EtlJob| job.uid().is_some_and(|uid| !listed.contains(&uid));
                self.store.state_filter(missing)
            }
            Event::Apply(job) => {
                // Deleted and made again behind the watch's back.
                let before = self.store.get(&ObjectRef::from_obj(job));
                before
                    .into_iter()
                    .filter(|before| before.uid() != job.uid())
                    .collect()
            }
            Event::Delete(job) => vec![Arc::new(job.clone())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::fixture;
    use kube::runtime::reflector::{self, store::Writer};

    struct Watch {
        writer: Writer<EtlJob>,
        departures: Departures,
    }

    impl Watch {
        fn new() -> Self {
            let (store, writer) = reflector::store();
            Watch {
                writer,
                departures: Departures::new(store),
            }
        }

        fn see(&mut self, event: &Event<EtlJob>) -> Vec<String> {
            let gone = self.departures.by(event);
            self.writer.apply_watcher_event(event);
            gone.iter().filter_map(|job| job.uid()).collect()
        }

        fn list(&mut self, jobs: &[EtlJob]) -> Vec<String> {
            self.see(&Event::Init);
            for job in jobs {
                assert!(self.see(&Event::InitApply(job.clone())).is_empty());
            }
            self.see(&Event::InitDone)
        }
    }

    fn job(name: &str, uid: &str) -> EtlJob {
        let mut job = fixture::etljob();
        job.metadata.name = Some(name.into());
        job.metadata.uid = Some(uid.into());
        job
    }

    #[test]
    fn a_deletion_is_a_departure() {
        let mut watch = Watch::new();
        watch.list(&[job("a", "1")]);
        assert_eq!(watch.see(&Event::Delete(job("a", "1"))), ["1"]);
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
        assert_eq!(watch.see(&Event::Apply(job("a", "2"))), ["1"]);
        assert_eq!(watch.list(&[job("a", "3")]), ["2"]);
    }
}
