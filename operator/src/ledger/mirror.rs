//! The queue between passes and the ledger: it keeps the newest record of each
//! run until it is written, however long that takes, and never makes a pass
//! wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etl_core::ledger::{LedgerRecord, ProcessingStatus};
use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Ledger, LedgerError, Written};
use crate::backoff::Backoff;
use crate::lease::Leadership;

/// Between tries of one record. Every row has its own, so that one which
/// cannot be written slows no other down.
const WRITE_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    cap: Duration::from_secs(30),
};

/// After a batch of which nothing could be written: with it, a ledger that is
/// away is asked only so often, however many rows wait.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two lines in the log about a ledger that is behind.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

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
}

#[derive(Debug, Default)]
struct Queue {
    /// Newest unwritten record by `file_id`.
    pending: HashMap<String, Pending>,
    /// The same by when they are due, the longest waiting first.
    order: BTreeMap<Turn, String>,
    /// Turns given so far.
    turns: u64,
    /// What is known of rows, by uid of the EtlJob and `file_id`.
    rows: HashMap<String, HashMap<String, Row>>,
    /// The process stops: end when nothing is pending.
    draining: bool,
    /// Records that are being written.
    in_flight: usize,
}

/// When a record is due. The number tells those of one instant apart.
type Turn = (Instant, u64);

#[derive(Debug)]
struct Pending {
    record: LedgerRecord,
    turn: Turn,
    /// Tries of this very record.
    failures: u32,
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
    }

    /// Writes what is offered while `leadership` holds, until `drain`. What is
    /// not written by its end is for the next leader, who offers the runs of
    /// every EtlJob that is there. The end of one that was deleted is lost with
    /// it: its row stays IN_PROGRESS.
    pub async fn run(&self, ledger: &dyn Ledger, leadership: &Leadership) {
        let mut told = None;
        while let Some(batch) = self.next_batch().await {
            if !leadership.holds() {
                self.abandon();
                continue;
            }
            let writes = batch.iter().map(|pending| ledger.write(&pending.record));
            let results = join_all(writes).await;
            let progress = results.iter().any(Result::is_ok);
            for (pending, result) in batch.into_iter().zip(results) {
                match result {
                    Ok(written) => {
                        log(&pending.record, written);
                        self.queue().done(&pending.record);
                    }
                    Err(error) => {
                        self.tell(&error, &pending, &mut told);
                        self.queue().put_back(pending);
                    }
                }
            }
            if !progress {
                sleep(PAUSE).await;
            }
        }
    }

    /// A refused record is told of once: no later try can end otherwise.
    fn tell(&self, error: &LedgerError, pending: &Pending, told: &mut Option<Instant>) {
        if error.refused {
            if pending.failures == 0 {
                let LedgerError {
                    file_id,
                    code,
                    message,
                    ..
                } = error;
                tracing::error!(
                    file_id,
                    code,
                    message,
                    "the ledger refuses a row: compare the table's key and indexes with \
                     docs/ledger.md; it is tried again every {} s",
                    WRITE_BACKOFF.cap.as_secs()
                );
            }
            return;
        }
        if told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL) {
            *told = Some(Instant::now());
            let rows = self.backlog();
            tracing::warn!(%error, rows, failures = pending.failures + 1, "the ledger is behind");
        }
    }

    /// Forgets everything.
    fn abandon(&self) {
        let mut queue = self.queue();
        *queue = Queue {
            turns: queue.turns,
            draining: queue.draining,
            ..Queue::default()
        };
    }

    /// Waits for something to write; `None` when there is nothing more to
    /// wait for.
    async fn next_batch(&self) -> Option<Vec<Pending>> {
        loop {
            let due = {
                let mut queue = self.queue();
                let batch = queue.take(Instant::now());
                if !batch.is_empty() {
                    return Some(batch);
                }
                if queue.draining {
                    return None;
                }
                queue.order.first_key_value().map(|((due, _), _)| *due)
            };
            let offered = self.offered.notified();
            match due {
                // Either way the queue is looked at again.
                Some(due) => drop(timeout_at(due, offered).await),
                None => offered.await,
            }
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

    /// A record that was never tried, and is due at once: what has changed may
    /// fare better than what it replaces.
    fn put(&mut self, record: LedgerRecord) -> bool {
        let waiting = self.pending.get(&record.file_id);
        if waiting.is_some_and(|waiting| waiting.record.revision >= record.revision) {
            return false;
        }
        // One that was not tried yet keeps its place in the order.
        let turn = match waiting {
            Some(waiting) if waiting.failures == 0 => waiting.turn,
            _ => self.turn(Instant::now()),
        };
        self.enqueue(Pending {
            record,
            turn,
            failures: 0,
        });
        true
    }

    fn turn(&mut self, due: Instant) -> Turn {
        self.turns += 1;
        (due, self.turns)
    }

    fn enqueue(&mut self, pending: Pending) {
        let file_id = pending.record.file_id.clone();
        if let Some(replaced) = self.pending.get(&file_id) {
            self.order.remove(&replaced.turn);
        }
        self.order.insert(pending.turn, file_id.clone());
        self.pending.insert(file_id, pending);
    }

    /// Records that are due; all of them when the process is about to stop.
    fn take(&mut self, now: Instant) -> Vec<Pending> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(first) = self.order.first_entry()
            && (self.draining || first.key().0 <= now)
        {
            batch.extend(self.pending.remove(&first.remove()));
        }
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

    /// A record that could not be written, unless a newer one waits by now.
    fn put_back(&mut self, pending: Pending) {
        self.in_flight -= 1;
        if self.pending.contains_key(&pending.record.file_id) {
            return;
        }
        let failures = pending.failures.saturating_add(1);
        let turn = self.turn(Instant::now() + WRITE_BACKOFF.delay(failures));
        self.enqueue(Pending {
            turn,
            failures,
            ..pending
        });
    }
}

#[cfg(test)]
mod tests;
