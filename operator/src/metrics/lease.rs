//! The lease.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::catalogue::{Catalogue, Label};
use super::labelled::Labelled;

/// The lease, as this process sees it.
#[derive(Clone, Debug)]
pub struct LeaseMetrics {
    held: Gauge,
    transitions: Labelled<Counter, 1>,
}

impl LeaseMetrics {
    pub(super) fn in_catalogue(catalogue: &mut Catalogue) -> Self {
        let mut section = catalogue.section("Lease");
        LeaseMetrics {
            held: section.gauge(
                "etl_lease_held",
                "1 while this replica leads, else 0. The sum over all replicas is 1, for seconds 0.",
            ),
            transitions: section.counters(
                "etl_lease_transitions",
                [Label::of("to", &["leading", "standby"])],
                "Times that this replica began to lead, and stood by again.",
            ),
        }
    }

    /// Whether this process leads right now, whether or not it was told so.
    pub fn holds(&self, holds: bool) {
        self.held.set(i64::from(holds));
    }

    /// This process begins to lead.
    pub fn began(&self) {
        self.transitions.with(["leading"]).inc();
    }

    /// This process leads no more.
    pub fn ended(&self) {
        self.transitions.with(["standby"]).inc();
    }
}

impl Default for LeaseMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::in_catalogue(&mut Catalogue::default())
    }
}
