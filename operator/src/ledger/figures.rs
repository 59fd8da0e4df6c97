//! How the ledger follows, in numbers.

use std::time::Duration;

use super::{Cause, Change, Made};

/// A look at the mirror. Counters count from the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Rows that are behind, those under way included.
    pub backlog: usize,
    /// For how long the first of them is.
    pub lag: Duration,
    /// Requests per second that the ledger is given at present.
    pub rate: f64,
    /// Why the ledger is away, if it is.
    pub outage: Option<Cause>,
    /// What was counted.
    pub counts: Counts,
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were written.
    pub stored: u64,
    /// Rows that turned out to be as new already.
    pub superseded: u64,
    /// Damaged rows that were rewritten.
    pub mended: u64,
    /// Rows in progress that were ended because their runs have no future.
    pub closed: u64,
    /// Rows that found no room in the queue; the repair finds them again.
    pub dropped: u64,
    /// Outages.
    pub outages: u64,
    /// Comparisons of all rows that were finished.
    pub sweeps: u64,
    /// Those that were given up, to be begun again.
    pub sweeps_failed: u64,
    failed: [u64; Cause::ALL.len()],
}

impl Counts {
    /// Requests that failed for `cause`.
    pub fn failed(&self, cause: Cause) -> u64 {
        self.failed[cause as usize]
    }

    /// Counts a request that failed.
    pub fn fail(&mut self, cause: Cause) {
        self.failed[cause as usize] += 1;
    }

    /// Counts a change that was made.
    pub fn count(&mut self, change: &Change, made: Made) {
        let counter = match (made, change) {
            (Made::Superseded, _) => &mut self.superseded,
            (Made::Stored, Change::Write(_)) => &mut self.stored,
            (Made::Stored, Change::Mend(_)) => &mut self.mended,
            (Made::Stored, Change::Close(_)) => &mut self.closed,
        };
        *counter += 1;
    }
}
