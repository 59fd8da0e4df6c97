//! What the operator tells Prometheus: every metric's name, unit, labels and
//! help text, and the handles by which the other modules report.
//!
//! Labels come from closed lists. No name, no namespace and no uid of an object
//! is a label: there may be a hundred thousand of them.
//!
//! docs/metrics.md is made from here.

mod api;
mod catalogue;
mod labelled;
mod lease;
mod ledger;
mod passes;
mod process;
mod watches;
mod work;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use catalogue::Catalogue;

pub use api::ApiMetrics;
pub use lease::LeaseMetrics;
pub use ledger::LedgerMetrics;
pub use passes::{Outcome, PassMetrics};
pub use watches::WatchMetrics;
pub use work::{Counts, WorkMetrics};

/// Media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Passes and the queue before them.
    pub passes: PassMetrics,
    /// EtlJobs, their runs and attempts.
    pub work: WorkMetrics,
    /// Requests to the API server.
    pub api: ApiMetrics,
    /// Watches.
    pub watches: WatchMetrics,
    /// The lease.
    pub lease: LeaseMetrics,
    /// The way to the ledger.
    pub ledger: LedgerMetrics,
    shared: Arc<Shared>,
}

struct Shared {
    catalogue: Catalogue,
    samplers: Mutex<Vec<Sampler>>,
}

/// Sets gauges to what is true at the moment of a scrape.
type Sampler = Box<dyn Fn() + Send + Sync>;

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut catalogue = Catalogue::default();
        Metrics {
            passes: PassMetrics::in_catalogue(&mut catalogue),
            work: WorkMetrics::in_catalogue(&mut catalogue),
            api: ApiMetrics::in_catalogue(&mut catalogue),
            watches: WatchMetrics::in_catalogue(&mut catalogue),
            lease: LeaseMetrics::in_catalogue(&mut catalogue),
            ledger: LedgerMetrics::in_catalogue(&mut catalogue),
            shared: Arc::new(Shared {
                samplers: Mutex::new(vec![process::sampler(&mut catalogue)]),
                catalogue,
            }),
        }
    }

    /// Has `sampler` called before each scrape, to set gauges of what is
    /// counted elsewhere.
    pub fn sample(&self, sampler: impl Fn() + Send + Sync + 'static) {
        let mut samplers = self.shared.samplers.lock();
        samplers
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut())
            .push(Box::new(sampler));
    }

    /// All values, as OpenMetrics text.
    ///
    /// # Errors
    /// A value could not be written, which for a `String` means a bug of the
    /// encoder.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let samplers = self.shared.samplers.lock();
        for sampler in samplers.unwrap_or_else(PoisonError::into_inner).iter() {
            sampler();
        }
        self.shared.catalogue.text()
    }

    /// docs/metrics.md.
    pub fn reference(&self) -> String {
        self.shared.catalogue.reference()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
