//! The EtlJobs that are there, as the repair looks at them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use etl_api::EtlJob;
use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;

use crate::cluster::{ApiError, bounded};

/// Bound of one look at the API server.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is there.
#[async_trait]
pub trait Residents: Send + Sync {
    /// All EtlJobs that are cached, once every cache is complete.
    async fn listed(&self) -> Vec<Arc<EtlJob>>;

    /// One of them, as it is cached now.
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>>;

    /// The uid of the EtlJob of this name, as the API server knows it now,
    /// whether or not it can be read. `None` if there is none.
    async fn live_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, ApiError>;
}

/// The caches of all territories.
#[derive(Debug)]
pub struct Census {
    territories: usize,
    stores: Mutex<Vec<Store<EtlJob>>>,
    enlisted: watch::Sender<usize>,
}

impl Census {
    /// Of so many `territories`, none of which is known yet.
    pub fn new(territories: usize) -> Self {
        Census {
            territories,
            stores: Mutex::default(),
            enlisted: watch::Sender::new(0),
        }
    }

    /// Adds the cache of a territory.
    pub fn enlist(&self, store: Store<EtlJob>) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.push(store);
        self.enlisted.send_replace(stores.len());
    }

    /// The caches, once there is one of each territory and all are complete.
    async fn complete(&self) -> Vec<Store<EtlJob>> {
        let mut enlisted = self.enlisted.subscribe();
        // The sender is `self`: it outlives the wait.
        let _ = enlisted.wait_for(|count| *count >= self.territories).await;
        let stores = self.stores();
        for store in &stores {
            if store.wait_until_ready().await.is_err() {
                // Its watch has ended: so does the process.
                std::future::pending::<()>().await;
            }
        }
        stores
    }

    fn stores(&self) -> Vec<Store<EtlJob>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.clone()
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
    async fn listed(&self) -> Vec<Arc<EtlJob>> {
        let stores = self.census.complete().await;
        stores.iter().flat_map(Store::state).collect()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>> {
        let reference = ObjectRef::new(name).within(namespace);
        let stores = self.census.stores();
        stores.iter().find_map(|store| store.get(&reference))
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
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    #[tokio::test]
    async fn nobody_is_counted_before_everybody_is_listed() {
        let (census, client) = (Census::new(2), ApiServer::new().client());
        let residents = KubeResidents::new(&census, client);
        let (first, mut first_writer) = reflector::store();
        let (second, mut second_writer) = reflector::store();
        census.enlist(first);
        first_writer.apply_watcher_event(&Event::Init);
        first_writer.apply_watcher_event(&Event::InitApply(fixture::etljob()));
        first_writer.apply_watcher_event(&Event::InitDone);
        assert!(residents.listed().now_or_never().is_none());
        census.enlist(second);
        assert!(residents.listed().now_or_never().is_none());
        second_writer.apply_watcher_event(&Event::Init);
        second_writer.apply_watcher_event(&Event::InitDone);
        assert_eq!(residents.listed().await.len(), 1);
        assert!(residents.get(fixture::NAMESPACE, "trips").is_some());
        assert!(residents.get("elsewhere", "trips").is_none());
    }
}
