//! The line to the ledger: when it may be asked, and what its answers mean for
//! the next request.

use tokio::time::Instant;

use super::Cause;
use super::breaker::{Breaker, Leave, Outage};
use super::pace::{Allowance, Pace};

/// The line.
#[derive(Debug)]
pub struct Line {
    pace: Pace,
    breaker: Breaker,
    /// When the next write may be made, if that was settled.
    slot: Option<Instant>,
}

impl Line {
    /// A line on which nothing was asked yet.
    pub fn new(allowance: Allowance) -> Self {
        Line {
            pace: Pace::new(allowance, Instant::now()),
            breaker: Breaker::default(),
            slot: None,
        }
    }

    /// Whether a write may be made now. If so it has to be: it may be the one
    /// that tries a ledger that is away.
    pub fn ask(&mut self, now: Instant) -> Leave {
        let slot = match self.slot {
            Some(slot) => slot,
            None => self.pace.reserve(1, now),
        };
        self.slot = Some(slot);
        if slot > now {
            return Leave::At(slot);
        }
        let leave = self.breaker.ask(now);
        if leave == Leave::Given {
            self.slot = None;
        }
        leave
    }

    /// When `requests` may be made beside the writes; `None` while the ledger is
    /// away.
    pub fn reserve(&mut self, requests: u32, now: Instant) -> Option<Instant> {
        (!self.is_away()).then(|| self.pace.reserve(requests, now))
    }

    /// There was an answer to a write, if only that the row is invalid. Returns
    /// the outage that this ends.
    pub fn answered(&mut self, now: Instant) -> Option<Outage> {
        self.pace.borne(now);
        self.breaker.answered()
    }

    /// A write to the row `file_id` has failed for a shared cause. Returns
    /// whether an outage begins with it.
    pub fn failed(&mut self, file_id: &str, cause: Cause, now: Instant) -> bool {
        // To ask more slowly may be all it takes.
        let patient = cause == Cause::Throttled && !self.pace.is_slowest();
        self.paced(Some(cause), now);
        (self.is_away() || !patient) && self.breaker.failed(file_id, cause, now)
    }

    /// A read has ended, well or for `cause`. It says nothing about whether the
    /// ledger is away: reading takes rights of its own.
    pub fn paced(&mut self, cause: Option<Cause>, now: Instant) {
        match cause {
            None => self.pace.borne(now),
            Some(Cause::Throttled) => self.pace.throttled(now),
            Some(_) => {}
        }
    }

    /// Whether the ledger is away.
    pub fn is_away(&self) -> bool {
        self.outage().is_some()
    }

    /// The present outage.
    pub fn outage(&self) -> Option<Outage> {
        self.breaker.outage()
    }

    /// Requests per second at present.
    pub fn rate(&self) -> f64 {
        self.pace.rate()
    }

    /// From now on there is little time left.
    pub fn hurry(&mut self, now: Instant) {
        self.breaker.hurry(now);
    }

    /// Forgets what failed.
    pub fn reset(&mut self) {
        self.breaker.answered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_busy_table_counts_as_away_only_when_asking_slowly_does_not_help() {
        let start = Instant::now();
        let mut line = Line::new(Allowance::default());
        for row in 0..1000_u64 {
            let now = start + Duration::from_millis(row * 20);
            assert_eq!(line.is_away(), line.outage().is_some());
            if line.failed(&row.to_string(), Cause::Throttled, now) {
                assert!(line.rate() <= 1.0, "given up at {} a second", line.rate());
                return;
            }
        }
        panic!("a table that never answers is away");
    }

    #[test]
    fn reads_wait_for_a_ledger_that_is_away_and_writes_try_it() {
        let now = Instant::now();
        let mut line = Line::new(Allowance::default());
        assert_eq!(line.reserve(10, now), Some(now));
        for row in 0..5 {
            line.failed(&row.to_string(), Cause::Denied, now);
        }
        assert_eq!(line.reserve(10, now), None);
        let Leave::At(probe) = line.ask(now) else {
            panic!("a try is due some time");
        };
        assert_eq!(line.ask(probe), Leave::Given);
        assert_eq!(line.ask(probe), Leave::AfterProbe);
        assert!(line.answered(probe).is_some());
        assert_eq!(line.ask(probe), Leave::Given);
    }
}
