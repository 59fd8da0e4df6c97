//! One territory: its watches, its cache, and whom they trigger.

use std::sync::Arc;

use etl_api::{EtlJob, labels};
use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event, watcher};

use super::{Territory, observe_health};
use crate::cache::{Cache, Wish};
use crate::departures::{Departures, reference};
use crate::health::Health;
use crate::reconcile::Context;
use crate::turns::Turns;

/// What a territory is looked after with.
pub struct Post {
    territory: Territory,
    /// Its EtlJobs, as the watch brought them last.
    pub cache: Cache,
    /// What a pass works with.
    pub context: Context,
    turns: Arc<Turns>,
}

impl Post {
    /// A post, and the watches that it lives by: they never end by themselves.
    pub fn open(
        territory: Territory,
        context: Context,
        client: &Client,
        health: &Health,
        turns: &Arc<Turns>,
    ) -> (Arc<Post>, impl Future<Output = ()> + Send + use<>) {
        let cache = Cache::new();
        if let Some(mirror) = &context.mirror {
            mirror.census.enlist(cache.clone());
        }
        let post = Arc::new(Post {
            territory,
            cache,
            context,
            turns: Arc::clone(turns),
        });
        let watches = Arc::clone(&post).watch(client.clone(), health.clone());
        (post, watches)
    }

    /// Whether the EtlJobs of this namespace are looked after from here.
    pub fn covers(&self, namespace: &str) -> bool {
        match &self.territory {
            Territory::All => true,
            Territory::Namespace(name) => name == namespace,
        }
    }

    async fn watch(self: Arc<Self>, client: Client, health: Health) {
        tokio::select! {
            () = self.watch_jobs(&client, &health) => {}
            () = self.watch_etljobs(&client, &health) => {}
            () = self.look_at_all() => {}
        }
    }

    /// Keeps the index of Jobs up to date.
    async fn watch_jobs(&self, client: &Client, health: &Health) {
        let watched = self.territory.watched::<Job>(health, "Job");
        let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGER);
        let config = watcher::Config::default().labels(&selector);
        let events = watcher(self.territory.api::<Job>(client), config).default_backoff();
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            observe_health(&watched, &event);
            let Ok(event) = event else { continue };
            for owner in self.context.children.apply(event) {
                self.trigger(&owner);
            }
        }
    }

    /// Keeps the cache of EtlJobs up to date, and triggers those of which
    /// something else is asked than before. Own status writes trigger nothing:
    /// wake-ups say when to look again.
    async fn watch_etljobs(&self, client: &Client, health: &Health) {
        let watched = self.territory.watched::<EtlJob>(health, "EtlJob");
        let mut departures = Departures::new(self.cache.clone());
        let api = self.territory.api::<DeserializeGuard<EtlJob>>(client);
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        // Of a list under way; its objects are not in the cache before its end.
        let mut wishes = Vec::new();
        while let Some(event) = events.next().await {
            observe_health(&watched, &event);
            let Ok(event) = event else { continue };
            let comings = departures.by(&event);
            for job in comings.gone {
                self.context.depart(job);
            }
            let Some(event) = readable(event, &self.cache) else {
                continue;
            };
            match &event {
                Event::Init => wishes.clear(),
                Event::InitApply(job) | Event::Apply(job) => wishes.extend(self.news(job)),
                Event::InitDone | Event::Delete(_) => {}
            }
            if let Event::Apply(job) = &event {
                self.context.memory.caught_up(job);
            }
            let settled = matches!(event, Event::Apply(_) | Event::InitDone);
            self.cache.apply(event);
            if settled {
                // Those that can be read again have lost their turns.
                for job in std::mem::take(&mut wishes).into_iter().chain(comings.back) {
                    self.trigger(&job);
                }
            }
        }
    }

    /// The EtlJob, if something else is asked for with it than before.
    fn news(&self, job: &EtlJob) -> Option<ObjectRef<EtlJob>> {
        let reference = ObjectRef::from_obj(job);
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let before = self.cache.wish(namespace, &reference.name);
        (before != Some(Wish::from(job))).then_some(reference)
    }

    /// Looks at every EtlJob as soon as there is something to decide on, and
    /// whenever leading begins anew: what was skipped before is due then.
    async fn look_at_all(&self) {
        self.context.children.synced().await;
        let mut beginnings = std::pin::pin!(self.context.leadership.beginnings());
        loop {
            for job in self.cache.residents() {
                self.turns.trigger(&job.namespace, &job.name);
            }
            // One that never comes is no reason to end.
            if beginnings.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Without the Jobs there is nothing to decide on: when they are known all
    /// are looked at.
    fn trigger(&self, job: &ObjectRef<EtlJob>) {
        if self.context.children.is_synced() {
            let namespace = job.namespace.as_deref().unwrap_or_default();
            self.turns.trigger(namespace, &job.name);
        }
    }
}

/// Leaves out objects that this version cannot read, such as those of a newer
/// one: they must not keep the others from being looked at. One that is in
/// `cache` leaves it, because nothing good can be decided on what it was.
pub fn readable(event: Event<DeserializeGuard<EtlJob>>, cache: &Cache) -> Option<Event<EtlJob>> {
    let known = |reference: ObjectRef<EtlJob>| {
        let namespace = reference.namespace.unwrap_or_default();
        cache
            .get(&namespace, &reference.name)
            .map(Arc::unwrap_or_clone)
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(guard) => Event::InitApply(read(guard).ok()?),
        Event::Apply(guard) => match read(guard) {
            Ok(job) => Event::Apply(job),
            Err(reference) => Event::Delete(known(reference)?),
        },
        Event::Delete(guard) => match read(guard) {
            Ok(job) => Event::Delete(job),
            Err(reference) => Event::Delete(known(reference)?),
        },
    })
}

/// The object; if it cannot be read its name, once the log tells why.
fn read(guard: DeserializeGuard<EtlJob>) -> Result<EtlJob, ObjectRef<EtlJob>> {
    let reference = reference(&guard);
    guard.0.map_err(|invalid| {
        let (namespace, name) = (&invalid.metadata.namespace, &invalid.metadata.name);
        tracing::warn!(
            ?namespace,
            ?name,
            error = invalid.error,
            "cannot read an EtlJob: it is left alone until this version can"
        );
        reference
    })
}
