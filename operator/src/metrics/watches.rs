//! Watches.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::catalogue::{Catalogue, Label, Level};
use super::labelled::Labelled;

/// What is watched, and the lease, which is asked for time and again.
const KINDS: [&str; 3] = ["EtlJob", "Job", "Lease"];

/// Watches, by kind. Those of several namespaces count as one.
#[derive(Clone, Debug)]
pub struct WatchMetrics {
    age: Labelled<Level, 1>,
    lists: Labelled<Counter, 1>,
    interruptions: Labelled<Counter, 1>,
}

impl WatchMetrics {
    pub(super) fn in_catalogue(catalogue: &mut Catalogue) -> Self {
        let mut section = catalogue.section("Watches");
        let kind = || Label::of("kind", &KINDS);
        WatchMetrics {
            age: section.levels(
                "etl_watch_age_seconds",
                [kind()],
                "Time since the API server last sent anything on the watch, bookmarks included; \
                 of several watches the oldest. A watch is renewed every 295 s at the latest.",
            ),
            lists: section.counters(
                "etl_watch_lists",
                [kind()],
                "Complete lists; more than one means that the watch had to start over.",
            ),
            interruptions: section.counters(
                "etl_watch_interruptions",
                [kind()],
                "Errors of a watch; it goes on by itself.",
            ),
        }
    }

    /// Seconds since the last sign of life of the oldest watch of this kind.
    pub fn age(&self, kind: &'static str, age: Duration) {
        self.age.with([kind]).set(age.as_secs_f64());
    }

    /// A complete list has arrived.
    pub fn listed(&self, kind: &'static str) {
        self.lists.with([kind]).inc();
    }

    /// The watch is interrupted.
    pub fn interrupted(&self, kind: &'static str) {
        self.interruptions.with([kind]).inc();
    }
}

impl Default for WatchMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::in_catalogue(&mut Catalogue::default())
    }
}
