//! What the probes answer. Alive means that no watch has ended for good; ready
//! means that everything was listed once. That the API server or the ledger is
//! away is told, not died of: a restart would not bring it back.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::cluster::chain;
use crate::stop::Stop;

/// The state of all watches, by name.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    watches: BTreeMap<String, Watch>,
    stopping: bool,
}

#[derive(Debug, Default)]
struct Watch {
    listed: bool,
    ended: bool,
    error: Option<String>,
}

impl Health {
    /// Registers a watch; it counts as ended when what is returned is dropped.
    pub fn watch(&self, name: impl Into<String>) -> Watched {
        let name = name.into();
        self.inner().watches.insert(name.clone(), Watch::default());
        Watched {
            health: self.clone(),
            name,
        }
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

    fn live(&self) -> Verdict {
        let inner = self.inner();
        let ended = inner
            .watches
            .iter()
            .filter(|(_, watch)| watch.ended && !inner.stopping);
        Verdict::unless(ended.map(|(name, _)| format!("the watch of {name} has ended")))
    }

    fn ready(&self) -> Verdict {
        let inner = self.inner();
        let stopping = inner.stopping.then(|| "stopping".to_owned());
        let unlisted = inner
            .watches
            .iter()
            .filter(|(_, watch)| !watch.listed || watch.ended);
        Verdict::unless(stopping.into_iter().chain(unlisted.map(|(name, watch)| {
            let mut text = format!("{name}: not listed yet");
            if let Some(error) = &watch.error {
                let _ = write!(text, ": {error}");
            }
            text
        })))
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
    name: String,
}

impl Watched {
    /// A complete list has arrived.
    pub fn listed(&self) {
        self.health.change(&self.name, |watch| {
            watch.listed = true;
            watch.error = None;
        });
    }

    /// The watch is interrupted; it goes on by itself.
    pub fn interrupted(&self, error: &dyn std::error::Error) {
        let text = chain(error);
        tracing::warn!(watch = self.name, error = text, "a watch is interrupted");
        self.health
            .change(&self.name, |watch| watch.error = Some(text));
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

/// Answers probes until the process stops.
pub async fn serve(listener: TcpListener, health: Health, stop: Stop) -> std::io::Result<()> {
    let router = Router::new()
        .route(
            "/livez",
            get(|State(health): State<Health>| async move { health.live().answer() }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Health>| async move { health.ready().answer() }),
        )
        .with_state(health);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_watch_has_listed_once() {
        let health = Health::default();
        let jobs = health.watch("Jobs");
        let etljobs = health.watch("EtlJobs");
        jobs.listed();
        etljobs.interrupted(&std::io::Error::other("no route"));
        let verdict = health.ready();
        assert!(!verdict.ok);
        assert_eq!(verdict.text, "EtlJobs: not listed yet: no route\n");
        etljobs.listed();
        assert!(health.ready().ok && health.live().ok);
        // An interruption later on is no reason to be taken out.
        jobs.interrupted(&std::io::Error::other("reset"));
        assert!(health.ready().ok && health.live().ok);
    }

    #[test]
    fn a_watch_that_has_ended_is_death_unless_the_process_stops() {
        let health = Health::default();
        let watched = health.watch("Jobs");
        watched.listed();
        drop(watched);
        assert_eq!(health.live().text, "the watch of Jobs has ended\n");
        health.stopping();
        assert!(health.live().ok);
        assert!(!health.ready().ok);
    }
}
