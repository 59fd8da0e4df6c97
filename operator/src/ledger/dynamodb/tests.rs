//! What goes over the wire, and what answers mean.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{Config, Credentials};
use axum::Router;
use axum::http::StatusCode;
use etl_core::ledger::{Closing, ProcessingStatus};
use jiff::Timestamp;
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
    assert_eq!(
        ledger.make(&Change::Write(record())).await.unwrap(),
        Made::Stored
    );
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
    ledger.make(&Change::Write(complete.clone())).await.unwrap();
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
    assert_eq!(
        ledger.make(&Change::Write(record())).await.unwrap(),
        Made::Superseded
    );
}

#[tokio::test]
async fn any_other_answer_is_an_error_with_its_code() {
    let kind = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException";
    let (ledger, _) = service(400, json!({ "__type": kind, "message": "no such table" })).await;
    let error = ledger.make(&Change::Write(record())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write ledger row test/etl/trips/uid/1: ResourceNotFoundException: no such table"
    );
    let causes = [
        ("ResourceNotFoundException", Cause::NoTable),
        ("ProvisionedThroughputExceededException", Cause::Throttled),
        ("ThrottlingException", Cause::Throttled),
        ("RequestLimitExceeded", Cause::Throttled),
        ("AccessDeniedException", Cause::Denied),
        ("UnrecognizedClientException", Cause::Denied),
        ("ExpiredTokenException", Cause::Denied),
        ("InternalServerError", Cause::Unavailable),
        ("SomethingNew", Cause::Unavailable),
        ("ValidationException", Cause::Refused),
    ];
    for (code, cause) in causes {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
        let (ledger, _) = service(400, json!({ "__type": kind, "message": "no" })).await;
        let error = ledger.make(&Change::Write(record())).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.cause), (code, cause));
        let error = ledger.compare(&[record()]).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.cause), (code, cause));
        let error = ledger.open_rows(None).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.cause), (code, cause));
    }
}

#[tokio::test]
async fn a_damaged_row_is_rewritten_unless_it_is_newer() {
    let (ledger, asked) = service(200, json!({})).await;
    let mend = Change::Mend(record());
    assert_eq!(ledger.make(&mend).await.unwrap(), Made::Stored);
    let mended = asked.lock().unwrap().take().unwrap();
    ledger.make(&Change::Write(record())).await.unwrap();
    let written = asked.lock().unwrap().take().unwrap();
    assert_eq!(mended["UpdateExpression"], written["UpdateExpression"]);
    assert_eq!(
        mended["ConditionExpression"],
        "NOT attribute_type(#revision, :number) OR #revision <= :revision"
    );
    assert_eq!(
        mended["ExpressionAttributeValues"][":number"],
        json!({ "S": "N" })
    );
}

#[tokio::test]
async fn a_row_is_ended_if_it_is_as_it_was_seen_and_keeps_what_it_says() {
    let (ledger, asked) = service(200, json!({})).await;
    let ending = |seen| {
        let time = "2026-11-24T01:00:00Z".parse().unwrap();
        let closing = Closing::decide("test/etl/trips/uid/1", seen, None, time);
        Change::Close(closing.unwrap())
    };
    ledger.make(&ending(Some(7))).await.unwrap();
    let seen = asked.lock().unwrap().take().unwrap();
    assert_eq!(
        seen["Key"],
        json!({ "file_id": { "S": "test/etl/trips/uid/1" } })
    );
    assert_eq!(
        seen["ConditionExpression"],
        "#processing_status = :open AND #revision = :seen"
    );
    assert_eq!(
        seen["ExpressionAttributeValues"],
        json!({
            ":open": { "S": "IN_PROGRESS" },
            ":seen": { "N": "7" },
            ":processing_status": { "S": "CANCELLED" },
            ":end_time": { "S": "2026-11-24T01:00:00.000Z" },
            ":updated_at": { "S": "2026-11-24T01:00:00.000Z" },
            ":error_message": { "S": "deleted before its end was recorded" },
            ":revision": { "N": "1795482000000" },
        })
    );
    assert!(
        !seen["UpdateExpression"]
            .as_str()
            .unwrap()
            .contains("REMOVE")
    );
    ledger.make(&ending(None)).await.unwrap();
    let unread = asked.lock().unwrap().take().unwrap();
    assert_eq!(unread["ConditionExpression"], "#processing_status = :open");
    assert_eq!(unread["ExpressionAttributeValues"][":seen"], Value::Null);
}

/// What the service would answer with, had `record` been written.
async fn item(record: &LedgerRecord) -> Value {
    let (ledger, asked) = service(200, json!({})).await;
    ledger.make(&Change::Write(record.clone())).await.unwrap();
    let asked = asked.lock().unwrap().take().unwrap();
    let mut item = json!({ "file_id": { "S": record.file_id } });
    for (name, value) in asked["ExpressionAttributeValues"].as_object().unwrap() {
        item[name.trim_start_matches(':')] = value.clone();
    }
    item
}

#[tokio::test]
async fn rows_are_compared_with_their_records_a_hundred_at_a_time() {
    let numbered = |run: u32| LedgerRecord {
        file_id: format!("test/etl/trips/uid/{run}"),
        run,
        ..record()
    };
    let records: Vec<LedgerRecord> = (1..=8).map(numbered).collect();
    let mut items = Vec::new();
    for record in &records {
        items.push(item(record).await);
    }
    items[0]["revision"] = json!({ "N": "6" });
    items[1]["revision"] = json!({ "N": "8" });
    items[2]["processing_status"] = json!({ "S": "COMPLETED" });
    items[3]["end_time"] = json!({ "S": "2026-11-24T00:00:00.500Z" });
    items[4]["revision"] = json!({ "S": "7" });
    items[5]["note"] = json!({ "S": "a reader's own attribute" });
    let answered: Vec<Value> = items[..6].iter().rev().cloned().collect();
    let answer = json!({
        "Responses": { "etl-jobs": answered },
        "UnprocessedKeys": { "etl-jobs": { "Keys": [{ "file_id": items[7]["file_id"] }] } },
    });
    let (ledger, asked) = service(200, answer).await;
    assert_eq!(
        ledger.compare(&records).await.unwrap(),
        [
            Finding::Older,
            Finding::Newer,
            Finding::Damaged,
            Finding::Damaged,
            Finding::Damaged,
            Finding::Same,
            Finding::Missing,
            Finding::Unread,
        ]
    );
    let asked = asked.lock().unwrap().take().unwrap();
    let wanted = &asked["RequestItems"]["etl-jobs"];
    assert_eq!(wanted["ConsistentRead"], true);
    assert_eq!(wanted["Keys"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_table_that_reads_nothing_is_too_busy() {
    let unread = json!({ "Keys": [{ "file_id": { "S": record().file_id } }] });
    let answer = json!({ "Responses": {}, "UnprocessedKeys": { "etl-jobs": unread } });
    let (ledger, _) = service(200, answer).await;
    let error = ledger.compare(&[record()]).await.unwrap_err();
    assert_eq!(error.cause, Cause::Throttled);
}

#[tokio::test]
async fn rows_in_progress_are_found_by_their_index_page_by_page() {
    let answer = json!({
        "Items": [
            { "file_id": { "S": "test/etl/trips/uid/1" }, "revision": { "N": "7" } },
            { "file_id": { "S": "a.parquet" } },
        ],
        "LastEvaluatedKey": {
            "file_id": { "S": "a.parquet" },
            "processing_status": { "S": "IN_PROGRESS" },
            "updated_at": { "S": "2021-01-01" },
        },
    });
    let (ledger, asked) = service(200, answer).await;
    let page = ledger.open_rows(None).await.unwrap();
    let rows: Vec<(&str, Option<i64>)> = page
        .rows
        .iter()
        .map(|row| (row.file_id.as_str(), row.revision))
        .collect();
    assert_eq!(
        rows,
        [("test/etl/trips/uid/1", Some(7)), ("a.parquet", None)]
    );
    let first = asked.lock().unwrap().take().unwrap();
    assert_eq!(first["IndexName"], "status-index");
    assert_eq!(first["KeyConditionExpression"], "processing_status = :open");
    assert_eq!(first["ExclusiveStartKey"], Value::Null);
    ledger.open_rows(page.next).await.unwrap();
    let second = asked.lock().unwrap().take().unwrap();
    assert_eq!(
        second["ExclusiveStartKey"],
        json!({
            "file_id": { "S": "a.parquet" },
            "processing_status": { "S": "IN_PROGRESS" },
            "updated_at": { "S": "2021-01-01" },
        })
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
    assert_eq!(
        ledger
            .make(&Change::Write(record()))
            .await
            .unwrap_err()
            .code,
        "Transport"
    );
}
