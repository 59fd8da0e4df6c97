//! How fast the ledger is asked: a token bucket whose rate follows what the
//! table bears. Requests are given times, in the order in which they ask, so
//! that the repair and the writes share it fairly.

use std::time::Duration;

use tokio::time::Instant;

/// The rate never sinks below this: one request a second hurts no table, and
/// tells when it bears more.
const SLOWEST: f64 = 1.0;

/// What is left of the rate after an answer that it is too high.
const SLOWDOWN: f64 = 0.5;

/// How the rate grows back, once each [`STEP`] in which nothing was throttled.
const GROWTH: f64 = 1.5;

/// Shortest time between two changes of the rate: answers to what was sent
/// together are one piece of news.
const STEP: Duration = Duration::from_secs(1);

/// What the ledger may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests per second in the long run, from 1.
    pub per_second: u32,
    /// Requests that may come at once after a rest, from 1.
    pub burst: u32,
}

impl Default for Allowance {
    /// What a table in on-demand mode bears from its first minute on, four
    /// times over: a row of 1 KB in the table and in three indexes takes up to
    /// ten write units.
    fn default() -> Self {
        Allowance {
            per_second: 200,
            burst: 400,
        }
    }
}

/// The bucket.
#[derive(Debug)]
pub struct Pace {
    limit: f64,
    rate: f64,
    /// What a full bucket is worth, as time at the present rate.
    credit: Duration,
    /// When the bucket will be full again.
    full_at: Instant,
    changed_at: Instant,
}

impl Pace {
    /// A full bucket.
    pub fn new(allowance: Allowance, now: Instant) -> Self {
        let limit = f64::from(allowance.per_second.max(1));
        let burst = f64::from(allowance.burst.max(1));
        Pace {
            limit,
            rate: limit,
            credit: Duration::from_secs_f64(burst / limit),
            full_at: now,
            changed_at: now,
        }
    }

    /// When the next `requests` may be made; they are taken from the bucket.
    pub fn reserve(&mut self, requests: u32, now: Instant) -> Instant {
        let cost = Duration::from_secs_f64(f64::from(requests) / self.rate);
        self.full_at = self.full_at.max(now) + cost;
        // A burst of one request at a time still lets one through.
        let credit = self.credit.max(cost);
        self.full_at
            .checked_sub(credit)
            .map_or(now, |due| due.max(now))
    }

    /// The table says that it is asked too fast.
    pub fn throttled(&mut self, now: Instant) {
        if self.rate < self.limit && now < self.changed_at + STEP {
            return;
        }
        self.rate = (self.rate * SLOWDOWN).max(SLOWEST.min(self.limit));
        // Nothing was saved up: the table has no more to give.
        self.full_at = self.full_at.max(now + self.credit);
        self.changed_at = now;
    }

    /// The table bears it.
    pub fn borne(&mut self, now: Instant) {
        if self.rate < self.limit && now >= self.changed_at + STEP {
            self.rate = (self.rate * GROWTH).min(self.limit);
            self.changed_at = now;
        }
    }

    /// Whether it cannot be slower.
    pub fn is_slowest(&self) -> bool {
        self.rate <= SLOWEST
    }

    /// Requests per second at present.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(per_second: u32, burst: u32, now: Instant) -> Pace {
        Pace::new(Allowance { per_second, burst }, now)
    }

    /// Requests that may be made until `end`.
    fn until(pace: &mut Pace, mut now: Instant, end: Instant) -> u32 {
        let mut requests = 0;
        loop {
            now = pace.reserve(1, now);
            if now >= end {
                return requests;
            }
            requests += 1;
        }
    }

    #[test]
    fn after_a_rest_a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let mut pace = pace(100, 50, now);
        for _ in 0..50 {
            assert_eq!(pace.reserve(1, now), now);
        }
        assert_eq!(pace.reserve(1, now), now + SECOND / 100);
        let made = until(&mut pace, now + SECOND, now + SECOND * 11);
        // What the second of rest has given back, and the rate.
        assert!((1040..=1060).contains(&made), "{made} requests in 10 s");
    }

    #[test]
    fn whoever_asks_for_much_waits_for_it_and_holds_up_the_next_by_no_more() {
        let now = Instant::now();
        let mut pace = pace(10, 1, now);
        assert_eq!(pace.reserve(1, now), now);
        assert_eq!(pace.reserve(10, now), now + SECOND / 10);
        assert_eq!(pace.reserve(1, now), now + SECOND * 11 / 10);
    }

    #[test]
    fn a_table_that_is_asked_too_fast_is_given_time_and_then_ever_less() {
        let start = Instant::now();
        let mut pace = pace(200, 400, start);
        let mut rates = Vec::new();
        for second in 1..10 {
            let now = start + SECOND * second;
            // Answers to what was sent together.
            for _ in 0..32 {
                pace.throttled(now);
            }
            rates.push(pace.rate());
        }
        assert_eq!(
            rates,
            [100.0, 50.0, 25.0, 12.5, 6.25, 3.125, 1.5625, 1.0, 1.0]
        );
        assert!(pace.is_slowest());
        // The burst is gone too.
        let now = start + SECOND * 9;
        let made = until(&mut pace, now, now + SECOND * 10);
        assert!(made <= 11, "{made} requests in 10 s");
    }

    #[test]
    fn the_full_rate_is_back_within_fifteen_seconds() {
        let start = Instant::now();
        let mut pace = pace(200, 400, start);
        for second in 1..10 {
            pace.throttled(start + SECOND * second);
        }
        for second in 10..25 {
            pace.borne(start + SECOND * second);
        }
        assert!(
            (pace.rate() - 200.0).abs() < f64::EPSILON,
            "{}",
            pace.rate()
        );
    }
}
