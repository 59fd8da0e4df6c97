//! The time that decisions are made on.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Wall time at the start plus what has passed since: a clock that is set while
/// a job runs moves no deadline.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock {
            wall: Timestamp::now(),
            start: Instant::now(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.start.elapsed());
        self.wall + passed.unwrap_or(SignedDuration::MAX)
    }

    /// How long it is until `time`; nothing if it has passed.
    pub fn until(&self, time: Timestamp) -> Duration {
        time.duration_since(self.now())
            .try_into()
            .unwrap_or(Duration::ZERO)
    }
}
