//! What the probes answer.
//!
//! Ready means that everything was listed once, and that the API server has
//! been heard on every watch of late. Alive means that every watch is at work,
//! be it in vain: that the API server or the ledger is away is told, not died
//! of, because a restart would not bring it back. A watch that has ended, or
//! of which nothing comes any more, not even an error, is what a restart
//! mends.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::cluster::chain;
use crate::metrics::{self, Metrics, WatchMetrics};
use crate::stop::Stop;

/// Longest time without a sign of life on a watch that is well: the server
/// ends each after 290 s, and the client does when it is 5 s late.
const RENEWAL: Duration = Duration::from_secs(295);

/// After this a watch is blind: it was not renewed in time either.
const BLIND: Duration = RENEWAL.saturating_add(Duration::from_secs(15));

/// After this without so much as an error it is stuck.
const STUCK: Duration = RENEWAL.saturating_mul(2);

/// The state of all watches, by name; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    metrics: WatchMetrics,
    watches: BTreeMap<String, Watch>,
    /// By path of what is watched.
    signs: HashMap<String, Sign>,
    stopping: bool,
}

#[derive(Debug)]
struct Watch {
    kind: &'static str,
    listed: bool,
    ended: bool,
    error: Option<String>,
    sign: Sign,
    /// When it last failed. That shows that it is being tried.
    failed: Option<Instant>,
}

impl Watch {
    /// Since when nothing was heard of the API server.
    fn silence(&self) -> Duration {
        self.sign.seen().elapsed()
    }

    /// Since when nothing has happened at all.
    fn standstill(&self) -> Duration {
        let failed = self.failed.map(|failed| failed.elapsed());
        self.silence().min(failed.unwrap_or(Duration::MAX))
    }
}

/// When the API server last sent anything on a watch.
#[derive(Clone, Debug)]
pub struct Sign(Arc<Mutex<Instant>>);

impl Sign {
    fn now() -> Self {
        Sign(Arc::new(Mutex::new(Instant::now())))
    }

    /// It did right now.
    pub fn alive(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn seen(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    /// Nothing is watched yet; what is counts in `metrics`.
    pub fn new(metrics: WatchMetrics) -> Self {
        let inner = Inner {
            metrics,
            ..Inner::default()
        };
        Health(Arc::new(Mutex::new(inner)))
    }

    /// Registers the watch of a `kind` by the `name` that people know; it
    /// counts as ended when what is returned is dropped. Whatever the server
    /// sends in answer to requests of `path` is a sign of its life.
    pub fn watch(&self, kind: &'static str, name: impl Into<String>, path: &str) -> Watched {
        let name = name.into();
        let sign = Sign::now();
        let watch = Watch {
            kind,
            listed: false,
            ended: false,
            error: None,
            sign: sign.clone(),
            failed: None,
        };
        let mut inner = self.inner();
        inner.watches.insert(name.clone(), watch);
        inner.signs.insert(path.to_owned(), sign.clone());
        Watched {
            health: self.clone(),
            metrics: inner.metrics.clone(),
            kind,
            name,
            sign,
        }
    }

    /// The sign of life of the watch of `path`, if that is watched.
    pub fn sign_of(&self, path: &str) -> Option<Sign> {
        self.inner().signs.get(path).cloned()
    }

    /// From now on watches may end.
    pub fn stopping(&self) {
        self.inner().stopping = true;
    }

    /// Whether everything that is watched was listed.
    #[cfg(test)]
    pub fn is_ready(&self) -> bool {
        self.ready().ok
    }

    /// Brings the metrics up to now.
    pub fn sample(&self) {
        let inner = self.inner();
        let mut oldest: BTreeMap<&'static str, Duration> = BTreeMap::new();
        for watch in inner.watches.values() {
            let age = oldest.entry(watch.kind).or_default();
            *age = watch.silence().max(*age);
        }
        for (kind, age) in oldest {
            inner.metrics.age(kind, age);
        }
    }

    fn live(&self) -> Verdict {
        let inner = self.inner();
        let problems = inner.watches.iter().filter_map(|(name, watch)| {
            if watch.ended {
                return Some(format!("the watch of {name} has ended"));
            }
            let standstill = watch.standstill();
            (standstill > STUCK).then(|| {
                let seconds = standstill.as_secs();
                format!("the watch of {name} is stuck: neither news nor an error for {seconds} s")
            })
        });
        Verdict::unless(problems.filter(|_| !inner.stopping))
    }

    fn ready(&self) -> Verdict {
        let inner = self.inner();
        let stopping = inner.stopping.then(|| "stopping".to_owned());
        let problems = inner.watches.iter().filter_map(|(name, watch)| {
            let mut text = if !watch.listed || watch.ended {
                format!("{name}: not listed yet")
            } else if watch.silence() > BLIND {
                format!("{name}: no news for {} s", watch.silence().as_secs())
            } else {
                return None;
            };
            if let Some(error) = &watch.error {
                let _ = write!(text, ": {error}");
            }
            Some(text)
        });
        Verdict::unless(stopping.into_iter().chain(problems))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Watch)) {
        if let Some(watch) = self.inner().watches.get_mut(name) {
            change(watch);
        }
    }
}

/// One watch, as it reports its state.
#[derive(Debug)]
pub struct Watched {
    health: Health,
    metrics: WatchMetrics,
    kind: &'static str,
    name: String,
    sign: Sign,
}

impl Watched {
    /// A complete list has arrived.
    pub fn listed(&self) {
        self.metrics.listed(self.kind);
        self.known();
    }

    /// What is asked for time and again is known as of now.
    pub fn known(&self) {
        self.sign.alive();
        self.health.change(&self.name, |watch| {
            watch.listed = true;
            watch.error = None;
        });
    }

    /// Something has arrived.
    pub fn news(&self) {
        self.sign.alive();
    }

    /// The watch is interrupted; it goes on by itself.
    pub fn interrupted(&self, error: &dyn std::error::Error) {
        let text = chain(error);
        tracing::warn!(watch = self.name, error = text, "a watch is interrupted");
        self.metrics.interrupted(self.kind);
        self.health.change(&self.name, |watch| {
            watch.error = Some(text);
            watch.failed = Some(Instant::now());
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.health.change(&self.name, |watch| watch.ended = true);
    }
}

/// The answer of a probe.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    ok: bool,
    text: String,
}

impl Verdict {
    fn unless(problems: impl Iterator<Item = String>) -> Self {
        let text = problems.collect::<Vec<_>>().join("\n");
        if text.is_empty() {
            Verdict {
                ok: true,
                text: "ok\n".to_owned(),
            }
        } else {
            Verdict {
                ok: false,
                text: text + "\n",
            }
        }
    }

    fn answer(self) -> (StatusCode, String) {
        let code = if self.ok {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (code, self.text)
    }
}

/// Answers probes and scrapes until the process stops.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    stop: Stop,
) -> std::io::Result<()> {
    axum::serve(listener, router(health, metrics))
        .with_graceful_shutdown(stop)
        .await
}

fn router(health: Health, metrics: Metrics) -> Router {
    let probes = Router::new()
        .route(
            "/livez",
            get(|State(health): State<Health>| async move { health.live().answer() }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Health>| async move { health.ready().answer() }),
        )
        .with_state(health);
    let scrapes = Router::new()
        .route(
            "/metrics",
            get(|State(metrics): State<Metrics>| async move { scrape(&metrics) }),
        )
        .with_state(metrics);
    probes.merge(scrapes)
}

fn scrape(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
