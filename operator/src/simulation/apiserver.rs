//! A server that speaks the API's wire protocol, watches included, as far as
//! the operator uses it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Objects by their path, and who watches.
#[derive(Clone)]
pub struct ApiServer(Arc<Mutex<Inner>>, watch::Sender<usize>);

struct Inner {
    version: u64,
    objects: BTreeMap<String, Value>,
    watches: Vec<(String, UnboundedSender<Bytes>)>,
    /// Writes, as method and path.
    requests: Vec<String>,
}

impl ApiServer {
    pub fn new() -> Self {
        let inner = Inner {
            version: 1,
            objects: BTreeMap::new(),
            watches: Vec::new(),
            requests: Vec::new(),
        };
        ApiServer(Arc::new(Mutex::new(inner)), watch::Sender::new(0))
    }

    pub fn client(&self) -> Client {
        let server = self.clone();
        let router = Router::new().fallback(move |request: Request| server.clone().answer(request));
        Client::new(router, "default")
    }

    /// Puts an object there and tells the watches; `collection` ends with the
    /// plural.
    pub fn put(&self, collection: &str, mut object: Value) {
        let mut inner = self.inner();
        let path = format!(
            "{collection}/{}",
            object["metadata"]["name"].as_str().unwrap()
        );
        let known = inner.objects.contains_key(&path);
        inner.version += 1;
        object["metadata"]["resourceVersion"] = inner.version.to_string().into();
        inner.objects.insert(path.clone(), object.clone());
        inner.tell(&path, if known { "MODIFIED" } else { "ADDED" }, &object);
    }

    /// Removes an object and tells the watches.
    pub fn remove(&self, path: &str) {
        let mut inner = self.inner();
        let object = inner.objects.remove(path).expect("the object exists");
        inner.tell(path, "DELETED", &object);
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.inner().objects.get(path).cloned()
    }

    /// Waits until `condition` holds for the writes so far, and returns them.
    pub async fn writes(&self, condition: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut changes = self.1.subscribe();
        loop {
            let requests = self.inner().requests.clone();
            if condition(&requests) {
                return requests;
            }
            changes.changed().await.unwrap();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    async fn answer(self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let method = request.method().clone();
        let bytes = to_bytes(request.into_body(), usize::MAX).await.unwrap();
        if method == Method::GET && query.contains("watch=true") {
            let (sender, receiver) = unbounded();
            self.inner().watches.push((path, sender));
            let lines = receiver.map(Ok::<_, std::convert::Infallible>);
            return Body::from_stream(lines).into_response();
        }
        if method == Method::GET {
            return self.read(&path);
        }
        let mut body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        {
            let mut inner = self.inner();
            inner.requests.push(format!("{method} {path}"));
            let count = inner.requests.len();
            drop(inner);
            self.1.send_replace(count);
        }
        match method {
            Method::POST => {
                body["metadata"]["uid"] = format!("uid-of-{}", body["metadata"]["name"]).into();
                self.put(&path, body.clone());
            }
            Method::PUT => {
                let collection = path.trim_end_matches("/status").rsplit_once('/').unwrap().0;
                self.put(collection, body.clone());
                body = self.get(path.trim_end_matches("/status")).unwrap();
            }
            _ => {}
        }
        (StatusCode::OK, body.to_string()).into_response()
    }

    fn read(&self, path: &str) -> Response {
        let inner = self.inner();
        if let Some(object) = inner.objects.get(path) {
            return object.to_string().into_response();
        }
        let items: Vec<&Value> = inner
            .objects
            .iter()
            .filter(|(p, _)| within(p, path))
            .map(|(_, object)| object)
            .collect();
        let version = inner.version.to_string();
        json!({ "metadata": { "resourceVersion": version }, "items": items })
            .to_string()
            .into_response()
    }
}

impl Inner {
    fn tell(&mut self, path: &str, kind: &str, object: &Value) {
        let line = Bytes::from(json!({ "type": kind, "object": object }).to_string() + "\n");
        self.watches.retain(|(watched, sender)| {
            !within(path, watched) || sender.unbounded_send(line.clone()).is_ok()
        });
    }
}

/// Whether an object lies in a collection, of one namespace or of all.
fn within(path: &str, collection: &str) -> bool {
    let Some((parent, _)) = path.rsplit_once('/') else {
        return false;
    };
    let (group, plural) = collection.rsplit_once('/').unwrap_or(("", collection));
    parent == collection
        || (parent.starts_with(&format!("{group}/namespaces/"))
            && parent.ends_with(&format!("/{plural}")))
}
