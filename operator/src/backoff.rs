//! Delays between tries of what lives in memory only: API calls and ledger
//! writes. An attempt's own backoff is data in its status and computed in
//! `etl-core`.

use std::time::Duration;

/// A delay that doubles with each failure in a row, from `first` up to `cap`,
/// of which the upper half is drawn, so that many who failed together do not
/// come back together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// Delay after `failures` failures in a row, from 1.
    pub fn delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1 << doublings).min(self.cap);
        full.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_grows_up_to_its_cap_and_never_below_half_of_it() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        };
        for (failures, full) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            let delay = backoff.delay(failures);
            let full = Duration::from_secs(full);
            assert!(delay <= full && delay >= full / 2, "{failures}: {delay:?}");
        }
    }
}
