//! What goes over the wire, and what answers mean.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{Config, Credentials};
use axum::Router;
use axum::http::StatusCode;
use etl_core::ledger::ProcessingStatus;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

fn record() -> LedgerRecord {
    let start: Timestamp = "2026-11-24T00:00:00.5Z".parse().unwrap();
    LedgerRecord {
        file_id: "test/etl/trips/uid/1".into(),
        source_file_path: "s3://raw/trips.parquet".into(),
        output_file_path: "s3://processed/".into(),
        processing_status: ProcessingStatus::InProgress,
        start_time: start,
        end_time: None,
        record_count: None,
        file_size_bytes: None,
        error_message: None,
        created_at: start,
        updated_at: start,
        job: "test/etl/trips".into(),
        namespace: "etl".into(),
        uid: "uid".into(),
        run: 1,
        attempt: Some(2),
        category: None,
        manifest: None,
        statistics: None,
        revision: 7,
    }
}

/// A service on loopback that gives one answer and keeps what it was asked.
async fn service(code: u16, answer: Value) -> (DynamoDb, Arc<Mutex<Option<Value>>>) {
    let asked = Arc::new(Mutex::new(None));
    let log = Arc::clone(&asked);
    let router = Router::new().fallback(move |body: String| async move {
        *log.lock().unwrap() = serde_json::from_str(&body).ok();
        let kind = [("content-type", "application/x-amz-json-1.0")];
        (
            StatusCode::from_u16(code).unwrap(),
            kind,
            answer.to_string(),
        )
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(ANY_REGION))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url)
        .build();
    (
        DynamoDb {
            client: Client::from_conf(config),
            table: "etl-jobs".into(),
        },
        asked,
    )
}

#[tokio::test]
async fn a_write_is_conditional_on_the_revision_and_leaves_nothing_of_the_old_row() {
    let (ledger, asked) = service(200, json!({})).await;
    assert_eq!(ledger.write(&record()).await.unwrap(), Written::Stored);
    let asked = asked.lock().unwrap().take().unwrap();
    assert_eq!(asked["TableName"], "etl-jobs");
    assert_eq!(
        asked["Key"],
        json!({ "file_id": { "S": "test/etl/trips/uid/1" } })
    );
    assert_eq!(
        asked["ConditionExpression"],
        "attribute_not_exists(file_id) OR #revision < :revision"
    );
    let values = &asked["ExpressionAttributeValues"];
    assert_eq!(values[":revision"], json!({ "N": "7" }));
    assert_eq!(values[":processing_status"], json!({ "S": "IN_PROGRESS" }));
    assert_eq!(
        values[":start_time"],
        json!({ "S": "2026-11-24T00:00:00.500Z" })
    );
    let expression = asked["UpdateExpression"].as_str().unwrap();
    let (set, remove) = expression.split_once(" REMOVE ").unwrap();
    assert!(
        set.starts_with("SET #source_file_path = :source_file_path, "),
        "{set}"
    );
    assert_eq!(
        remove,
        "#end_time, #record_count, #file_size_bytes, #error_message, #category, #manifest, #statistics"
    );
    // DynamoDB refuses names and values that no expression uses.
    let unused = |map: &Value| {
        let names = map.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        names
            .into_iter()
            .filter(|name| !expression.contains(name))
            .collect::<Vec<_>>()
    };
    assert!(unused(&asked["ExpressionAttributeNames"]).is_empty());
    assert!(unused(values).is_empty());
}

#[tokio::test]
async fn a_complete_record_has_every_attribute_with_its_type() {
    let (ledger, asked) = service(200, json!({})).await;
    let complete = LedgerRecord {
        processing_status: ProcessingStatus::Completed,
        end_time: Some(record().start_time),
        record_count: Some(62_495),
        file_size_bytes: Some(1),
        error_message: Some("m".into()),
        category: Some("Throttled".into()),
        manifest: Some("s3://m".into()),
        statistics: Some(etl_api::Statistics {
            rows_read: 5,
            ..Default::default()
        }),
        ..record()
    };
    ledger.write(&complete).await.unwrap();
    let asked = asked.lock().unwrap().take().unwrap();
    assert!(
        !asked["UpdateExpression"]
            .as_str()
            .unwrap()
            .contains("REMOVE")
    );
    let values = &asked["ExpressionAttributeValues"];
    assert_eq!(values[":record_count"], json!({ "N": "62495" }));
    assert_eq!(values[":statistics"]["M"]["rowsRead"], json!({ "N": "5" }));
    // The key, and all that a record serializes, are there.
    let fields = serde_json::to_value(&complete).unwrap();
    for field in fields
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| *field != "file_id")
    {
        assert!(
            values.get(format!(":{field}")).is_some(),
            "{field} is missing"
        );
    }
}

#[tokio::test]
async fn a_failed_condition_means_that_the_row_is_as_new_already() {
    let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    let (ledger, _) = service(400, json!({ "__type": kind, "message": "no" })).await;
    assert_eq!(ledger.write(&record()).await.unwrap(), Written::Superseded);
}

#[tokio::test]
async fn any_other_answer_is_an_error_with_its_code() {
    let kind = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException";
    let (ledger, _) = service(400, json!({ "__type": kind, "message": "no such table" })).await;
    let error = ledger.write(&record()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write ledger row test/etl/trips/uid/1: ResourceNotFoundException: no such table"
    );
    assert!(!error.refused);
    let kind = "com.amazon.coral.validate#ValidationException";
    let (ledger, _) = service(400, json!({ "__type": kind, "message": "too big" })).await;
    let error = ledger.write(&record()).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.refused),
        ("ValidationException", true)
    );
}

#[tokio::test]
async fn nobody_there_is_an_error_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (mut ledger, _) = service(200, json!({})).await;
    let config = ledger
        .client
        .config()
        .to_builder()
        .endpoint_url(url)
        .build();
    ledger.client = Client::from_conf(config);
    assert_eq!(ledger.write(&record()).await.unwrap_err().code, "Transport");
}
