//! How the ledger follows.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::catalogue::{Catalogue, Label, Level};
use super::labelled::Labelled;
use crate::ledger::Cause;
use crate::ledger::figures::Figures;

/// How the ledger follows: what the mirror says of itself.
#[derive(Clone, Debug)]
pub struct LedgerMetrics {
    backlog: Gauge,
    lag: Level,
    rate: Level,
    away: Labelled<Gauge, 1>,
    outages: Counter,
    rows: Labelled<Counter, 1>,
    failures: Labelled<Counter, 1>,
    sweeps: Labelled<Counter, 1>,
}

impl LedgerMetrics {
    pub(super) fn in_catalogue(catalogue: &mut Catalogue) -> Self {
        let mut section = catalogue.section("Ledger");
        let cause = || Label::of("cause", &Cause::ALL.map(Cause::as_str));
        LedgerMetrics {
            backlog: section.gauge(
                "etl_ledger_backlog_rows",
                "Rows that are not written yet, those under way included.",
            ),
            lag: section.gauge(
                "etl_ledger_lag_seconds",
                "For how long the first of them has been waiting; 0 when all are written.",
            ),
            rate: section.gauge(
                "etl_ledger_allowed_requests_per_second",
                "Requests that the ledger is given at present: fewer while it throttles.",
            ),
            away: section.gauges(
                "etl_ledger_away",
                [cause()],
                "1 while the ledger is away for this cause and only asked now and then, else 0.",
            ),
            outages: section.counter("etl_ledger_outages", "Times that it went away."),
            rows: section.counters(
                "etl_ledger_rows",
                [Label::of(
                    "result",
                    &["stored", "superseded", "mended", "closed", "dropped"],
                )],
                "Rows by what became of them: written; as new already; rewritten because they \
                 were damaged; ended because their runs have no future; left to the next \
                 comparison because the queue was full.",
            ),
            failures: section.counters(
                "etl_ledger_failures",
                [cause()],
                "Requests to the ledger that failed; they are repeated.",
            ),
            sweeps: section.counters(
                "etl_ledger_sweeps",
                [Label::of("result", &["finished", "failed"])],
                "Comparisons of all rows with the EtlJobs.",
            ),
        }
    }

    /// Shows what the mirror says of itself.
    pub fn show(&self, figures: &Figures) {
        let counts = &figures.counts;
        self.backlog
            .set(i64::try_from(figures.backlog).unwrap_or(i64::MAX));
        self.lag.set(figures.lag.as_secs_f64());
        self.rate.set(figures.rate);
        count(&self.outages, counts.outages);
        for cause in Cause::ALL {
            let label = [cause.as_str()];
            let away = figures.outage == Some(cause);
            self.away.with(label).set(i64::from(away));
            count(&self.failures.with(label), counts.failed(cause));
        }
        for (result, rows) in [
            ("stored", counts.stored),
            ("superseded", counts.superseded),
            ("mended", counts.mended),
            ("closed", counts.closed),
            ("dropped", counts.dropped),
        ] {
            count(&self.rows.with([result]), rows);
        }
        count(&self.sweeps.with(["finished"]), counts.sweeps);
        count(&self.sweeps.with(["failed"]), counts.sweeps_failed);
    }
}

/// What is counted elsewhere never goes back, so it may be set.
fn count(counter: &Counter, value: u64) {
    counter.inner().store(value, Ordering::Relaxed);
}
