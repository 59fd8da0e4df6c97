//! What goes over the wire, and what answers mean.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::*;
use crate::simulation::fixture;

/// A server that gives one answer and keeps what it was asked.
struct Server {
    cluster: KubeCluster,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    fn answering(code: u16, body: Value) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| async move {
            let line = format!("{} {}", request.method(), request.uri());
            let bytes = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let asked = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            log.lock().unwrap().push((line, asked));
            let code = StatusCode::from_u16(code).unwrap();
            (code, Body::from(body.to_string())).into_response() as Response
        });
        Server {
            cluster: KubeCluster::new(Client::new(router, "default"), "pod-1".into()),
            asked,
        }
    }

    fn refusing(code: u16, reason: &str, details: Value) -> Self {
        Self::answering(
            code,
            json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "code": code, "reason": reason, "message": "the server's words", "details": details,
            }),
        )
    }

    fn asked(&self) -> (String, Value) {
        self.asked
            .lock()
            .unwrap()
            .pop()
            .expect("a request was made")
    }
}

#[tokio::test]
async fn a_status_is_written_against_the_version_it_was_planned_on() {
    let job = fixture::etljob();
    let server = Server::answering(200, serde_json::to_value(&job).unwrap());
    server.cluster.replace_status(&job).await.unwrap();
    let (line, body) = server.asked();
    assert_eq!(
        line,
        "PUT /apis/etl-operator.io/v1alpha1/namespaces/etl/etljobs/trips/status?&fieldManager=etl-operator"
    );
    assert_eq!(body["metadata"]["resourceVersion"], "1");
    assert_eq!(body["metadata"]["uid"], fixture::UID);
    assert_eq!(body["status"]["observedGeneration"], -1);
}

#[tokio::test]
async fn a_job_is_deleted_after_its_pods_and_only_if_it_is_the_same() {
    let server = Server::answering(200, json!({ "kind": "Status", "status": "Success" }));
    server
        .cluster
        .delete_job("etl", "trips-x", "uid-1")
        .await
        .unwrap();
    let (line, body) = server.asked();
    assert_eq!(line, "DELETE /apis/batch/v1/namespaces/etl/jobs/trips-x?");
    assert_eq!(
        body,
        json!({ "propagationPolicy": "Foreground", "preconditions": { "uid": "uid-1" } })
    );
    server
        .cluster
        .delete_etljob("etl", "trips", "uid-2")
        .await
        .unwrap();
    let (line, body) = server.asked();
    assert!(line.starts_with("DELETE /apis/etl-operator.io/v1alpha1/namespaces/etl/etljobs/trips"));
    assert_eq!(body["preconditions"]["uid"], "uid-2");
}

#[tokio::test]
async fn deleting_what_is_gone_or_replaced_succeeds() {
    for (code, reason) in [(404, "NotFound"), (409, "Conflict")] {
        let server = Server::refusing(code, reason, Value::Null);
        server
            .cluster
            .delete_job("etl", "trips-x", "uid-1")
            .await
            .unwrap();
        server
            .cluster
            .delete_etljob("etl", "trips", "uid-1")
            .await
            .unwrap();
    }
    let server = Server::refusing(403, "Forbidden", Value::Null);
    let error = server
        .cluster
        .delete_job("etl", "trips-x", "uid-1")
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
}

#[tokio::test]
async fn a_job_that_is_not_there_is_none() {
    let server = Server::refusing(404, "NotFound", Value::Null);
    assert_eq!(
        server.cluster.get_job("etl", "trips-x").await.unwrap(),
        None
    );
    assert_eq!(
        server.asked().0,
        "GET /apis/batch/v1/namespaces/etl/jobs/trips-x"
    );
    let job = fixture::child("trips-x", "uid-1");
    let server = Server::answering(200, serde_json::to_value(&job).unwrap());
    assert_eq!(
        server.cluster.get_job("etl", "trips-x").await.unwrap(),
        Some(job)
    );
}

#[tokio::test]
async fn answers_to_a_create_are_told_apart() {
    let terminating = json!({ "causes": [{ "reason": "NamespaceTerminating", "message": "m" }] });
    let cases = [
        (409, "AlreadyExists", Value::Null, Kind::AlreadyExists),
        // The quota's own object had changed meanwhile.
        (409, "Conflict", Value::Null, Kind::Conflict),
        (403, "Forbidden", Value::Null, Kind::Forbidden),
        (403, "Forbidden", terminating, Kind::NamespaceTerminating),
        (404, "NotFound", Value::Null, Kind::NotFound),
        (422, "Invalid", Value::Null, Kind::Rejected),
        (400, "BadRequest", Value::Null, Kind::Rejected),
        (429, "TooManyRequests", Value::Null, Kind::Throttled),
        (500, "InternalError", Value::Null, Kind::Transient),
        (401, "Unauthorized", Value::Null, Kind::Transient),
        (418, "Teapot", Value::Null, Kind::Unknown),
    ];
    for (code, reason, details, kind) in cases {
        let server = Server::refusing(code, reason, details);
        let job = fixture::child("trips-x", "uid-1");
        let error = server.cluster.create_job(&job).await.unwrap_err();
        assert_eq!(
            error,
            ApiError::new(kind, "the server's words"),
            "{code} {reason}"
        );
        let line = server.asked().0;
        assert_eq!(
            line,
            "POST /apis/batch/v1/namespaces/etl/jobs?&fieldManager=etl-operator"
        );
    }
}

#[tokio::test]
async fn pods_are_those_of_one_job_by_its_uid() {
    let server = Server::answering(
        200,
        json!({ "metadata": {}, "items": [{ "metadata": { "name": "trips-x-0" } }] }),
    );
    let pods = server.cluster.pods("etl", "uid-1").await.unwrap();
    assert_eq!(pods[0].name_any(), "trips-x-0");
    assert_eq!(
        server.asked().0,
        "GET /api/v1/namespaces/etl/pods?&labelSelector=batch.kubernetes.io%2Fcontroller-uid%3Duid-1"
    );
}

#[tokio::test]
async fn warnings_come_newest_last() {
    let event = |message: &str, time: &str| {
        json!({
            "metadata": {}, "involvedObject": {}, "message": message, "lastTimestamp": time,
        })
    };
    let server = Server::answering(
        200,
        json!({ "metadata": {}, "items": [
            event("new", "2026-11-24T00:00:09Z"),
            event("old", "2026-11-24T00:00:01Z"),
        ] }),
    );
    assert_eq!(
        server.cluster.warnings("etl", "uid-1").await.unwrap(),
        ["old", "new"]
    );
    let line = server.asked().0;
    assert!(
        line.contains("fieldSelector=involvedObject.uid%3Duid-1%2Ctype%3DWarning"),
        "{line}"
    );
}

#[tokio::test]
async fn an_event_is_told_once_under_its_own_name() {
    let event = Event {
        severity: Severity::Warning,
        reason: "AttemptFailed",
        note: "é".repeat(1000),
    };
    let server = Server::refusing(409, "AlreadyExists", Value::Null);
    server
        .cluster
        .publish(&fixture::etljob(), &event, "7.0")
        .await
        .unwrap();
    let (line, body) = server.asked();
    assert_eq!(line, "POST /apis/events.k8s.io/v1/namespaces/etl/events?");
    assert_eq!(body["metadata"]["name"], "trips.7.0");
    assert_eq!(body["regarding"]["uid"], fixture::UID);
    assert_eq!(
        (&body["type"], &body["reason"]),
        (&json!("Warning"), &json!("AttemptFailed"))
    );
    assert_eq!(body["reportingInstance"], "pod-1");
    assert!(body["note"].as_str().unwrap().len() <= NOTE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let router = Router::new().fallback(std::future::pending::<()>);
    let cluster = KubeCluster::new(Client::new(router, "default"), "pod-1".into());
    let start = tokio::time::Instant::now();
    let error = cluster.get_job("etl", "trips-x").await.unwrap_err();
    assert_eq!(error.kind, Kind::Transient);
    assert!(start.elapsed() < Duration::from_secs(10));
}
