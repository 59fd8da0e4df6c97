//! In virtual time.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::time::advance;
use tower::Service;

use super::*;

fn error() -> std::io::Error {
    std::io::Error::other("no route")
}

fn listed(health: &Health, kind: &'static str) -> Watched {
    let watched = health.watch(kind, format!("{kind}s"), &format!("/{kind}"));
    watched.listed();
    watched
}

#[tokio::test(start_paused = true)]
async fn ready_means_that_every_watch_has_listed_once() {
    let health = Health::default();
    let jobs = health.watch("Job", "Jobs", "/jobs");
    let etljobs = health.watch("EtlJob", "EtlJobs", "/etljobs");
    jobs.listed();
    etljobs.interrupted(&error());
    let verdict = health.ready();
    assert!(!verdict.ok);
    assert_eq!(verdict.text, "EtlJobs: not listed yet: no route\n");
    etljobs.listed();
    assert!(health.ready().ok && health.live().ok);
    // A short interruption later on is no reason to be taken out.
    jobs.interrupted(&error());
    assert!(health.ready().ok && health.live().ok);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_has_ended_is_death_unless_the_process_stops() {
    let health = Health::default();
    let watched = listed(&health, "Job");
    drop(watched);
    assert_eq!(health.live().text, "the watch of Jobs has ended\n");
    health.stopping();
    assert!(health.live().ok);
    assert!(!health.ready().ok);
}

/// Packets that vanish: no event, no bookmark, no error.
#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_is_not_ready_and_in_the_end_dead() {
    let health = Health::default();
    let _jobs = listed(&health, "Job");
    let etljobs = listed(&health, "EtlJob");
    for _ in 0..BLIND.as_secs() {
        advance(Duration::from_secs(1)).await;
        etljobs.news();
        assert!(health.ready().ok && health.live().ok);
    }
    advance(Duration::from_secs(1)).await;
    assert_eq!(health.ready().text, "Jobs: no news for 311 s\n");
    assert!(health.live().ok);
    advance(STUCK).await;
    etljobs.news();
    let stuck = "the watch of Jobs is stuck: neither news nor an error for 901 s\n";
    assert_eq!(health.live().text, stuck);
}

/// The API server is away: a restart would not bring it back.
#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_again_and_again_is_not_ready_but_alive() {
    let health = Health::default();
    let jobs = listed(&health, "Job");
    for _ in 0..60 {
        advance(Duration::from_secs(30)).await;
        jobs.interrupted(&error());
        assert!(health.live().ok);
    }
    assert_eq!(health.ready().text, "Jobs: no news for 1800 s: no route\n");
    jobs.listed();
    assert!(health.ready().ok);
}

#[tokio::test(start_paused = true)]
async fn whatever_the_server_sends_is_a_sign_of_life() {
    let health = Health::default();
    let _jobs = listed(&health, "Job");
    advance(BLIND * 3).await;
    assert!(!health.ready().ok && !health.live().ok);
    health.sign_of("/Job").expect("it is watched").alive();
    assert!(health.ready().ok && health.live().ok);
    assert!(health.sign_of("/pods").is_none());
}

async fn answer(router: &mut Router, path: &str) -> (StatusCode, String, String) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let answer = router.call(request).await.unwrap();
    let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, kind, String::from_utf8(body.into()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn probes_and_scrapes_are_answered_over_http() {
    let metrics = Metrics::new();
    let health = Health::new(metrics.watches.clone());
    let sampled = health.clone();
    metrics.sample(move || sampled.sample());
    let mut router = router(health.clone(), metrics);
    let _jobs = listed(&health, "Job");
    assert_eq!(answer(&mut router, "/livez").await.0, StatusCode::OK);
    assert_eq!(answer(&mut router, "/readyz").await.2, "ok\n");
    advance(BLIND * 2).await;
    let (status, _, text) = answer(&mut router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text, "Jobs: no news for 620 s\n");
    let (status, kind, text) = answer(&mut router, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(
        text.contains("etl_watch_age_seconds{kind=\"Job\"} 620.0\n"),
        "{text}"
    );
    assert!(
        text.contains("etl_watch_lists_total{kind=\"Job\"} 1\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
}
