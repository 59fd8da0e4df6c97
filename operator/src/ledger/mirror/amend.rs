//! The side of the mirror that the repair sees: leave to read, and what is made
//! of what it finds.

use etl_core::ledger::{Closing, LedgerRecord};
use tokio::time::{Instant, sleep_until};

use super::{CAPACITY, Mirror};
use crate::ledger::{Cause, Change, Finding, LedgerError};

impl Mirror {
    /// Waits until `requests` may be made beside the writes. Nothing is asked of
    /// a ledger that is away: the writes find out when it is back.
    pub(in crate::ledger) async fn admitted(&self, requests: u32) {
        loop {
            let recovered = self.recovered.notified();
            let mut recovered = std::pin::pin!(recovered);
            recovered.as_mut().enable();
            let slot = self.state().line.reserve(requests, Instant::now());
            match slot {
                Some(slot) => return sleep_until(slot).await,
                None => recovered.await,
            }
        }
    }

    /// Takes notice of how a request of the repair ended. Whether the ledger is
    /// away is for the writes to tell: reading takes rights of its own.
    pub(in crate::ledger) fn read_ended(&self, answer: Result<(), &LedgerError>) {
        let mut state = self.state();
        let cause = answer.err().map(|error| error.cause);
        if let Some(cause) = cause {
            state.counts.fail(cause);
        }
        state.line.paced(cause, Instant::now());
    }

    /// The table was too busy to read all that was asked for.
    pub(in crate::ledger) fn slow_down(&self) {
        let now = Instant::now();
        self.state().line.paced(Some(Cause::Throttled), now);
    }

    /// Does what a look at the row of `record` calls for.
    pub(in crate::ledger) fn found(&self, record: LedgerRecord, finding: Finding) {
        let mut state = self.state();
        let LedgerRecord { uid, run, .. } = &record;
        match finding {
            Finding::Same | Finding::Newer => state.known.holds(uid, *run, record.revision),
            Finding::Unread => {}
            Finding::Missing | Finding::Older => {
                state.known.doubt(uid, *run);
                if state.known.is_news(&record) {
                    state.enqueue(Change::Write(record), CAPACITY);
                }
            }
            Finding::Damaged => {
                state.known.doubt(uid, *run);
                if state.known.is_news(&record) {
                    state.enqueue(Change::Mend(record), CAPACITY);
                }
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Asks for a row to be ended.
    pub(in crate::ledger) fn close(&self, closing: Closing) {
        self.state().enqueue(Change::Close(closing), CAPACITY);
        self.changed.notify_one();
    }

    /// All rows were compared, or never will be in this term: from now on
    /// `assure` sees to its records itself.
    pub(in crate::ledger) fn swept(&self) {
        self.state().swept = true;
    }

    /// Counts a sweep.
    pub(in crate::ledger) fn count_sweep(&self, finished: bool) {
        let counts = &mut self.state().counts;
        if finished {
            counts.sweeps += 1;
        } else {
            counts.sweeps_failed += 1;
        }
    }

    /// Resolves when rows were dropped and there is room for them again.
    pub(in crate::ledger) async fn room(&self) {
        self.room.notified().await;
    }
}
