//! The queue between passes and the ledger: it keeps the newest record of each
//! run until it is written, however long that takes, and never makes a pass
//! wait.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etl_core::ledger::{LedgerRecord, ProcessingStatus};
use futures::future::join_all;
use tokio::sync::Notify;

use super::{Ledger, Written};
use crate::backoff::Backoff;

/// Between tries while nothing can be written.
const WRITE_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    cap: Duration::from_secs(30),
};

/// Rows that are written side by side.
const BATCH: usize = 16;

/// Records on their way to the ledger.
///
/// # Guarantees
/// `offer` never waits and never fails. A record is dropped only when it is
/// written or a newer one of its run is offered.
#[derive(Debug, Default)]
pub struct Mirror {
    queue: Mutex<Queue>,
    offered: Notify,
    stopping: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Newest unwritten record by `file_id`.
    pending: HashMap<String, LedgerRecord>,
    /// The same, the longest waiting first.
    order: VecDeque<String>,
    /// What is known of rows, by uid of the EtlJob and `file_id`.
    rows: HashMap<String, HashMap<String, Row>>,
    /// The process stops: end when nothing is pending.
    draining: bool,
    /// Records that are being written.
    in_flight: usize,
}

#[derive(Debug)]
struct Row {
    /// Revision that the row is known to have.
    written: Option<i64>,
    /// Whether its end as cancelled was offered; nothing comes after that.
    cancelled: bool,
}

impl Mirror {
    /// Asks for `record` to be written.
    pub fn offer(&self, record: LedgerRecord) {
        if self.queue().offer(record) {
            self.offered.notify_one();
        }
    }

    /// Revision that the row is known to have.
    pub fn written(&self, uid: &str, file_id: &str) -> Option<i64> {
        self.queue().rows.get(uid)?.get(file_id)?.written
    }

    /// Drops what is known of the rows of an EtlJob that is gone. What is
    /// pending is still written.
    pub fn forget(&self, uid: &str) {
        self.queue().rows.remove(uid);
    }

    /// Records that are not written yet.
    pub fn backlog(&self) -> usize {
        let queue = self.queue();
        queue.pending.len() + queue.in_flight
    }

    /// Lets `run` return as soon as nothing is pending.
    pub fn drain(&self) {
        self.queue().draining = true;
        self.offered.notify_one();
        self.stopping.notify_one();
    }

    /// Writes what is offered, until `drain`.
    pub async fn run(&self, ledger: &dyn Ledger) {
        let mut failures = 0;
        while let Some(batch) = self.next_batch().await {
            let results = join_all(batch.iter().map(|record| ledger.write(record))).await;
            // One row that cannot be written must not slow the others down.
            let progress = results.iter().any(Result::is_ok);
            failures = if progress { 0 } else { failures + 1 };
            if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
                let rows = self.backlog();
                tracing::warn!(%error, rows, failures, "the ledger is behind");
            }
            for (record, result) in batch.into_iter().zip(results) {
                match result {
                    Ok(written) => {
                        log(&record, written);
                        self.queue().done(&record);
                    }
                    Err(_) => self.queue().put_back(record),
                }
            }
            if failures > 0 {
                self.pause(failures).await;
            }
        }
    }

    /// Waits before the next try: as long as it takes, or a moment if the
    /// process is about to stop.
    async fn pause(&self, failures: u32) {
        tokio::select! {
            () = tokio::time::sleep(WRITE_BACKOFF.delay(failures)) => {}
            () = self.stopping.notified() => {}
        }
        if self.queue().draining {
            // For the next pause.
            self.stopping.notify_one();
            tokio::time::sleep(WRITE_BACKOFF.first).await;
        }
    }

    /// Waits for something to write; `None` when there is nothing more to
    /// wait for.
    async fn next_batch(&self) -> Option<Vec<LedgerRecord>> {
        loop {
            {
                let mut queue = self.queue();
                let batch = queue.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
                if queue.draining {
                    return None;
                }
            }
            self.offered.notified().await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No panic can happen between the steps of a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(record: &LedgerRecord, written: Written) {
    let status = record.processing_status.as_str();
    match written {
        Written::Stored => tracing::debug!(file_id = record.file_id, status, "wrote a ledger row"),
        Written::Superseded => {
            tracing::debug!(
                file_id = record.file_id,
                status,
                "the ledger row is as new already"
            );
        }
    }
}

impl Queue {
    /// Returns whether there is something to write.
    fn offer(&mut self, record: LedgerRecord) -> bool {
        let rows = self.rows.entry(record.uid.clone()).or_default();
        let row = rows.entry(record.file_id.clone()).or_insert(Row {
            written: None,
            cancelled: false,
        });
        if row.cancelled || row.written >= Some(record.revision) {
            return false;
        }
        row.cancelled = record.processing_status == ProcessingStatus::Cancelled;
        self.put(record)
    }

    fn put(&mut self, record: LedgerRecord) -> bool {
        match self.pending.get_mut(&record.file_id) {
            Some(waiting) if waiting.revision >= record.revision => false,
            // It keeps its place in the order.
            Some(waiting) => {
                *waiting = record;
                true
            }
            None => {
                self.order.push_back(record.file_id.clone());
                self.pending.insert(record.file_id.clone(), record);
                true
            }
        }
    }

    fn take(&mut self) -> Vec<LedgerRecord> {
        let count = self.order.len().min(BATCH);
        let batch: Vec<LedgerRecord> = self
            .order
            .drain(..count)
            .filter_map(|file_id| self.pending.remove(&file_id))
            .collect();
        self.in_flight = batch.len();
        batch
    }

    fn done(&mut self, record: &LedgerRecord) {
        self.in_flight -= 1;
        // A row of an EtlJob that was forgotten meanwhile stays forgotten.
        if let Some(row) = self
            .rows
            .get_mut(&record.uid)
            .and_then(|rows| rows.get_mut(&record.file_id))
        {
            row.written = row.written.max(Some(record.revision));
        }
    }

    fn put_back(&mut self, record: LedgerRecord) {
        self.in_flight -= 1;
        self.put(record);
    }
}

#[cfg(test)]
mod tests;
