//! When a read is late enough to be asked for a second time.
//!
//! A few reads in a hundred meet a slow disk, a bad path or a stalled
//! connection, and everything behind them waits. What counts as late follows
//! from the reads before, so on a slow line all are slow and none is late.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Reads from here on are large: their time is that of the transfer.
const LARGE_BYTES: u64 = 1 << 20;

/// Reads that are remembered, of each size.
const REMEMBERED: usize = 32;

/// Fewer reads than this say nothing.
const ENOUGH: usize = 8;

/// When a read is late as long as nothing is known.
const UNKNOWN: Duration = Duration::from_secs(3);

/// No read is late before.
const AT_LEAST: Duration = Duration::from_millis(300);

/// A read is late if it takes this many times as long as nine in ten did.
const TIMES: u32 = 3;

/// Reads that earn one second request. A store that is slow as a whole must not
/// be asked twice as much.
const READS_PER_HEDGE: u32 = 20;

/// Most second requests that can be saved up, in reads.
const MOST_SAVED: u32 = 4 * READS_PER_HEDGE;

/// How reads, or writes, have gone lately.
#[derive(Debug)]
pub(super) struct Recent(Mutex<State>);

#[derive(Debug)]
struct State {
    small: VecDeque<Duration>,
    large: VecDeque<Duration>,
    /// In reads; a second request takes [`READS_PER_HEDGE`].
    saved: u32,
}

impl Recent {
    pub(super) fn new() -> Self {
        Recent(Mutex::new(State {
            small: VecDeque::new(),
            large: VecDeque::new(),
            saved: MOST_SAVED,
        }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// After which time a read of `bytes` is late.
    pub(super) fn patience(&self, bytes: u64) -> Duration {
        let usual = self.usual(bytes);
        usual.map_or(UNKNOWN, |usual| (usual * TIMES).max(AT_LEAST))
    }

    /// What nine in ten requests for `bytes` took at most, if enough is known.
    pub(super) fn usual(&self, bytes: u64) -> Option<Duration> {
        let mut times: Vec<Duration> = self.with(|state| state.of(bytes).iter().copied().collect());
        times.sort_unstable();
        (times.len() >= ENOUGH).then(|| times[times.len() * 9 / 10])
    }

    /// A request for `bytes` took so long.
    pub(super) fn took(&self, bytes: u64, time: Duration) {
        self.with(|state| {
            state.saved = (state.saved + 1).min(MOST_SAVED);
            let times = state.of(bytes);
            if times.len() == REMEMBERED {
                times.pop_front();
            }
            times.push_back(time);
        });
    }

    /// Whether a second request may be made now; if so, it counts.
    pub(super) fn spend(&self) -> bool {
        self.with(|state| match state.saved.checked_sub(READS_PER_HEDGE) {
            Some(left) => {
                state.saved = left;
                true
            }
            None => false,
        })
    }
}

impl State {
    fn of(&mut self, bytes: u64) -> &mut VecDeque<Duration> {
        if bytes < LARGE_BYTES {
            &mut self.small
        } else {
            &mut self.large
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_late_follows_from_the_reads_before() {
        let recent = Recent::new();
        assert_eq!(recent.patience(1), UNKNOWN);
        for _ in 0..ENOUGH {
            recent.took(8 << 20, 200 * MS);
            recent.took(100, 20 * MS);
        }
        assert_eq!(recent.patience(8 << 20), 600 * MS);
        assert_eq!(recent.patience(100), AT_LEAST);
        // A line that has become slow is noticed.
        for _ in 0..REMEMBERED {
            recent.took(8 << 20, 5000 * MS);
        }
        assert_eq!(recent.patience(8 << 20), 15000 * MS);
    }

    #[test]
    fn one_slow_read_changes_nothing() {
        let recent = Recent::new();
        for _ in 0..19 {
            recent.took(8 << 20, 200 * MS);
        }
        recent.took(8 << 20, 9000 * MS);
        assert_eq!(recent.patience(8 << 20), 600 * MS);
    }

    #[test]
    fn second_requests_are_a_small_part_of_all() {
        let recent = Recent::new();
        let mut hedges = 0;
        for _ in 0..1000 {
            hedges += u32::from(recent.spend());
            recent.took(1, MS);
        }
        assert!((50..=60).contains(&hedges), "{hedges}");
    }
}
