//! Which EtlJobs are looked at, and when: turns watches and wake-ups into
//! passes.

mod post;

use std::sync::Arc;

use etl_api::EtlJob;
use futures::FutureExt;
use futures::future::select_all;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::cache::Cache;
use crate::health::{Health, Watched};
use crate::metrics::{Counts, WorkMetrics};
use crate::reconcile::{Context, Next, reconcile};
use crate::stop::Stop;
use crate::turns::{Name, Turn, Turns};

use post::Post;
#[cfg(test)]
pub(crate) use post::readable;

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

/// What every territory is looked after with.
pub struct Controller {
    /// The API server.
    pub client: Client,
    /// Is told of every watch.
    pub health: Health,
    /// Whose turn it is.
    pub turns: Arc<Turns>,
    /// Passes side by side, over all territories.
    pub concurrency: usize,
}

impl Controller {
    /// Looks after these territories until `stop`; passes that have begun are
    /// finished. It also ends when a watch does, which none should.
    pub async fn run(self, territories: Vec<(Territory, Context)>, stop: Stop) {
        let (posts, watches): (Vec<_>, Vec<_>) = territories
            .into_iter()
            .map(|(territory, context)| {
                Post::open(territory, context, &self.client, &self.health, &self.turns)
            })
            .unzip();
        if let Some(Post { context, .. }) = posts.first().map(AsRef::as_ref) {
            let caches: Vec<Cache> = posts.iter().map(|post| post.cache.clone()).collect();
            let work = context.metrics.work.clone();
            context.metrics.sample(move || count(&caches, &work));
        }
        tokio::select! {
            _ = select_all(watches.into_iter().map(FutureExt::boxed)) => {}
            () = self.passes(&posts, stop) => {}
        }
    }

    /// Makes passes, as many at once as may be.
    async fn passes(&self, posts: &[Arc<Post>], stop: Stop) {
        let mut active = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.clone() => break,
                Some(ended) = active.join_next() => self.ended(ended),
                turn = self.turns.next(), if active.len() < self.concurrency => {
                    let post = posts.iter().find(|post| post.covers(&turn.name.namespace));
                    // Only watches tell of EtlJobs, and each is a post's.
                    if let Some(post) = post {
                        active.spawn(pass(Arc::clone(post), turn));
                    }
                }
            }
        }
        while let Some(ended) = active.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&self, ended: Result<(Turn, Next), tokio::task::JoinError>) {
        match ended {
            Ok((turn, next)) => self.turns.give_back(turn, next),
            // A bug: the process ends as it would have without tasks.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn count(caches: &[Cache], metrics: &WorkMetrics) {
    let mut counts = Counts::default();
    for cache in caches {
        cache.count(&mut counts);
    }
    metrics.etljobs(&counts);
}

/// One pass. An EtlJob that was deleted, or became unreadable, while its turn
/// was due needs none.
async fn pass(post: Arc<Post>, turn: Turn) -> (Turn, Next) {
    let Name { namespace, name } = &turn.name;
    let Some(job) = post.cache.get(namespace, name) else {
        return (turn, Next::OnChange);
    };
    let span = span(&job);
    let next = reconcile(job, &post.context).instrument(span).await;
    (turn, next)
}

/// The fields of every line about one EtlJob.
fn span(job: &EtlJob) -> tracing::Span {
    let status = job.status.as_ref();
    let run = status.and_then(|status| status.run.as_ref());
    let attempt = status.and_then(|status| status.attempt.as_ref());
    // In JSON a span's own name stands at `name`.
    tracing::info_span!(
        parent: None,
        "reconcile",
        namespace = job.namespace(),
        etljob = job.name_any(),
        uid = job.uid(),
        run = run.map(|run| run.number),
        attempt = attempt.map(|attempt| attempt.number),
    )
}

fn observe_health<K: std::fmt::Debug>(
    watched: &Watched,
    event: &watcher::Result<watcher::Event<K>>,
) {
    match event {
        Ok(watcher::Event::InitDone) => watched.listed(),
        Ok(_) => watched.news(),
        Err(error) => watched.interrupted(error),
    }
}

#[cfg(test)]
mod tests;
