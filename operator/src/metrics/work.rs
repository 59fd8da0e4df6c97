//! EtlJobs, and what becomes of their runs and attempts: read from the change
//! of status that a pass has written.

use std::time::Duration;

use etl_api::{AttemptRecord, EtlJobStatus, Phase, Run};
use etl_contract::Category;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::catalogue::{Catalogue, Label};
use super::labelled::Labelled;

/// Results of runs and attempts, and reasons of a run's end, that are no
/// category.
const WORDS: [&str; 7] = [
    "Complete",
    "Completed",
    "ReportLost",
    "NotTried",
    "NameTaken",
    "Replaced",
    "Suspended",
];

/// What the lists above do not have, such as a word of a newer version.
const OTHER: &str = "Other";

const PHASES: [Phase; 7] = [
    Phase::Pending,
    Phase::Queued,
    Phase::Running,
    Phase::Retrying,
    Phase::Suspended,
    Phase::Complete,
    Phase::Failed,
];

/// EtlJobs by phase, at the phase's number.
pub type Counts = [i64; PHASES.len()];

/// EtlJobs, their runs and attempts.
#[derive(Clone, Debug)]
pub struct WorkMetrics {
    etljobs: Labelled<Gauge, 1>,
    runs: Labelled<Counter, 2>,
    run_duration: Histogram,
    attempts: Labelled<Counter, 1>,
    start_wait: Histogram,
    rows_read: Counter,
    rows_written: Counter,
    rows_rejected: Counter,
    source_bytes: Counter,
    output_bytes: Counter,
}

impl WorkMetrics {
    pub(super) fn in_catalogue(catalogue: &mut Catalogue) -> Self {
        let mut section = catalogue.section("Work");
        let metrics = WorkMetrics {
            etljobs: section.gauges(
                "etl_etljobs",
                [Label::of("phase", &PHASES.map(phase))],
                "EtlJobs by phase, as this replica's cache has them.",
            ),
            runs: section.counters(
                "etl_runs_ended",
                [
                    Label::of("result", &["Complete", "Failed"]),
                    Label::described(
                        "reason",
                        "the category of a failure; `Completed`, `Superseded` or `ReportLost`",
                    ),
                ],
                "Runs that have ended.",
            ),
            run_duration: section.histogram(
                "etl_run_duration_seconds",
                "Time from the start of a run to its end, retries and waits included.",
                || Histogram::new(exponential_buckets(1.0, 3.0, 11)),
            ),
            attempts: section.counters(
                "etl_attempts_ended",
                [Label::described(
                    "result",
                    "`Complete`, the category of a failure, or why it was ended: `Replaced`, \
                     `Suspended`, `NotTried`, `NameTaken`",
                )],
                "Attempts that have ended.",
            ),
            start_wait: section.histogram(
                "etl_attempt_start_wait_seconds",
                "Time from the intent of an attempt until its first pod ran.",
                || Histogram::new(exponential_buckets(0.25, 2.0, 12)),
            ),
            rows_read: section.counter("etl_rows_read", "Rows read by runs that completed."),
            rows_written: section
                .counter("etl_rows_written", "Rows written by runs that completed."),
            rows_rejected: section.counter(
                "etl_rows_rejected",
                "Rows that runs which completed have left out as invalid.",
            ),
            source_bytes: section.counter(
                "etl_source_bytes",
                "Bytes of the source objects of runs that completed.",
            ),
            output_bytes: section
                .counter("etl_output_bytes", "Bytes written by runs that completed."),
        };
        metrics.begin_at_zero();
        metrics
    }

    /// A first failure shows as an increase only if there was a zero before.
    fn begin_at_zero(&self) {
        for category in Category::ALL.iter().map(|category| category.as_str()) {
            self.attempts.with([category]);
            self.runs.with(["Failed", category]);
        }
        self.attempts.with(["Complete"]);
        self.runs.with(["Complete", "Completed"]);
    }

    /// How many EtlJobs are in each phase.
    pub fn etljobs(&self, counts: &Counts) {
        for each in PHASES {
            let count = counts[each as usize];
            self.etljobs.with([phase(each)]).set(count);
        }
    }

    /// A pass has replaced the status `before` by `after`.
    pub fn changed(&self, before: Option<&EtlJobStatus>, after: &EtlJobStatus) {
        let last = before.and_then(|status| status.attempts.iter().map(|a| a.number).max());
        let closed = after.attempts.iter().filter(|a| Some(a.number) > last);
        for attempt in closed {
            self.attempt_ended(attempt, before);
        }
        self.attempt_started(before, after);
        let ended = |run: &&Run| run.completion_time.is_some();
        let known = before.and_then(|status| status.run.as_ref()).filter(ended);
        if let Some(run) = after.run.as_ref().filter(ended)
            && known.is_none_or(|known| known.number != run.number)
        {
            self.run_ended(run, after);
        }
    }

    fn attempt_started(&self, before: Option<&EtlJobStatus>, after: &EtlJobStatus) {
        if let Some(attempt) = &after.attempt {
            self.started(
                attempt.number,
                attempt.start_time,
                attempt.running_time,
                before,
            );
        }
    }

    fn attempt_ended(&self, attempt: &AttemptRecord, before: Option<&EtlJobStatus>) {
        self.attempts.with([word(&attempt.result)]).inc();
        // One that was never seen running has its time only here.
        self.started(
            attempt.number,
            attempt.start_time,
            attempt.running_time,
            before,
        );
    }

    /// Counts the wait of an attempt for its start, unless `before` knew of it.
    fn started(
        &self,
        number: u32,
        start: Timestamp,
        running: Option<Timestamp>,
        before: Option<&EtlJobStatus>,
    ) {
        let open = before.and_then(|status| status.attempt.as_ref());
        let known = open.is_some_and(|open| open.number == number && open.running_time.is_some());
        if let Some(running) = running.filter(|_| !known) {
            self.start_wait.observe(between(start, running));
        }
    }

    fn run_ended(&self, run: &Run, status: &EtlJobStatus) {
        let outcome = run.outcome.as_ref();
        let result = outcome.map_or(OTHER, |outcome| word(&outcome.result));
        let labels = if result == "Complete" {
            ["Complete", outcome.map_or(OTHER, |o| word(&o.reason))]
        } else {
            ["Failed", result]
        };
        self.runs.with(labels).inc();
        if let Some(end) = run.completion_time {
            self.run_duration.observe(between(run.start_time, end));
        }
        let Some(totals) = status.statistics.filter(|_| result == "Complete") else {
            return;
        };
        for (counter, value) in [
            (&self.rows_read, totals.rows_read),
            (&self.rows_written, totals.rows_written),
            (&self.rows_rejected, totals.rows_rejected),
            (&self.source_bytes, totals.source_bytes),
            (&self.output_bytes, totals.output_bytes),
        ] {
            counter.inc_by(u64::try_from(value).unwrap_or(0));
        }
    }
}

impl Default for WorkMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::in_catalogue(&mut Catalogue::default())
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Queued => "Queued",
        Phase::Running => "Running",
        Phase::Retrying => "Retrying",
        Phase::Suspended => "Suspended",
        Phase::Complete => "Complete",
        Phase::Failed => "Failed",
    }
}

/// The same word, from a closed list.
fn word(text: &str) -> &'static str {
    let categories = Category::ALL.iter().map(|category| category.as_str());
    categories
        .chain(WORDS)
        .find(|word| *word == text)
        .unwrap_or(OTHER)
}

/// Seconds; 0 where a clock went back.
fn between(start: Timestamp, end: Timestamp) -> f64 {
    Duration::try_from(end.duration_since(start))
        .unwrap_or_default()
        .as_secs_f64()
}

#[cfg(test)]
pub(super) mod tests;
