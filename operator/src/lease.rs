//! Which of several operators works: the holder of a Lease, as client-go's
//! leader election understands it. The others keep their caches warm.
//!
//! The lease saves writes, it makes nothing correct: two operators at once
//! are kept apart by resource versions, uids, names and revisions. What it
//! does promise is that nothing is begun in the name of a lease that may
//! already belong to another: it expires by the local monotonic clock,
//! counted from before the request that renewed it.

pub mod elector;
pub mod gate;
pub mod kube;
mod record;

use std::time::Duration;

use futures::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a lease that nobody renews keeps others away. The values are those
/// of client-go.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long a holder works without a renewal; shorter than what the others
/// wait, by the time that a request under way may take.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Whether this process may work, as all its parts see it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<Term>);

/// A stretch of time in which this process leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Term {
    /// Grows whenever leading begins anew.
    number: u64,
    /// When it ends unless it is renewed; `None` is never.
    until: Option<Instant>,
    /// Whether there is one.
    held: bool,
}

impl Leadership {
    /// That of a process that has no rivals.
    pub fn sole() -> Self {
        let term = Term {
            number: 1,
            until: None,
            held: true,
        };
        // A receiver keeps its value when the sender is gone.
        Leadership(watch::channel(term).1)
    }

    /// That of a process that has rivals, and the side that tells it.
    pub(crate) fn contested() -> (Crown, Leadership) {
        let (sender, receiver) = watch::channel(Term::default());
        (Crown(sender), Leadership(receiver))
    }

    /// Whether a request may begin now.
    pub fn holds(&self) -> bool {
        self.0.borrow().holds(Instant::now())
    }

    /// Something for each time that leading begins. What was skipped before
    /// has to be looked at then.
    pub fn beginnings(&self) -> impl Stream<Item = ()> + Send + use<> {
        let receiver = self.0.clone();
        futures::stream::unfold((receiver, 0), |(mut receiver, seen)| async move {
            let term = receiver.wait_for(|term| term.held && term.number > seen);
            let number = term.await.ok()?.number;
            Some(((), (receiver, number)))
        })
    }
}

impl Term {
    fn holds(&self, now: Instant) -> bool {
        self.held && self.until.is_none_or(|until| now < until)
    }
}

/// The side that says so.
#[derive(Debug)]
pub(crate) struct Crown(watch::Sender<Term>);

impl Crown {
    /// Leads until `until`; tells whether that is a beginning.
    pub(crate) fn hold(&self, until: Instant) -> bool {
        let mut begins = false;
        self.0.send_modify(|term| {
            // After a gap something may have been skipped.
            begins = !term.holds(Instant::now());
            *term = Term {
                number: term.number + u64::from(begins),
                until: Some(until),
                held: true,
            };
        });
        begins
    }

    /// Leads no more; tells whether it did.
    pub(crate) fn lose(&self) -> bool {
        let mut held = false;
        self.0.send_modify(|term| {
            held = term.held;
            term.held = false;
        });
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    #[tokio::test(start_paused = true)]
    async fn a_term_ends_by_the_local_clock_alone() {
        let (crown, leadership) = Leadership::contested();
        assert!(!leadership.holds());
        assert!(crown.hold(Instant::now() + RENEW_DEADLINE));
        assert!(leadership.holds());
        tokio::time::advance(RENEW_DEADLINE - Duration::from_millis(1)).await;
        assert!(leadership.holds());
        assert!(!crown.hold(Instant::now() + RENEW_DEADLINE));
        tokio::time::advance(RENEW_DEADLINE).await;
        assert!(!leadership.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_skipped_in_a_gap_is_looked_at_again() {
        let (crown, leadership) = Leadership::contested();
        let mut beginnings = std::pin::pin!(leadership.beginnings());
        assert_eq!(beginnings.next().now_or_never(), None);
        crown.hold(Instant::now() + RENEW_DEADLINE);
        assert_eq!(beginnings.next().now_or_never(), Some(Some(())));
        // A renewal in time is no beginning.
        crown.hold(Instant::now() + RENEW_DEADLINE);
        assert_eq!(beginnings.next().now_or_never(), None);
        tokio::time::advance(RENEW_DEADLINE).await;
        crown.hold(Instant::now() + RENEW_DEADLINE);
        assert_eq!(beginnings.next().now_or_never(), Some(Some(())));
        assert!(crown.lose());
        assert!(!crown.lose());
        assert!(!leadership.holds());
    }

    #[tokio::test]
    async fn without_rivals_leading_begins_once_and_never_ends() {
        let leadership = Leadership::sole();
        assert!(leadership.holds());
        let mut beginnings = std::pin::pin!(leadership.beginnings());
        assert_eq!(beginnings.next().await, Some(()));
    }
}
