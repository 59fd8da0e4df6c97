//! How much is asked of the API server: so many requests a second, the more
//! urgent first, and none at all while it says that it is overloaded.
//!
//! Watches, lists and the lease are not held back: they are few, and without
//! them everything else is worthless.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::metrics::ApiMetrics;

/// Pauses of a server that names no time itself, by how often in a row it was
/// overloaded.
const PAUSE: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

/// Failures in a row, of whatever requests, after which the server itself and
/// not what was asked of it is taken for the cause.
const FAILURES: u32 = 5;

/// Longest pause that a server may ask for: what is due must not wait for a
/// number that somebody has mistyped.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Shortest pause: a server that says 0 is overloaded all the same.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the one request after a pause may be without an answer before
/// another is let through.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is let through first when not all can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Status writes and deletions: they bring to an end what was begun.
    Finish,
    /// Reads of a pass that has begun.
    Look,
    /// New work.
    Create,
    /// Events for people.
    Tell,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Priority; 4] = [
        Priority::Finish,
        Priority::Look,
        Priority::Create,
        Priority::Tell,
    ];

    /// As it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Priority::Finish => "finish",
            Priority::Look => "look",
            Priority::Create => "create",
            Priority::Tell => "tell",
        }
    }
}

/// How much may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Requests a second, over time.
    pub per_second: f64,
    /// Requests at once, after a quiet time.
    pub burst: u32,
}

/// What an answer says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It answers, be it with a refusal.
    Fine,
    /// It asks for fewer requests, and perhaps for how long.
    Overloaded(Option<Duration>),
    /// It failed, or did not answer.
    Failing,
    /// Nothing: one request failed, of which something else may be the cause.
    Untold,
}

/// The budget of the process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    allowance: Allowance,
    metrics: ApiMetrics,
    state: Mutex<State>,
    /// Somebody else may be first by now, or the gate is open again.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    refilled: Instant,
    /// Those that wait, the first to go first.
    waiting: BTreeSet<Ticket>,
    tickets: u64,
    gate: Gate,
    /// Times in a row that the gate was closed.
    pauses: u32,
    /// Failures in a row.
    failures: u32,
}

type Ticket = (Priority, u64);

/// Whether the server is asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Until then nothing; afterwards one request, whose answer decides.
    Closed(Instant),
    /// That request is under way. Without an answer by then, another is let
    /// through.
    Trying(Instant),
}

impl Budget {
    /// A full budget.
    pub fn new(allowance: Allowance, metrics: ApiMetrics) -> Self {
        Budget(Arc::new(Shared {
            allowance,
            metrics,
            state: Mutex::new(State {
                tokens: f64::from(allowance.burst),
                refilled: Instant::now(),
                waiting: BTreeSet::new(),
                tickets: 0,
                gate: Gate::Open,
                pauses: 0,
                failures: 0,
            }),
            changed: Notify::new(),
        }))
    }

    /// Waits until a request of this priority may be made.
    ///
    /// # Guarantees
    /// Of two that wait, the more urgent goes first; of one priority, the one
    /// that came first. One that is dropped gives its place up.
    pub async fn admit(&self, priority: Priority) {
        let begun = Instant::now();
        let place = Place::taken(self, priority);
        loop {
            // Before the look, so that no change after it is missed.
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let again = match self.state().take(place.ticket, self.0.allowance) {
                Turn::Granted => break,
                Turn::At(instant) => Some(instant),
                Turn::AfterOthers => None,
            };
            match again {
                Some(instant) => tokio::select! {
                    () = sleep_until(instant) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
        self.0.metrics.waited(priority, begun.elapsed());
    }

    /// An answer, or the lack of one, was seen.
    pub fn learn(&self, standing: Standing) {
        let mut state = self.state();
        let changed = match standing {
            Standing::Fine => state.fine(),
            Standing::Overloaded(after) => state.pause(after),
            Standing::Failing => state.failing(),
            Standing::Untold => false,
        };
        if changed && state.gate != Gate::Open {
            self.0.metrics.paused();
        }
        drop(state);
        if changed {
            self.0.changed.notify_waiters();
        }
    }

    /// Requests that could be made at once.
    #[cfg(test)]
    pub fn left(&self) -> f64 {
        self.state().tokens
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can happen between the steps of a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is a request's turn.
enum Turn {
    Granted,
    /// Not before then.
    At(Instant),
    /// Others go first.
    AfterOthers,
}

impl State {
    fn take(&mut self, ticket: Ticket, allowance: Allowance) -> Turn {
        let now = Instant::now();
        self.refill(now, allowance);
        if self.waiting.first() != Some(&ticket) {
            return Turn::AfterOthers;
        }
        match self.gate {
            Gate::Open => {}
            Gate::Closed(until) | Gate::Trying(until) if until > now => return Turn::At(until),
            Gate::Closed(_) | Gate::Trying(_) => {
                // The others wait for what becomes of this one.
                self.gate = Gate::Trying(now + PATIENCE);
                self.waiting.remove(&ticket);
                return Turn::Granted;
            }
        }
        if self.tokens < 1.0 {
            let missing = (1.0 - self.tokens) / allowance.per_second;
            return Turn::At(now + Duration::from_secs_f64(missing));
        }
        self.tokens -= 1.0;
        self.waiting.remove(&ticket);
        Turn::Granted
    }

    fn refill(&mut self, now: Instant, allowance: Allowance) {
        let elapsed = now.duration_since(self.refilled).as_secs_f64();
        let full = f64::from(allowance.burst);
        self.tokens = (self.tokens + elapsed * allowance.per_second).min(full);
        self.refilled = now;
    }

    /// Each tells whether the gate has moved.
    fn fine(&mut self) -> bool {
        self.failures = 0;
        match self.gate {
            Gate::Open => return false,
            // An answer to what was sent before the pause says nothing.
            Gate::Closed(until) if until > Instant::now() => return false,
            Gate::Closed(_) | Gate::Trying(_) => {}
        }
        self.pauses = 0;
        self.gate = Gate::Open;
        true
    }

    fn failing(&mut self) -> bool {
        self.failures += 1;
        let trying = matches!(self.gate, Gate::Trying(_));
        (trying || self.failures >= FAILURES) && self.pause(None)
    }

    fn pause(&mut self, after: Option<Duration>) -> bool {
        let now = Instant::now();
        let closed = match self.gate {
            // Of many that were under way only the first counts.
            Gate::Closed(until) if until > now => Some(until),
            Gate::Open | Gate::Closed(_) | Gate::Trying(_) => None,
        };
        if closed.is_none() {
            self.pauses = self.pauses.saturating_add(1);
        }
        let pause = after.map_or_else(
            || PAUSE.delay(self.pauses),
            |after| after.clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
        );
        self.gate = Gate::Closed(closed.map_or(now + pause, |until| until.max(now + pause)));
        self.failures = 0;
        // What was saved up is not for the moment after.
        self.tokens = self.tokens.min(1.0);
        closed.is_none()
    }
}

/// A place among those that wait, until it is dropped.
struct Place<'a> {
    budget: &'a Budget,
    ticket: Ticket,
}

impl<'a> Place<'a> {
    fn taken(budget: &'a Budget, priority: Priority) -> Self {
        let mut state = budget.state();
        state.tickets += 1;
        let ticket = (priority, state.tickets);
        state.waiting.insert(ticket);
        budget.0.metrics.waiting.inc();
        Place { budget, ticket }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.waiting.remove(&self.ticket);
        let others = !state.waiting.is_empty();
        drop(state);
        self.budget.0.metrics.waiting.dec();
        if others {
            self.budget.0.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
