//! Whether the ledger is asked at all. When row after row fails for a reason
//! that the others share, asking for each of them is no use: one row at a time
//! is tried, until one gets an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Cause;
use crate::backoff::Backoff;

/// Rows that fail in a row, with no answer between them, before the ledger
/// counts as away. Fewer have their own backoff, and slow no other down.
const THRESHOLD: usize = 5;

/// Between two tries while it is away. The cap is what the ledger may be back
/// for without being noticed.
const PROBE_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(15),
};

/// The same when the process is about to stop.
const HURRIED: Duration = Duration::from_millis(500);

/// The breaker.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Rows that have failed since the last answer.
    failed: BTreeSet<String>,
    open: Option<Open>,
    hurried: bool,
}

#[derive(Debug)]
struct Open {
    outage: Outage,
    /// Tries since.
    probes: u32,
    /// When the next is due; `None` while one is under way.
    probe_at: Option<Instant>,
}

/// A time in which the ledger is not asked but for one row at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When it began.
    pub since: Instant,
    /// Why.
    pub cause: Cause,
}

/// Whether a request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It may.
    Given,
    /// Not before this time, unless the breaker closes.
    At(Instant),
    /// Not before the try under way has ended.
    AfterProbe,
}

impl Breaker {
    /// Whether a request may be made now. Of an open breaker it is the one that
    /// tries.
    pub fn ask(&mut self, now: Instant) -> Leave {
        let Some(open) = &mut self.open else {
            return Leave::Given;
        };
        match open.probe_at {
            Some(due) if due <= now => {
                open.probe_at = None;
                Leave::Given
            }
            Some(due) => Leave::At(due),
            None => Leave::AfterProbe,
        }
    }

    /// The ledger has answered. Returns the outage that this ends.
    pub fn answered(&mut self) -> Option<Outage> {
        self.failed.clear();
        self.open.take().map(|open| open.outage)
    }

    /// A request about the row `file_id` has failed for a shared cause. Returns
    /// whether an outage begins with it.
    pub fn failed(&mut self, file_id: &str, cause: Cause, now: Instant) -> bool {
        if let Some(open) = &mut self.open {
            // Others that were under way when it opened tell nothing new.
            if open.probe_at.is_none() {
                open.probes = open.probes.saturating_add(1);
                open.outage.cause = cause;
                open.probe_at = Some(now + delay(open.probes, self.hurried));
            }
            return false;
        }
        self.failed.insert(file_id.to_owned());
        if self.failed.len() < THRESHOLD {
            return false;
        }
        self.open = Some(Open {
            outage: Outage { since: now, cause },
            probes: 1,
            probe_at: Some(now + delay(1, self.hurried)),
        });
        true
    }

    /// The present outage.
    pub fn outage(&self) -> Option<Outage> {
        self.open.as_ref().map(|open| open.outage)
    }

    /// From now on there is little time left.
    pub fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        if let Some(due) = self.open.as_mut().and_then(|open| open.probe_at.as_mut()) {
            *due = now;
        }
    }
}

fn delay(probes: u32, hurried: bool) -> Duration {
    let delay = PROBE_BACKOFF.delay(probes);
    if hurried { delay.min(HURRIED) } else { delay }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for row in 1..=THRESHOLD {
            assert_eq!(breaker.outage(), None);
            let opens = breaker.failed(&row.to_string(), Cause::Unreachable, now);
            assert_eq!(opens, row == THRESHOLD);
        }
        breaker
    }

    #[test]
    fn one_row_that_fails_for_ever_is_no_outage() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..100 {
            assert!(!breaker.failed("1", Cause::Unavailable, now));
        }
        assert_eq!(breaker.ask(now), Leave::Given);
    }

    #[test]
    fn an_answer_between_failures_says_that_the_ledger_is_there() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for row in 0..100 {
            assert!(!breaker.failed(&row.to_string(), Cause::Throttled, now));
            if row % 4 == 3 {
                assert_eq!(breaker.answered(), None);
            }
        }
    }

    #[test]
    fn an_open_breaker_lets_one_request_through_at_a_time_and_ever_more_rarely() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let (mut now, mut probes) = (start, 0);
        while now < start + Duration::from_secs(3600) {
            let Leave::At(due) = breaker.ask(now) else {
                panic!("a probe is not due yet");
            };
            now = due;
            assert_eq!(breaker.ask(now), Leave::Given);
            assert_eq!(breaker.ask(now), Leave::AfterProbe);
            // A straggler changes nothing.
            breaker.failed("probe", Cause::Unreachable, now);
            breaker.failed("straggler", Cause::Unreachable, now);
            probes += 1;
        }
        assert!((240..600).contains(&probes), "{probes} probes in an hour");
        assert_eq!(breaker.outage().map(|outage| outage.since), Some(start));
    }

    #[test]
    fn any_answer_closes_it_and_tells_how_long_that_was() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_ne!(breaker.ask(now), Leave::Given);
        let outage = breaker.answered().expect("there was one");
        assert_eq!((outage.since, outage.cause), (now, Cause::Unreachable));
        assert_eq!(breaker.ask(now), Leave::Given);
        // It takes as many failures as before to open again.
        assert!(!breaker.failed("1", Cause::Unreachable, now));
    }

    #[test]
    fn before_a_stop_it_is_tried_at_once_and_then_every_half_second() {
        let now = Instant::now();
        let mut breaker = opened(now);
        for _ in 0..10 {
            if let Leave::At(due) = breaker.ask(now) {
                breaker.ask(due);
            }
            breaker.failed("1", Cause::Unreachable, now);
        }
        breaker.hurry(now);
        assert_eq!(breaker.ask(now), Leave::Given);
        breaker.failed("1", Cause::Unreachable, now);
        let Leave::At(due) = breaker.ask(now) else {
            panic!("a probe is not due yet");
        };
        assert!(due <= now + HURRIED);
    }
}
