//! Over the wire protocol, in virtual time.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::HeaderValue;
use axum::response::IntoResponse;
use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{ListParams, WatchParams};
use tokio::time::{advance, timeout};

use super::*;
use crate::budget::{Allowance, Priority};
use crate::metrics::Metrics;

struct Bench {
    metrics: Metrics,
    onlooker: Onlooker,
}

impl Bench {
    fn new() -> Self {
        let metrics = Metrics::new();
        let allowance = Allowance {
            per_second: 100.0,
            burst: 100,
        };
        let onlooker = Onlooker {
            metrics: metrics.api.clone(),
            budget: Budget::new(allowance, metrics.api.clone()),
            health: Health::new(metrics.watches.clone()),
        };
        Bench { metrics, onlooker }
    }

    fn jobs(&self, router: Router) -> Api<Job> {
        let client = ClientBuilder::new(router, "default")
            .with_layer(&self.onlooker)
            .build();
        Api::namespaced(client, "etl")
    }

    fn has(&self, line: &str) {
        let text = self.metrics.text().unwrap();
        assert!(text.contains(line), "{line} is not in {text}");
    }

    async fn is_open(&self, within: Duration) -> bool {
        let admitted = self.onlooker.budget.admit(Priority::Finish);
        timeout(within, admitted).await.is_ok()
    }
}

/// Answers each request with this.
fn always(status: u16, retry_after: Option<&'static str>) -> Router {
    Router::new().fallback(move || async move {
        let mut answer = StatusCode::from_u16(status).unwrap().into_response();
        if let Some(value) = retry_after {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(RETRY_AFTER, value);
        }
        answer
    })
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_turned_away_stops_all_others_for_as_long_as_the_server_asks() {
    for status in [429, 503] {
        let bench = Bench::new();
        let jobs = bench.jobs(always(status, Some("7")));
        jobs.get("a").await.unwrap_err();
        let line = format!(
            "etl_api_requests_total{{verb=\"get\",resource=\"jobs\",code=\"{status}\"}} 1\n"
        );
        bench.has(&line);
        bench.has("etl_api_pauses_total 1\n");
        assert!(!bench.is_open(Duration::from_millis(6_900)).await);
        assert!(bench.is_open(Duration::from_millis(200)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_nothing_against_the_server() {
    for status in [400, 403, 404, 409, 422] {
        let bench = Bench::new();
        let jobs = bench.jobs(always(status, None));
        for _ in 0..20 {
            jobs.get("a").await.unwrap_err();
        }
        assert!(bench.is_open(Duration::ZERO).await, "{status}");
    }
}

/// It may be a webhook that does not work.
#[tokio::test(start_paused = true)]
async fn an_internal_error_says_nothing_about_the_server() {
    let bench = Bench::new();
    let jobs = bench.jobs(always(500, None));
    for _ in 0..20 {
        jobs.get("a").await.unwrap_err();
    }
    assert!(bench.is_open(Duration::ZERO).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_or_does_not_answer_time_and_again_is_given_a_rest() {
    let silent = Router::new().fallback(std::future::pending::<()>);
    for (router, code) in [(always(503, None), "503"), (silent, "error")] {
        let bench = Bench::new();
        let jobs = bench.jobs(router);
        for _ in 0..5 {
            assert!(bench.is_open(Duration::ZERO).await);
            let request = timeout(Duration::from_secs(9), jobs.get("a"));
            assert!(!matches!(request.await, Ok(Ok(_))));
        }
        assert!(!bench.is_open(Duration::from_millis(400)).await);
        bench.has(&format!("code=\"{code}\"}} 5\n"));
    }
}

/// Two clients that each try again would be a storm.
#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_behind_the_budgets_back() {
    let asked: &'static AtomicUsize = Box::leak(Box::default());
    let router = Router::new().fallback(move || async move {
        asked.fetch_add(1, Ordering::Relaxed);
        StatusCode::TOO_MANY_REQUESTS
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let bench = Bench::new();
    let config = Config::new(format!("http://{address}").parse().unwrap());
    let jobs: Api<Job> = Api::namespaced(client(config, bench.onlooker).unwrap(), "etl");
    jobs.get("a").await.unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_watch_is_a_sign_of_life_bookmarks_included() {
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Bytes>();
    let receiver = Mutex::new(Some(receiver));
    let receiver: &'static _ = Box::leak(Box::new(receiver));
    let router = Router::new().fallback(move || async move {
        let lines = receiver.lock().unwrap().take().expect("asked once");
        AnswerBody::from_stream(lines.map(Ok::<_, Infallible>))
    });
    let bench = Bench::new();
    let path = "/apis/batch/v1/namespaces/etl/jobs";
    let health = bench.onlooker.health.clone();
    let _watched = health.watch("Job", "Jobs", path);
    let age = |seconds: &str| {
        health.sample();
        bench.has(&format!(
            "etl_watch_age_seconds{{kind=\"Job\"}} {seconds}\n"
        ));
    };
    let jobs = bench.jobs(router);
    advance(Duration::from_secs(50)).await;
    let watch = jobs.watch(&WatchParams::default(), "1").await.unwrap();
    age("0.0");
    let mut watch = std::pin::pin!(watch);
    advance(Duration::from_secs(60)).await;
    age("60.0");
    let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Job","apiVersion":"batch/v1","metadata":{"resourceVersion":"7","annotations":{}},"spec":{}}}"#;
    sender
        .unbounded_send(Bytes::from(format!("{bookmark}\n")))
        .unwrap();
    watch.next().await.unwrap().unwrap();
    age("0.0");
    bench.has("etl_api_requests_total{verb=\"watch\",resource=\"jobs\",code=\"200\"} 1\n");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_no_sign_of_life() {
    let bench = Bench::new();
    let path = "/apis/batch/v1/namespaces/etl/jobs";
    let health = bench.onlooker.health.clone();
    let _watched = health.watch("Job", "Jobs", path);
    let jobs = bench.jobs(always(500, None));
    advance(Duration::from_secs(50)).await;
    jobs.list(&ListParams::default()).await.unwrap_err();
    health.sample();
    bench.has("etl_watch_age_seconds{kind=\"Job\"} 50.0\n");
}
