//! One territory: its watches, its cache, and whom they trigger.

use std::sync::Arc;

use etl_api::{EtlJob, Phase, labels};
use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};

use super::{Territory, observe_health};
use crate::departures::{Departures, reference};
use crate::health::Health;
use crate::metrics::Counts;
use crate::pruned::pruned;
use crate::reconcile::Context;
use crate::turns::Turns;

/// What a territory is looked after with.
pub struct Post {
    territory: Territory,
    /// Its EtlJobs, as the watch brought them last.
    pub store: Store<EtlJob>,
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
        let (store, writer) = reflector::store();
        if let Some(mirror) = &context.mirror {
            mirror.census.enlist(store.clone());
        }
        let post = Arc::new(Post {
            territory,
            store,
            context,
            turns: Arc::clone(turns),
        });
        let watches = Arc::clone(&post).watch(writer, client.clone(), health.clone());
        (post, watches)
    }

    /// Adds its EtlJobs to `counts`, by phase; one that has none is about to
    /// get its first.
    pub fn count(&self, counts: &mut Counts) {
        for job in self.store.state() {
            let phase = job.status.as_ref().and_then(|status| status.phase);
            counts[phase.unwrap_or(Phase::Pending) as usize] += 1;
        }
    }

    /// Whether the EtlJobs of this namespace are looked after from here.
    pub fn covers(&self, namespace: &str) -> bool {
        match &self.territory {
            Territory::All => true,
            Territory::Namespace(name) => name == namespace,
        }
    }

    async fn watch(self: Arc<Self>, writer: Writer<EtlJob>, client: Client, health: Health) {
        tokio::select! {
            () = self.watch_jobs(&client, &health) => {}
            () = self.watch_etljobs(writer, &client, &health) => {}
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

    /// Keeps the store of EtlJobs up to date, and triggers those of which
    /// something else is asked than before. Own status writes trigger nothing:
    /// wake-ups say when to look again.
    async fn watch_etljobs(&self, mut writer: Writer<EtlJob>, client: &Client, health: &Health) {
        let watched = self.territory.watched::<EtlJob>(health, "EtlJob");
        let mut departures = Departures::new(self.store.clone());
        let api = self.territory.api::<DeserializeGuard<EtlJob>>(client);
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        // Of a list under way; its objects are not in the store before its end.
        let mut wishes = Vec::new();
        while let Some(event) = events.next().await {
            observe_health(&watched, &event);
            let Ok(event) = event else { continue };
            let comings = departures.by(&event);
            for job in comings.gone {
                self.context.depart(job);
            }
            let Some(event) = readable(event, &self.store).map(prune) else {
                continue;
            };
            match &event {
                Event::Init => wishes.clear(),
                Event::InitApply(job) | Event::Apply(job) => wishes.extend(self.news(job)),
                Event::InitDone | Event::Delete(_) => {}
            }
            writer.apply_watcher_event(&event);
            if let Event::Apply(job) = &event {
                self.context.memory.caught_up(job);
            }
            if matches!(event, Event::Apply(_) | Event::InitDone) {
                // Those that can be read again have lost theirs.
                for job in wishes.drain(..).chain(comings.back) {
                    self.trigger(&job);
                }
            }
        }
    }

    /// The EtlJob, if something else is asked for with it than before.
    fn news(&self, job: &EtlJob) -> Option<ObjectRef<EtlJob>> {
        let reference = ObjectRef::from_obj(job);
        let before = self.store.get(&reference);
        before
            .is_none_or(|before| wish(&before) != wish(job))
            .then_some(reference)
    }

    /// Looks at every EtlJob as soon as there is something to decide on, and
    /// whenever leading begins anew: what was skipped before is due then.
    async fn look_at_all(&self) {
        self.context.children.synced().await;
        let mut beginnings = std::pin::pin!(self.context.leadership.beginnings());
        loop {
            for job in self.store.state() {
                self.trigger(&ObjectRef::from_obj(job.as_ref()));
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

fn prune(event: Event<EtlJob>) -> Event<EtlJob> {
    match event {
        Event::Apply(job) => Event::Apply(pruned(job)),
        Event::InitApply(job) => Event::InitApply(pruned(job)),
        Event::Delete(job) => Event::Delete(job),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// Leaves out objects that this version cannot read, such as those of a newer
/// one: they must not keep the others from being looked at. One that is in
/// `store` leaves it, because nothing good can be decided on what it was.
pub fn readable(
    event: Event<DeserializeGuard<EtlJob>>,
    store: &Store<EtlJob>,
) -> Option<Event<EtlJob>> {
    let known = |reference| Some(EtlJob::clone(&*store.get(&reference)?));
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

/// What somebody else asks for with an EtlJob: its uid, its generation, and
/// whether it is to be deleted.
pub(super) fn wish(job: &EtlJob) -> (Option<&str>, Option<i64>, bool) {
    let metadata = &job.metadata;
    let deleting = metadata.deletion_timestamp.is_some();
    (metadata.uid.as_deref(), metadata.generation, deleting)
}
