//! The one clock of the process.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall time at the start of the process plus monotonic time since: a step of
/// the wall clock neither fires nor delays a retry.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Timestamp,
    origin: Instant,
}

impl Clock {
    /// A clock that agrees with the wall clock now.
    pub fn start() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `start` now.
    pub fn starting_at(start: Timestamp) -> Self {
        Clock {
            start,
            origin: Instant::now(),
        }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        let elapsed =
            SignedDuration::try_from(self.origin.elapsed()).unwrap_or(SignedDuration::MAX);
        self.start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_clock_goes_with_monotonic_time() {
        let start: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let clock = Clock::starting_at(start);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now().to_string(), "2026-11-24T00:01:30Z");
    }
}
