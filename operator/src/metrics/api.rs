//! Requests to the API server.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::catalogue::{Catalogue, Label, Sum};
use super::labelled::Labelled;
use crate::budget::Priority;
use crate::cluster::request::{Resource, Verb};

/// Requests to the API server.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    /// Requests that wait for their turn.
    pub waiting: Gauge,
    requests: Labelled<Counter, 3>,
    duration: Labelled<Histogram, 2>,
    waited: Labelled<Sum, 1>,
    pauses: Counter,
}

impl ApiMetrics {
    pub(super) fn in_catalogue(catalogue: &mut Catalogue) -> Self {
        let mut section = catalogue.section("API server");
        let verb = || Label::of("verb", &Verb::ALL.map(Verb::as_str));
        let resource = || Label::of("resource", &Resource::ALL.map(Resource::as_str));
        ApiMetrics {
            requests: section.counters(
                "etl_api_requests",
                [
                    verb(),
                    resource(),
                    Label::described("code", "HTTP status, `error` without an answer"),
                ],
                "Requests to the API server.",
            ),
            duration: section.histograms(
                "etl_api_request_duration_seconds",
                [verb(), resource()],
                "Time from the start of a request to the head of its answer.",
                || Histogram::new(exponential_buckets(0.001, 3.0, 10)),
            ),
            waiting: section.gauge(
                "etl_api_budget_waiting",
                "Requests that wait because the budget is spent or the API server asked to wait.",
            ),
            waited: section.sums(
                "etl_api_budget_wait_seconds",
                [Label::of("priority", &Priority::ALL.map(Priority::as_str))],
                "Time that requests have waited for the budget.",
            ),
            pauses: section.counter(
                "etl_api_pauses",
                "Times that all requests were held back because the API server was overloaded.",
            ),
        }
    }

    /// A request was answered, or failed without an answer.
    pub fn requested(&self, verb: Verb, resource: Resource, status: Option<u16>, took: Duration) {
        let (verb, resource) = (verb.as_str(), resource.as_str());
        self.requests.with([verb, resource, code(status)]).inc();
        self.duration
            .with([verb, resource])
            .observe(took.as_secs_f64());
    }

    /// A request has waited for its turn.
    pub fn waited(&self, priority: Priority, waited: Duration) {
        self.waited
            .with([priority.as_str()])
            .inc_by(waited.as_secs_f64());
    }

    /// Everything is held back for a while.
    pub fn paused(&self) {
        self.pauses.inc();
    }
}

impl Default for ApiMetrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self::in_catalogue(&mut Catalogue::default())
    }
}

/// The status as a label: those that tell something by themselves, and the
/// class of the rest.
fn code(status: Option<u16>) -> &'static str {
    match status {
        None => "error",
        Some(200) => "200",
        Some(201) => "201",
        Some(400) => "400",
        Some(401) => "401",
        Some(403) => "403",
        Some(404) => "404",
        Some(409) => "409",
        Some(410) => "410",
        Some(422) => "422",
        Some(429) => "429",
        Some(500) => "500",
        Some(503) => "503",
        Some(504) => "504",
        Some(202..=299) => "2xx",
        Some(300..=399) => "3xx",
        Some(402..=499) => "4xx",
        Some(_) => "5xx",
    }
}
