//! The server and what a test does with it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::bucket::Condition;
use crate::exchange::Connection;
use crate::fault::{Fault, Rule, Script};
use crate::object::{Attributes, Object};
use crate::operations::Buckets;
use crate::pace::{Line, Profile};
use crate::request::Operation;

/// A request that has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was asked for.
    pub operation: Operation,
    /// The bucket.
    pub bucket: String,
    /// The key; empty if it is about the bucket.
    pub key: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// Number of the part.
    pub part: Option<u32>,
    /// Number of the connection, from 0.
    pub connection: u64,
    /// What went wrong with it by a rule.
    pub fault: Option<Fault>,
    /// Status of the answer; `None` without one.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) buckets: Buckets,
    pub(crate) script: Script,
    records: Vec<Record>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) profile: Profile,
    pub(crate) up: Line,
    pub(crate) down: Line,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and returns its place among the records.
    pub(crate) fn begin(&self, record: Record) -> usize {
        let records = &mut self.lock().records;
        records.push(record);
        records.len() - 1
    }

    pub(crate) fn end(&self, place: usize, status: u16) {
        // Records may have been taken away meanwhile.
        if let Some(record) = self.lock().records.get_mut(place) {
            record.status = Some(status);
        }
    }
}

/// An S3 server on loopback, on threads of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server without buckets.
    ///
    /// # Errors
    /// If no port of loopback, or no thread, is to be had.
    pub fn start(profile: Profile) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("faulty-s3")
            .enable_all()
            .build()?;
        // Not through the runtime: the caller may be inside of another.
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            profile,
            up: Line::new(profile.link_rate),
            down: Line::new(profile.link_rate),
            state: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let accepting = accept(listener, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("faulty-s3".to_owned())
            .spawn(move || {
                runtime.spawn(accepting);
                // An error is the sender's end, which ends the server as well.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Server {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where clients reach it: `http://127.0.0.1:PORT`. Buckets are the first
    /// segment of the path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket, if there is none of that name.
    pub fn create_bucket(&self, bucket: &str) {
        self.shared
            .lock()
            .buckets
            .entry(bucket.to_owned())
            .or_default();
    }

    /// Makes a bucket that keeps old versions of objects.
    pub fn create_versioned_bucket(&self, bucket: &str) {
        let state = &mut self.shared.lock();
        state
            .buckets
            .entry(bucket.to_owned())
            .or_default()
            .versioned = true;
    }

    /// Puts an object into a bucket, which is made if it is missing.
    pub fn insert(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        let object = Object::new(body.into(), Attributes::default());
        let mut state = self.shared.lock();
        let bucket = state.buckets.entry(bucket.to_owned()).or_default();
        bucket
            .put(key, object, &Condition::default())
            .expect("there is no condition to fail");
    }

    /// The content of an object.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let state = self.shared.lock();
        Some(state.buckets.get(bucket)?.current(key)?.body.clone())
    }

    /// The keys of a bucket, in order.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.shared.lock();
        let keys = state.buckets.get(bucket).into_iter();
        keys.flat_map(|bucket| bucket.list("", None))
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    /// Number of unfinished uploads in a bucket.
    #[must_use]
    pub fn uploads(&self, bucket: &str) -> usize {
        let state = self.shared.lock();
        state
            .buckets
            .get(bucket)
            .map_or(0, |bucket| bucket.uploads.len())
    }

    /// Adds a rule; it counts requests from now on.
    pub fn rule(&self, rule: Rule) {
        self.shared.lock().script.add(rule);
    }

    /// Drops all rules.
    pub fn clear_rules(&self) {
        self.shared.lock().script.clear();
    }

    /// The requests so far, in the order in which they came in.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.shared.lock().records.clone()
    }

    /// The requests of one kind so far.
    #[must_use]
    pub fn records_of(&self, operation: Operation) -> Vec<Record> {
        let mut records = self.records();
        records.retain(|record| record.operation == operation);
        records
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let numbers = AtomicU64::new(0);
    loop {
        // Out of descriptors for a moment: the client will notice and come again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::new(number, Arc::clone(&shared));
        tokio::spawn(serve(stream, Arc::new(connection)));
    }
}

async fn serve(stream: TcpStream, connection: Arc<Connection>) {
    // Without it the head of an answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| Arc::clone(&connection).serve(request));
    // Every error is one that a rule asked for, or a client that went away.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
