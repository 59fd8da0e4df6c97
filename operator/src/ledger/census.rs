//! The EtlJobs that are there, as the repair looks at them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use etl_api::EtlJob;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;

use crate::cache::{Cache, Resident};
use crate::cluster::{ApiError, bounded};

/// Bound of one look at the API server.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is there.
#[async_trait]
pub trait Residents: Send + Sync {
    /// All EtlJobs that are cached, once every cache is complete.
    async fn listed(&self) -> Vec<Resident>;

    /// One of them, as it is cached now.
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>>;

    /// The uid of one of them, for which a cache need not unpack it.
    fn uid(&self, namespace: &str, name: &str) -> Option<Arc<str>> {
        let uid = self.get(namespace, name)?.uid()?;
        Some(uid.into())
    }

    /// The uid of the EtlJob of this name, as the API server knows it now,
    /// whether or not it can be read. `None` if there is none.
    async fn live_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, ApiError>;
}

/// The caches of all territories.
#[derive(Debug)]
pub struct Census {
    territories: usize,
    caches: Mutex<Vec<Cache>>,
    enlisted: watch::Sender<usize>,
}

impl Census {
    /// Of so many `territories`, none of which is known yet.
    pub fn new(territories: usize) -> Self {
        Census {
            territories,
            caches: Mutex::default(),
            enlisted: watch::Sender::new(0),
        }
    }

    /// Adds the cache of a territory.
    pub fn enlist(&self, cache: Cache) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.push(cache);
        self.enlisted.send_replace(caches.len());
    }

    /// The caches, once there is one of each territory and all are complete.
    async fn complete(&self) -> Vec<Cache> {
        let mut enlisted = self.enlisted.subscribe();
        // The sender is `self`: it outlives the wait.
        let _ = enlisted.wait_for(|count| *count >= self.territories).await;
        let caches = self.caches();
        for cache in &caches {
            cache.complete().await;
        }
        caches
    }

    fn caches(&self) -> Vec<Cache> {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.clone()
    }
}

/// The caches, and the API server behind them.
pub struct KubeResidents<'a> {
    census: &'a Census,
    client: Client,
}

impl<'a> KubeResidents<'a> {
    /// Those of `census`, with `client` for a second look.
    pub fn new(census: &'a Census, client: Client) -> Self {
        KubeResidents { census, client }
    }
}

#[async_trait]
impl Residents for KubeResidents<'_> {
    async fn listed(&self) -> Vec<Resident> {
        let caches = self.census.complete().await;
        caches.iter().flat_map(Cache::residents).collect()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>> {
        let caches = self.census.caches();
        caches.iter().find_map(|cache| cache.get(namespace, name))
    }

    fn uid(&self, namespace: &str, name: &str) -> Option<Arc<str>> {
        let caches = self.census.caches();
        let wish = caches.iter().find_map(|cache| cache.wish(namespace, name));
        Some(wish?.uid)
    }

    async fn live_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, ApiError> {
        let api: Api<EtlJob> = Api::namespaced(self.client.clone(), namespace);
        // Listing is a right that the operator has already, and the API server
        // answers this one from a single key.
        let params = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = bounded(LOOK_TIMEOUT, api.list_metadata(&params)).await?;
        Ok(found.items.into_iter().find_map(|item| item.uid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::apiserver::ApiServer;
    use crate::simulation::fixture;
    use futures::FutureExt;
    use kube::runtime::watcher::Event;

    #[tokio::test]
    async fn nobody_is_counted_before_everybody_is_listed() {
        let (census, client) = (Census::new(2), ApiServer::new().client());
        let residents = KubeResidents::new(&census, client);
        let (first, second) = (Cache::new(), Cache::new());
        census.enlist(first.clone());
        first.apply(Event::Init);
        first.apply(Event::InitApply(fixture::etljob()));
        first.apply(Event::InitDone);
        assert!(residents.listed().now_or_never().is_none());
        census.enlist(second.clone());
        assert!(residents.listed().now_or_never().is_none());
        second.apply(Event::Init);
        second.apply(Event::InitDone);
        assert_eq!(residents.listed().await.len(), 1);
        assert!(residents.get(fixture::NAMESPACE, "trips").is_some());
        assert!(residents.get("elsewhere", "trips").is_none());
        let uid = residents.uid(fixture::NAMESPACE, "trips");
        assert_eq!(uid.as_deref(), fixture::etljob().uid().as_deref());
        assert!(residents.uid("elsewhere", "trips").is_none());
    }
}
