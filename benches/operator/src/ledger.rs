//! The ledger's store: it takes every row at once. What a store that is somebody
//! else's machine costs is not what is measured here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::post;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// As much of DynamoDB as the operator asks for, without conditions: one operator
/// at a time writes, and never an older row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Store>);

#[derive(Debug, Default)]
struct Store {
    rows: Mutex<HashMap<String, Row>>,
    writes: AtomicU64,
}

/// Attributes of a row, in DynamoDB's own form.
type Row = Map<String, Value>;

impl Ledger {
    /// Answers on `address` as long as the runtime lives.
    pub(crate) async fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let ledger = Self::default();
        let router = Router::new()
            .route("/", post(answer))
            .with_state(ledger.clone());
        // It ends with the runtime, and nobody waits for it.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(ledger)
    }

    /// Writes so far.
    pub(crate) fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Puts the rows of copies of the EtlJob `name` beside its own: as if each had
    /// been recorded. `copies` are names and uids.
    pub(crate) fn copy(
        &self,
        namespace: &str,
        name: &str,
        copies: impl Iterator<Item = (String, String)>,
    ) -> Result<()> {
        let mut rows = self.rows();
        let infix = format!("/{namespace}/{name}/");
        let model = rows.iter().find(|(file_id, _)| file_id.contains(&infix));
        let (file_id, model) = model.context("the ledger has no row of the model")?;
        let cluster = file_id.split('/').next().unwrap_or_default().to_owned();
        let run = file_id.rsplit('/').next().unwrap_or_default().to_owned();
        let model = model.clone();
        rows.extend(copies.map(|(name, uid)| {
            let job = format!("{cluster}/{namespace}/{name}");
            let file_id = format!("{job}/{uid}/{run}");
            let mut row = model.clone();
            for (attribute, value) in [("file_id", &file_id), ("job", &job), ("uid", &uid)] {
                row.insert(attribute.to_owned(), json!({"S": value}));
            }
            (file_id, row)
        }));
        Ok(())
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, operation: &str, body: &Value) -> Option<Value> {
        match operation {
            "UpdateItem" => {
                let file_id = body["Key"]["file_id"]["S"].as_str()?;
                let mut rows = self.rows();
                let row = rows.entry(file_id.to_owned()).or_default();
                row.insert("file_id".to_owned(), body["Key"]["file_id"].clone());
                update(row, body)?;
                self.0.writes.fetch_add(1, Ordering::Relaxed);
                Some(json!({}))
            }
            "BatchGetItem" => {
                let rows = self.rows();
                let tables = body["RequestItems"].as_object()?.iter();
                let found = |wanted: &Value| -> Vec<Value> {
                    let keys = wanted["Keys"].as_array().into_iter().flatten();
                    let names = keys.filter_map(|key| key["file_id"]["S"].as_str());
                    let found = names.filter_map(|name| rows.get(name));
                    found.cloned().map(Value::Object).collect()
                };
                let found: Map<String, Value> = tables
                    .map(|(table, wanted)| (table.clone(), found(wanted).into()))
                    .collect();
                Some(json!({"Responses": found, "UnprocessedKeys": {}}))
            }
            // Rows in progress: whoever is asked for them when everything has ended.
            "Query" => Some(json!({"Items": [], "Count": 0, "ScannedCount": 0})),
            _ => None,
        }
    }
}

/// Does what `SET #a = :a, ... REMOVE #b, ...` says.
fn update(row: &mut Row, body: &Value) -> Option<()> {
    let name = |placeholder: &str| {
        let names = &body["ExpressionAttributeNames"];
        names[placeholder].as_str().map(str::to_owned)
    };
    let expression = body["UpdateExpression"].as_str()?.strip_prefix("SET ")?;
    let (set, remove) = expression
        .split_once(" REMOVE ")
        .unwrap_or((expression, ""));
    for assignment in set.split(", ") {
        let (attribute, value) = assignment.split_once(" = ")?;
        let value = body["ExpressionAttributeValues"][value].clone();
        row.insert(name(attribute)?, value);
    }
    for attribute in remove.split(", ").filter(|attribute| !attribute.is_empty()) {
        row.remove(&name(attribute)?);
    }
    Some(())
}

/// The operation is named in a header.
async fn answer(
    State(ledger): State<Ledger>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(HeaderName, &'static str); 1], String) {
    let target = headers.get("x-amz-target").and_then(|t| t.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let json = [(CONTENT_TYPE, "application/x-amz-json-1.0")];
    match ledger.handle(operation.unwrap_or_default(), &body) {
        Some(answer) => (StatusCode::OK, json, answer.to_string()),
        None => {
            let error = json!({"__type": "ValidationException", "message": "not known here"});
            (StatusCode::BAD_REQUEST, json, error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Ledger {
        let ledger = Ledger::default();
        let body = json!({
            "TableName": "t",
            "Key": {"file_id": {"S": "lab/ns/model/u/1"}},
            "UpdateExpression": "SET #job = :job, #uid = :uid, #revision = :revision REMOVE #end_time",
            "ExpressionAttributeNames": {
                "#job": "job", "#uid": "uid", "#revision": "revision", "#end_time": "end_time",
            },
            "ExpressionAttributeValues": {
                ":job": {"S": "lab/ns/model"}, ":uid": {"S": "u"}, ":revision": {"N": "7"},
            },
        });
        ledger.handle("UpdateItem", &body).unwrap();
        ledger
    }

    fn read(ledger: &Ledger, file_id: &str) -> Value {
        let body = json!({"RequestItems": {"t": {"Keys": [{"file_id": {"S": file_id}}]}}});
        ledger.handle("BatchGetItem", &body).unwrap()["Responses"]["t"].clone()
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let ledger = written();
        let row = json!([{
            "file_id": {"S": "lab/ns/model/u/1"}, "job": {"S": "lab/ns/model"},
            "uid": {"S": "u"}, "revision": {"N": "7"},
        }]);
        assert_eq!(read(&ledger, "lab/ns/model/u/1"), row);
        assert_eq!(read(&ledger, "lab/ns/another/u/1"), json!([]));
        assert_eq!(ledger.writes(), 1);
    }

    #[test]
    fn the_row_of_a_copy_is_under_its_own_key() {
        let ledger = written();
        let copies = [("copy".to_owned(), "v".to_owned())];
        ledger.copy("ns", "model", copies.into_iter()).unwrap();
        let row = json!([{
            "file_id": {"S": "lab/ns/copy/v/1"}, "job": {"S": "lab/ns/copy"},
            "uid": {"S": "v"}, "revision": {"N": "7"},
        }]);
        assert_eq!(read(&ledger, "lab/ns/copy/v/1"), row);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(Ledger::default().handle("Scan", &json!({})).is_none());
    }
}
