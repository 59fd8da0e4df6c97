//! The way from passes to the ledger: it keeps the newest change of each row
//! until it is made, however long that takes, and never makes a pass wait.

mod amend;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etl_core::ledger::{LedgerRecord, ProcessingStatus};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::breaker::Leave;
use super::census::Census;
use super::figures::{Counts, Figures};
use super::known::Known;
use super::line::Line;
use super::pace::Allowance;
use super::queue::{Put, Queue};
use super::{Cause, Change, Ledger, LedgerError, Made};
use crate::lease::Leadership;

/// Rows that the queue holds. What finds no room is found again by the repair,
/// so an outage of any length takes some 20 MB at most.
pub const CAPACITY: usize = 10_000;

/// The same for rows of EtlJobs that are gone: of their ends nothing else
/// knows.
const LAST_CAPACITY: usize = 2 * CAPACITY;

/// Writes that are under way at once.
const CONCURRENCY: usize = 32;

/// Tries of a row before it is told of: the first rows that fail in an outage
/// are not what is wrong.
const TELL_FAILURES: u32 = 3;

/// Between two lines in the log about rows that cannot be written.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// Changes on their way to the ledger.
///
/// # Guarantees
/// `offer`, `assure` and `offer_last` never wait and never fail. A change is
/// dropped only when it is made, when a newer one of its row is offered, when
/// another operator leads, or when the queue is full; the repair makes up for
/// the last two.
#[derive(Debug)]
pub struct Mirror {
    state: Mutex<State>,
    /// There is something to write, or to stop for.
    changed: Notify,
    /// An outage has ended.
    recovered: Notify,
    /// Rows were dropped, and there is room for them again.
    room: Notify,
    /// The EtlJobs whose rows these are.
    pub census: Census,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    known: Known,
    line: Line,
    /// The process stops: end when nothing is left to write.
    draining: bool,
    /// Every row was compared once in this term.
    swept: bool,
    /// Rows were dropped since the last sweep.
    dropped: bool,
    counts: Counts,
    told: Option<Instant>,
}

/// What to do next.
enum Step {
    Make(Arc<Change>),
    /// Nothing before this time, or before something changes.
    Wait(Option<Instant>),
    End,
}

impl Default for Mirror {
    /// For the whole cluster, with the default allowance.
    fn default() -> Self {
        Mirror::new(Allowance::default(), 1)
    }
}

impl Mirror {
    /// For EtlJobs in so many `territories`.
    pub fn new(allowance: Allowance, territories: usize) -> Self {
        let state = State {
            queue: Queue::default(),
            known: Known::default(),
            line: Line::new(allowance),
            draining: false,
            swept: false,
            dropped: false,
            counts: Counts::default(),
            told: None,
        };
        Mirror {
            state: Mutex::new(state),
            changed: Notify::new(),
            recovered: Notify::new(),
            room: Notify::new(),
            census: Census::new(territories),
        }
    }

    /// Asks for `record`, which has just changed, to be written.
    pub fn offer(&self, record: LedgerRecord) {
        self.put(record, CAPACITY);
    }

    /// The same for an EtlJob that is gone or going.
    pub fn offer_last(&self, record: LedgerRecord) {
        self.put(record, LAST_CAPACITY);
    }

    /// Asks for `record` to be there, which may be so already. At the start of a
    /// term that is left to the repair, which reads a hundred rows for what one
    /// write costs.
    pub fn assure(&self, record: LedgerRecord) {
        {
            let state = self.state();
            if !state.swept && !state.known.contains(&record.uid, record.run) {
                return;
            }
        }
        self.put(record, CAPACITY);
    }

    fn put(&self, record: LedgerRecord, limit: usize) {
        let mut state = self.state();
        if !state.known.is_news(&record) {
            return;
        }
        state.enqueue(Change::Write(record), limit);
        drop(state);
        self.changed.notify_one();
    }

    /// Revision that the row of a run is known to have.
    pub fn written(&self, uid: &str, run: u32) -> Option<i64> {
        self.state().known.written(uid, run)
    }

    /// Drops what is known of the rows of an EtlJob that is gone. What is
    /// pending is still written.
    pub fn forget(&self, uid: &str) {
        self.state().known.forget(uid);
    }

    /// How the ledger follows.
    pub fn figures(&self) -> Figures {
        let state = self.state();
        Figures {
            backlog: state.queue.len(),
            lag: state
                .queue
                .oldest()
                .map_or(Duration::ZERO, |since| since.elapsed()),
            rate: state.line.rate(),
            outage: state.line.outage().map(|outage| outage.cause),
            counts: state.counts,
        }
    }

    /// Lets `run` return as soon as nothing is left to write.
    pub fn drain(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.draining = true;
        state.queue.hurry(now);
        state.line.hurry(now);
        drop(state);
        self.changed.notify_one();
    }

    /// Writes what is offered while `leadership` holds, until `drain`. What is
    /// not written by its end is for the next leader, whose repair compares all
    /// rows with the EtlJobs that are there.
    pub async fn run(&self, ledger: &dyn Ledger, leadership: &Leadership) {
        let mut under_way = FuturesUnordered::new();
        loop {
            match self.next(under_way.len()) {
                Step::Make(_) if !leadership.holds() => self.abandon(),
                Step::Make(change) => under_way.push(async move {
                    let result = ledger.make(&change).await;
                    (change, result)
                }),
                Step::End => return,
                Step::Wait(until) => tokio::select! {
                    Some((change, result)) = under_way.next() => self.settle(&change, result),
                    () = self.changed.notified() => {}
                    () = time(until) => {}
                },
            }
        }
    }

    fn next(&self, under_way: usize) -> Step {
        let now = Instant::now();
        let mut state = self.state();
        if state.draining && state.queue.len() == 0 && under_way == 0 {
            return Step::End;
        }
        if under_way >= CONCURRENCY {
            return Step::Wait(None);
        }
        match state.queue.first_due() {
            None => return Step::Wait(None),
            Some(due) if due > now => return Step::Wait(Some(due)),
            Some(_) => {}
        }
        match state.line.ask(now) {
            Leave::Given => {}
            Leave::At(due) => return Step::Wait(Some(due)),
            Leave::AfterProbe => return Step::Wait(None),
        }
        let first = state.queue.take(now);
        first.map_or(Step::Wait(None), Step::Make)
    }

    fn settle(&self, change: &Arc<Change>, result: Result<Made, LedgerError>) {
        let (mut state, now) = (self.state(), Instant::now());
        match result {
            Ok(made) => {
                self.answered(&mut state, now);
                state.made(change, made);
                if state.dropped && state.queue.len() <= CAPACITY / 2 {
                    state.dropped = false;
                    self.room.notify_one();
                }
            }
            Err(error) => {
                state.counts.fail(error.cause);
                if error.cause.is_shared() {
                    state.failed(change, &error, now);
                } else {
                    self.answered(&mut state, now);
                }
                // In an outage no row is worse than another, and a busy table
                // wants all of them more slowly.
                let to_blame = !state.line.is_away() && error.cause != Cause::Throttled;
                let failures = state.queue.put_back(change, to_blame, now);
                if to_blame {
                    state.tell(change, &error, failures);
                }
            }
        }
    }

    fn answered(&self, state: &mut State, now: Instant) {
        if let Some(outage) = state.line.answered(now) {
            let rows = state.queue.len();
            let seconds = outage.since.elapsed().as_secs();
            tracing::info!(seconds, rows, "the ledger is back");
            self.recovered.notify_waiters();
        }
    }

    /// Forgets everything: another operator leads, or the repair begins anew.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.queue.clear();
        state.known.clear();
        state.line.reset();
        state.swept = false;
        state.dropped = false;
        drop(state);
        self.recovered.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can happen between the steps of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves at that time, or never.
async fn time(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl State {
    fn enqueue(&mut self, change: Change, limit: usize) {
        let about = match &change {
            Change::Write(record) | Change::Mend(record) => {
                let cancelled = record.processing_status == ProcessingStatus::Cancelled;
                Some((record.uid.clone(), record.run, cancelled))
            }
            Change::Close(_) => None,
        };
        match self.queue.put(change, limit, Instant::now()) {
            Put::Full => {
                self.dropped = true;
                self.counts.dropped += 1;
            }
            Put::Queued | Put::Known => {
                if let Some((uid, run, cancelled)) = about {
                    self.known.offered(&uid, run, cancelled);
                }
            }
        }
    }

    fn made(&mut self, change: &Arc<Change>, made: Made) {
        log(change, made);
        self.counts.count(change, made);
        self.queue.done(change);
        if let Change::Write(record) | Change::Mend(record) = change.as_ref() {
            self.known.stored(&record.uid, record.run, record.revision);
        }
    }

    fn failed(&mut self, change: &Change, error: &LedgerError, now: Instant) {
        if self.line.failed(change.file_id(), error.cause, now) {
            self.counts.outages += 1;
            let (cause, rows) = (error.cause, self.queue.len());
            tracing::warn!(
                %error, %cause, rows, advice = cause.advice(),
                "the ledger is away: work goes on, and rows wait until it is back"
            );
        }
    }

    /// A refused row is told of once: no later try can end otherwise. Others
    /// are told of now and then.
    fn tell(&mut self, change: &Change, error: &LedgerError, failures: Option<u32>) {
        let file_id = change.file_id();
        let advice = error.cause.advice();
        if error.cause == Cause::Refused {
            if failures == Some(1) {
                tracing::error!(
                    file_id, %error, advice,
                    "the ledger refuses a row; it is tried again now and then"
                );
            }
            return;
        }
        let due = self.told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL);
        if due && failures >= Some(TELL_FAILURES) {
            self.told = Some(Instant::now());
            let rows = self.queue.len();
            tracing::warn!(file_id, %error, advice, rows, "a row cannot be written; it is tried again");
        }
    }
}

fn log(change: &Change, made: Made) {
    let file_id = change.file_id();
    match (made, change) {
        (Made::Superseded, _) => tracing::debug!(file_id, "the ledger row is as new already"),
        (Made::Stored, Change::Write(record)) => {
            let status = record.processing_status.as_str();
            tracing::debug!(file_id, status, "wrote a ledger row");
        }
        (Made::Stored, Change::Mend(_)) => {
            tracing::warn!(
                file_id,
                "rewrote a ledger row that somebody else had changed"
            );
        }
        (Made::Stored, Change::Close(closing)) => {
            tracing::info!(file_id, reason = closing.reason, "ended a ledger row");
        }
    }
}

#[cfg(test)]
mod tests;
