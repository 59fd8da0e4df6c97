//! When the process must let go of storage: its own deadline, or SIGTERM.
//!
//! [`Gated`] wraps a store so that no request behind it begins, and none is
//! waited for, once the gate is closed. What a store was asked before may still
//! take effect if it is out of the process by then, as it may when a node is
//! lost: the conditions on it hold all the same. Aborting uploads stays possible:
//! it takes nothing from anybody.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::{
    Attributes, Kind, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store,
    StoreError, UploadId,
};

/// Why the gate closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The attempt's active deadline has passed.
    Deadline,
    /// The process was asked to end.
    Signal,
    /// Another task of this process failed, so nothing of it is of use any
    /// more.
    Failure,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Deadline => "the attempt's active deadline has passed",
            Stop::Signal => "the process was asked to end",
            Stop::Failure => "another task has failed",
        })
    }
}

/// Closes once, at a deadline or on request.
#[derive(Clone, Debug)]
pub struct Gate {
    deadline: Instant,
    signal: watch::Receiver<Option<Stop>>,
}

/// Closes a [`Gate`] before its deadline.
#[derive(Clone, Debug)]
pub struct Closer(Arc<watch::Sender<Option<Stop>>>);

impl Closer {
    /// Closes the gate. The first reason stays.
    pub fn close(&self, reason: Stop) {
        self.0.send_modify(|stop| {
            stop.get_or_insert(reason);
        });
    }
}

impl Gate {
    /// A gate that is open until `deadline`.
    pub fn new(deadline: Instant) -> (Gate, Closer) {
        let (sender, signal) = watch::channel(None);
        (Gate { deadline, signal }, Closer(Arc::new(sender)))
    }

    /// Fails once the gate is closed.
    pub fn check(&self) -> Result<(), Stop> {
        if Instant::now() >= self.deadline {
            return Err(Stop::Deadline);
        }
        match *self.signal.borrow() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Waits until the gate closes.
    pub async fn closed(&self) -> Stop {
        let mut signal = self.signal.clone();
        tokio::select! {
            () = tokio::time::sleep_until(self.deadline) => Stop::Deadline,
            stop = closed_early(&mut signal) => stop,
        }
    }

    /// Runs `work` unless the gate is closed, and only until it closes.
    pub async fn pass<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            stop = self.closed() => Err(stop),
            done = work => Ok(done),
        }
    }
}

/// Waits for a reason; for ever, if no [`Closer`] is left to give one.
async fn closed_early(signal: &mut watch::Receiver<Option<Stop>>) -> Stop {
    let stop = signal
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|stop| *stop);
    match stop {
        Some(stop) => stop,
        None => std::future::pending().await,
    }
}

/// A store behind a [`Gate`].
#[derive(Debug)]
pub struct Gated {
    store: Arc<dyn Store>,
    gate: Gate,
}

impl Gated {
    /// Puts `store` behind `gate`.
    pub fn new(store: Arc<dyn Store>, gate: Gate) -> Self {
        Gated { store, gate }
    }

    async fn pass<T>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.gate.pass(work).await.unwrap_or_else(|stop| {
            let uri = self.store.uri(key);
            Err(StoreError::new(
                Kind::Stopped(stop),
                operation,
                uri,
                stop.to_string(),
            ))
        })
    }
}

#[async_trait]
impl Store for Gated {
    fn uri(&self, key: &str) -> String {
        self.store.uri(key)
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        self.pass("look at", key, self.store.head(key, pin)).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError> {
        self.pass("list", prefix, self.store.list(prefix, page))
            .await
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        self.pass("read", key, self.store.get(key, pin, range))
            .await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        self.pass(
            "write",
            key,
            self.store.put(key, body, attributes, condition),
        )
        .await
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        self.pass("write", key, self.store.begin_upload(key, attributes))
            .await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        self.pass("write", key, self.store.put_part(key, upload, slot, body))
            .await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let work = self
            .store
            .complete_upload(key, upload, parts, crc64, condition);
        self.pass("write", key, work).await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError> {
        self.store.abort_upload(key, upload).await
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        self.pass("list uploads of", key, self.store.uploads(key))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_deadline_interrupts_work_and_refuses_new_work() {
        let (gate, _closer) = Gate::new(Instant::now() + Duration::from_secs(5));
        assert_eq!(gate.pass(async { 1 }).await, Ok(1));
        assert_eq!(
            gate.pass(std::future::pending::<()>()).await,
            Err(Stop::Deadline)
        );
        assert_eq!(gate.pass(async { 1 }).await, Err(Stop::Deadline));
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_closes_before_the_deadline() {
        let (gate, closer) = Gate::new(Instant::now() + Duration::from_secs(5));
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass(std::future::pending::<()>()).await }
        });
        tokio::task::yield_now().await;
        closer.close(Stop::Signal);
        closer.close(Stop::Failure);
        assert_eq!(waiting.await.unwrap(), Err(Stop::Signal));
        assert_eq!(gate.check(), Err(Stop::Signal));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_closer_the_deadline_still_closes() {
        let (gate, closer) = Gate::new(Instant::now() + Duration::from_secs(5));
        drop(closer);
        assert_eq!(gate.closed().await, Stop::Deadline);
    }
}
