//! Takes the lease, renews it, and gives it back.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::record::{Sighting, Step, first};
use super::{Crown, Leadership, RENEW_DEADLINE};
use crate::cluster::{ApiError, Kind, bounded};
use crate::health::Watched;
use crate::metrics::LeaseMetrics;
use crate::stop::Stop;

/// Between two renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(2);

/// Between two looks at another's lease: a lease that was given back is taken
/// within this time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// After a renewal that failed: several must fit before the deadline.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Bound of one request, for the same reason.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the one Lease is kept.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Reads it.
    async fn get(&self) -> Result<Option<Lease>, ApiError>;

    /// Creates it, if there is none (else `AlreadyExists`).
    async fn create(&self, lease: &Lease) -> Result<Lease, ApiError>;

    /// Replaces it, if it still has this resourceVersion (else `Conflict`).
    async fn replace(&self, lease: &Lease) -> Result<Lease, ApiError>;
}

/// One candidate.
pub struct Elector<L> {
    leases: L,
    name: String,
    identity: String,
    crown: Crown,
    metrics: LeaseMetrics,
    /// The Lease as it was seen last.
    seen: Option<Sighting>,
}

impl<L: Leases> Elector<L> {
    /// A candidate for the lease `name` that no other calls itself `identity`,
    /// and what its process goes by.
    pub fn new(leases: L, name: String, identity: String) -> (Self, Leadership) {
        let (crown, leadership) = Leadership::contested();
        let elector = Elector {
            leases,
            name,
            identity,
            crown,
            metrics: LeaseMetrics::default(),
            seen: None,
        };
        (elector, leadership)
    }

    /// The same, counted in `metrics`.
    pub fn counted(self, metrics: LeaseMetrics) -> Self {
        Elector { metrics, ..self }
    }

    /// Takes part until `stop`, then gives back what it has.
    pub async fn run(mut self, watched: Watched, stop: Stop) {
        loop {
            let pause = match self.turn().await {
                Ok(pause) => {
                    watched.known();
                    pause
                }
                Err(error) => {
                    watched.interrupted(&error);
                    RETRY_INTERVAL
                }
            };
            tokio::select! {
                biased;
                () = stop.clone() => break,
                () = sleep(pause) => {}
            }
        }
        if self.crown.lose() {
            self.metrics.ended();
            match self.release().await {
                Ok(()) => tracing::info!("gave the lease back"),
                Err(error) => tracing::warn!(
                    %error,
                    "could not give the lease back: another operator takes it when it has expired"
                ),
            }
        }
    }

    /// One look or renewal; how long to wait for the next.
    async fn turn(&mut self) -> Result<Duration, ApiError> {
        let begun = Instant::now();
        // A holder knows the Lease unless it is told otherwise.
        if !self.seen.as_ref().is_some_and(|seen| self.is_own(seen)) {
            self.seen = self.look().await?;
        }
        let step = self
            .seen
            .as_ref()
            .map_or(Step::Take, |seen| seen.step(&self.identity, begun));
        if step == Step::Wait {
            self.lose();
            return Ok(LOOK_INTERVAL);
        }
        match self.claim().await {
            Ok(lease) => {
                // From before the request: the others count from after it.
                self.hold(begun + RENEW_DEADLINE);
                self.seen = Some(Sighting::now(lease, None));
                Ok(RENEW_INTERVAL)
            }
            Err(error) => {
                // Whether it took effect is not known: the next turn looks.
                // Until then the old deadline holds.
                if step == Step::Renew {
                    self.seen = None;
                }
                match error.kind {
                    // Somebody was faster, or an earlier request took effect
                    // after all.
                    Kind::Conflict | Kind::AlreadyExists => Ok(RETRY_INTERVAL),
                    _ => Err(error),
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Option<Sighting>, ApiError> {
        let lease = bounded(REQUEST_TIMEOUT, self.leases.get()).await?;
        Ok(lease.map(|lease| Sighting::now(lease, self.seen.as_ref())))
    }

    async fn claim(&self) -> Result<Lease, ApiError> {
        let now = Timestamp::now();
        match &self.seen {
            None => {
                bounded(
                    REQUEST_TIMEOUT,
                    self.leases.create(&first(&self.name, &self.identity, now)),
                )
                .await
            }
            Some(seen) => {
                bounded(
                    REQUEST_TIMEOUT,
                    self.leases.replace(&seen.held_by(&self.identity, now)),
                )
                .await
            }
        }
    }

    async fn release(&mut self) -> Result<(), ApiError> {
        let Some(seen) = self.look().await?.filter(|seen| self.is_own(seen)) else {
            return Ok(());
        };
        let released = seen.released(Timestamp::now());
        bounded(REQUEST_TIMEOUT, self.leases.replace(&released))
            .await
            .map(drop)
    }

    fn is_own(&self, seen: &Sighting) -> bool {
        seen.holder() == Some(&self.identity)
    }

    fn hold(&self, until: Instant) {
        if self.crown.hold(until) {
            self.metrics.began();
            tracing::info!(
                lease = self.name,
                identity = self.identity,
                "leads from now on"
            );
        }
    }

    fn lose(&self) {
        let holder = self.seen.as_ref().and_then(Sighting::holder);
        if self.crown.lose() {
            self.metrics.ended();
            tracing::warn!(
                lease = self.name,
                holder,
                "lost the lease: stands by from now on"
            );
        }
    }
}

#[cfg(test)]
mod tests;
