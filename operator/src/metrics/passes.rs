//! Passes, and the queue before them.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::catalogue::{Catalogue, Label};
use super::labelled::Labelled;
use crate::cluster::Kind;

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It wrote a status.
    Written,
    /// There was no status to write.
    Unchanged,
    /// The EtlJob had changed meanwhile: the pass is repeated.
    Stale,
    /// The EtlJob is gone or going.
    Gone,
    /// The API server refused the Job.
    Refused,
    /// A request failed: the pass is repeated.
    Failed,
    /// This replica does not lead.
    Standby,
}

impl Outcome {
    const ALL: [Outcome; 7] = [
        Outcome::Written,
        Outcome::Unchanged,
        Outcome::Stale,
        Outcome::Gone,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Standby,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Outcome::Written => "written",
            Outcome::Unchanged => "unchanged",
            Outcome::Stale => "stale",
            Outcome::Gone => "gone",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Standby => "standby",
        }
    }
}

/// Passes, and the queue before them.
#[derive(Clone, Debug)]
pub struct PassMetrics {
    /// EtlJobs whose pass is due and has not begun.
    pub queued: Gauge,
    /// EtlJobs that are looked at again at a later time.
    pub scheduled: Gauge,
    /// Passes under way.
    pub active: Gauge,
    outcomes: Labelled<Counter, 1>,
    failures: Labelled<Counter, 1>,
    duration: Histogram,
    latency: Histogram,
}

impl PassMetrics {
    pub(super) fn in_catalogue(catalogue: &mut Catalogue) -> Self {
        let mut section = catalogue.section("Passes");
        let metrics = PassMetrics {
            outcomes: section.counters(
                "etl_reconciles",
                [Label::of("outcome", &Outcome::ALL.map(Outcome::as_str))],
                "Passes over EtlJobs by how they ended.",
            ),
            failures: section.counters(
                "etl_reconcile_failures",
                [Label::of("kind", &Kind::ALL.map(Kind::as_str))],
                "Passes that ended with a failed request, by the class of the failure.",
            ),
            duration: section.histogram(
                "etl_reconcile_duration_seconds",
                "How long a pass takes, its requests included.",
                || Histogram::new(exponential_buckets(0.0005, 3.0, 10)),
            ),
            queued: section.gauge(
                "etl_queue_depth",
                "EtlJobs whose pass is due and has not begun.",
            ),
            scheduled: section.gauge(
                "etl_queue_scheduled",
                "EtlJobs that are looked at again at a later time if nothing changes.",
            ),
            active: section.gauge("etl_reconciles_active", "Passes under way."),
            latency: section.histogram(
                "etl_queue_latency_seconds",
                "Time from when a pass is due to when it begins.",
                || Histogram::new(exponential_buckets(0.0005, 4.0, 11)),
            ),
        };
        for outcome in Outcome::ALL {
            metrics.outcomes.with([outcome.as_str()]);
        }
        for kind in Kind::ALL {
            metrics.failures.with([kind.as_str()]);
        }
        metrics
    }

    /// A pass begins after it was due for `waited`.
    pub fn begins(&self, waited: Duration) {
        self.latency.observe(waited.as_secs_f64());
    }

    /// A pass has ended.
    pub fn ended(&self, outcome: Outcome, took: Duration) {
        self.outcomes.with([outcome.as_str()]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A pass failed because of this.
    pub fn failed(&self, kind: Kind) {
        self.failures.with([kind.as_str()]).inc();
    }
}

impl Default for PassMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::in_catalogue(&mut Catalogue::default())
    }
}
