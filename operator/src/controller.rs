//! Which EtlJobs are looked at, and when: turns watches and wake-ups into
//! passes.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;

use etl_api::{EtlJob, labels};
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::{Stream, StreamExt, future};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{PredicateConfig, WatchStreamExt};
use kube::{Api, Client, Resource, ResourceExt};
use tracing::Instrument;

use crate::departures::{Departures, reference};
use crate::health::{Health, Watched};
use crate::reconcile::{Context, Next, reconcile};
use crate::stop::Stop;

/// The EtlJobs and Jobs of one namespace, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Territory {
    /// The whole cluster.
    All,
    /// One namespace.
    Namespace(String),
}

impl Territory {
    /// One for each name; the whole cluster if there is none.
    pub fn all_of(namespaces: &[String]) -> Vec<Territory> {
        if namespaces.is_empty() {
            return vec![Territory::All];
        }
        namespaces
            .iter()
            .cloned()
            .map(Territory::Namespace)
            .collect()
    }

    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Territory::All => Api::all(client.clone()),
            Territory::Namespace(name) => Api::namespaced(client.clone(), name),
        }
    }

    /// Tells `health` of a watch over what is here.
    fn watched<K>(&self, health: &Health, kind: &'static str) -> Watched
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let (name, namespace) = match self {
            Territory::All => (format!("{kind}s in all namespaces"), None),
            Territory::Namespace(name) => {
                (format!("{kind}s in namespace {name}"), Some(name.as_str()))
            }
        };
        health.watch(kind, name, &K::url_path(&(), namespace))
    }
}

/// Looks after one territory until `stop`; passes that have begun are
/// finished.
pub async fn run(
    territory: Territory,
    client: Client,
    context: Arc<Context>,
    health: Health,
    stop: Stop,
) {
    let (concerned, triggers) = mpsc::unbounded();
    let jobs = watch_jobs(&territory, &client, &context, &health, concerned);
    let passes = passes(
        &territory,
        &client,
        &context,
        &health,
        triggers,
        stop.clone(),
    );
    // Without the Jobs there is nothing to decide on.
    let passes = async {
        tokio::select! {
            () = context.children.synced() => {}
            () = stop.clone() => return,
        }
        let mut passes = std::pin::pin!(passes);
        while let Some(result) = passes.next().await {
            note(result);
        }
    };
    tokio::select! {
        () = jobs => {}
        () = passes => {}
    }
}

/// Keeps the index of Jobs up to date and says which EtlJobs are concerned.
async fn watch_jobs(
    territory: &Territory,
    client: &Client,
    context: &Context,
    health: &Health,
    concerned: UnboundedSender<ObjectRef<EtlJob>>,
) {
    let watched = territory.watched::<Job>(health, "Job");
    let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGER);
    let events = watcher(
        territory.api::<Job>(client),
        watcher::Config::default().labels(&selector),
    )
    .default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        observe_health(&watched, &event);
        let Ok(event) = event else { continue };
        for owner in context.children.apply(event) {
            // Nobody listens any more: the process stops.
            let _ = concerned.unbounded_send(owner);
        }
    }
}

type Passed = Result<(ObjectRef<EtlJob>, Action), controller::Error<Infallible, watcher::Error>>;

/// The passes of a territory, as they happen.
fn passes(
    territory: &Territory,
    client: &Client,
    context: &Arc<Context>,
    health: &Health,
    triggers: UnboundedReceiver<ObjectRef<EtlJob>>,
    stop: Stop,
) -> impl Stream<Item = Passed> + use<> {
    let (again, readable_again) = mpsc::unbounded();
    let (store, stream) = etljobs(territory, client, context, health, again);
    let config = controller::Config::default().concurrency(16);
    Controller::for_stream(stream, store)
        .with_config(config)
        .reconcile_on(triggers)
        .reconcile_on(readable_again)
        .reconcile_all_on(context.leadership.beginnings())
        .graceful_shutdown_on(stop)
        .run(
            |job, context: Arc<Context>| async move {
                let (namespace, name) = (job.namespace(), job.name_any());
                // In JSON a span's own name stands at `name`.
                let span = tracing::info_span!(parent: None, "reconcile", namespace, etljob = name);
                Ok(match reconcile(job, &context).instrument(span).await {
                    Next::After(delay) => Action::requeue(delay),
                    Next::OnChange => Action::await_change(),
                })
            },
            |_, error, _| match *error {},
            Arc::clone(context),
        )
}

/// The store of EtlJobs, and a stream of those whose spec changed or whose
/// deletion has begun. Own status writes trigger nothing: wake-ups say when to
/// look again. Those that can be read `again` have lost theirs.
fn etljobs(
    territory: &Territory,
    client: &Client,
    context: &Arc<Context>,
    health: &Health,
    again: UnboundedSender<ObjectRef<EtlJob>>,
) -> (
    Store<EtlJob>,
    impl Stream<Item = watcher::Result<EtlJob>> + Send + use<>,
) {
    let (store, writer) = reflector::store();
    if let Some(mirror) = &context.mirror {
        mirror.census.enlist(store.clone());
    }
    let watched = territory.watched::<EtlJob>(health, "EtlJob");
    let (known, mut departures) = (store.clone(), Departures::new(store.clone()));
    let (before, after) = (Arc::clone(context), Arc::clone(context));
    let api = territory.api::<DeserializeGuard<EtlJob>>(client);
    let stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .inspect(move |event| {
            observe_health(&watched, event);
            let Ok(event) = event else { return };
            let comings = departures.by(event);
            for job in comings.gone {
                before.depart(job);
            }
            for job in comings.back {
                // Nobody listens any more: the process stops.
                let _ = again.unbounded_send(job);
            }
        })
        .filter_map(move |event| {
            let event = event.map(|event| readable(event, &known)).transpose();
            future::ready(event)
        })
        .modify(|job| job.metadata.managed_fields = None)
        .reflect(writer)
        .inspect(move |event| {
            if let Ok(watcher::Event::Apply(job)) = event {
                after.memory.caught_up(job);
            }
        })
        .touched_objects()
        .predicate_filter(wish, PredicateConfig::default())
        // Errors are told by then, and would only slow the other triggers.
        .filter(|result| future::ready(result.is_ok()));
    (store, stream)
}

/// Leaves out objects that this version cannot read, such as those of a newer
/// one: they must not keep the others from being looked at. One that is in
/// `store` leaves it, because nothing good can be decided on what it was.
pub(crate) fn readable(
    event: watcher::Event<DeserializeGuard<EtlJob>>,
    store: &Store<EtlJob>,
) -> Option<watcher::Event<EtlJob>> {
    let known = |reference| Some(EtlJob::clone(&*store.get(&reference)?));
    Some(match event {
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitDone => watcher::Event::InitDone,
        watcher::Event::InitApply(guard) => watcher::Event::InitApply(read(guard).ok()?),
        watcher::Event::Apply(guard) => match read(guard) {
            Ok(job) => watcher::Event::Apply(job),
            Err(reference) => watcher::Event::Delete(known(reference)?),
        },
        watcher::Event::Delete(guard) => match read(guard) {
            Ok(job) => watcher::Event::Delete(job),
            Err(reference) => watcher::Event::Delete(known(reference)?),
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

/// What somebody else asks for with an EtlJob.
fn wish(job: &EtlJob) -> Option<u64> {
    let generation = job.metadata.generation.unwrap_or(0).cast_unsigned();
    let deleting = u64::from(job.metadata.deletion_timestamp.is_some());
    Some(generation << 1 | deleting)
}

fn observe_health<K: Debug>(watched: &Watched, event: &watcher::Result<watcher::Event<K>>) {
    match event {
        Ok(watcher::Event::InitDone) => watched.listed(),
        Ok(_) => watched.news(),
        Err(error) => watched.interrupted(error),
    }
}

fn note(result: Passed) {
    match result {
        Ok((object, action)) => tracing::trace!(%object, ?action, "a pass has ended"),
        // It was deleted, or became unreadable, while its turn was due.
        Err(controller::Error::ObjectNotFound(object)) => tracing::debug!(%object, "is gone"),
        Err(error) => tracing::warn!(%error, "a pass could not be made"),
    }
}

#[cfg(test)]
mod tests;
