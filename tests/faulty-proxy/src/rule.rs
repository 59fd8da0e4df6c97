//! Which requests and events go wrong, and how a test follows them.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::call::Call;

type Condition<S> = Arc<dyn Fn(&S) -> bool + Send + Sync>;

/// Conditions on a request or an event, all of which must hold.
pub struct Match<S>(Vec<Condition<S>>);

impl<S> Clone for Match<S> {
    fn clone(&self) -> Self {
        Match(self.0.clone())
    }
}

impl<S> fmt::Debug for Match<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Match({} conditions)", self.0.len())
    }
}

impl<S> Match<S> {
    /// Every one.
    #[must_use]
    pub fn any() -> Self {
        Match(Vec::new())
    }

    /// Those for which `condition` holds.
    #[must_use]
    pub fn when(condition: impl Fn(&S) -> bool + Send + Sync + 'static) -> Self {
        Match::any().and(condition)
    }

    /// Of these, those for which `condition` holds too.
    #[must_use]
    pub fn and(mut self, condition: impl Fn(&S) -> bool + Send + Sync + 'static) -> Self {
        self.0.push(Arc::new(condition));
        self
    }

    /// Whether all conditions hold.
    #[must_use]
    pub fn holds(&self, subject: &S) -> bool {
        self.0.iter().all(|condition| condition(subject))
    }

    /// The next one goes wrong.
    #[must_use]
    pub fn once<F>(self, fault: F) -> Rule<S, F> {
        self.times(1, fault)
    }

    /// The next `count` go wrong.
    #[must_use]
    pub fn times<F>(self, count: u64, fault: F) -> Rule<S, F> {
        Rule {
            matching: self,
            skip: 0,
            count,
            share: None,
            fault,
            seen: 0,
        }
    }

    /// All of them go wrong.
    #[must_use]
    pub fn always<F>(self, fault: F) -> Rule<S, F> {
        self.times(u64::MAX, fault)
    }
}

impl Match<Call> {
    /// Requests with this method.
    #[must_use]
    pub fn method(method: &'static str) -> Self {
        Match::when(move |call: &Call| call.method == method)
    }

    /// Requests whose path begins so.
    #[must_use]
    pub fn path(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Match::when(move |call: &Call| call.path.starts_with(&prefix))
    }

    /// Of these, those from `peer`.
    #[must_use]
    pub fn from(self, peer: IpAddr) -> Self {
        self.and(move |call| call.peer == peer)
    }

    /// Of these, those whose body contains `text`.
    #[must_use]
    pub fn body_contains(self, text: impl Into<String>) -> Self {
        let text = text.into().into_bytes();
        self.and(move |call| call.body.windows(text.len()).any(|part| part == text))
    }

    /// Of these, those that ask a Kubernetes API server for `verb` on `resource`,
    /// such as `update` on `etljobs/status`.
    #[must_use]
    pub fn kubernetes(verb: &'static str, resource: &'static str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Match::when(move |call: &Call| {
            call.asked().is_some_and(|asked| {
                asked.verb == verb && asked.resource == resource && asked.subresource == subresource
            })
        })
    }

    /// Requests of the AWS JSON protocol for one operation, such as `UpdateItem`.
    #[must_use]
    pub fn operation(name: &'static str) -> Self {
        Match::when(move |call: &Call| call.operation() == Some(name))
    }
}

/// Which of the requests or events that match go wrong, and how.
#[derive(Debug, Clone)]
pub struct Rule<S, F> {
    matching: Match<S>,
    skip: u64,
    count: u64,
    share: Option<(u8, fastrand::Rng)>,
    fault: F,
    seen: u64,
}

impl<S, F> Rule<S, F> {
    /// The first `skip` that match are left alone.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Of those that would go wrong, only so many in a hundred do. The same seed
    /// draws the same ones.
    #[must_use]
    pub fn share(mut self, percent: u8, seed: u64) -> Self {
        self.share = Some((percent, fastrand::Rng::with_seed(seed)));
        self
    }

    fn strikes(&mut self, subject: &S) -> bool {
        if !self.matching.holds(subject) {
            return false;
        }
        let place = self.seen;
        self.seen += 1;
        let Some(place) = place.checked_sub(self.skip) else {
            return false;
        };
        let drawn = match &mut self.share {
            Some((percent, rng)) => rng.u8(0..100) < *percent,
            None => true,
        };
        place < self.count && drawn
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    struck: u64,
    over: bool,
}

/// What a rule and those that wait for it share.
#[derive(Debug, Default)]
pub(crate) struct Gate(watch::Sender<Standing>);

impl Gate {
    fn strike(&self) {
        self.0.send_modify(|standing| standing.struck += 1);
    }

    fn open(&self) {
        self.0.send_modify(|standing| standing.over = true);
    }

    fn is_over(&self) -> bool {
        self.0.borrow().over
    }

    /// Returns when the rule is over.
    pub(crate) async fn over(&self) {
        // The sender is this gate itself, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|standing| standing.over).await;
    }
}

#[derive(Debug)]
struct Entry<S, F> {
    gate: Arc<Gate>,
    rule: Rule<S, F>,
}

/// The rules for one kind of subject.
#[derive(Debug)]
pub(crate) struct Script<S, F>(Mutex<Vec<Entry<S, F>>>);

impl<S, F> Default for Script<S, F> {
    fn default() -> Self {
        Script(Mutex::default())
    }
}

impl<S, F: Clone> Script<S, F> {
    /// The fault of a request or an event. Every rule counts it, the first that
    /// strikes wins.
    pub(crate) fn strike(&self, subject: &S) -> Option<(F, Arc<Gate>)> {
        let mut struck = None;
        for entry in self.lock().iter_mut() {
            if entry.gate.is_over() || !entry.rule.strikes(subject) || struck.is_some() {
                continue;
            }
            entry.gate.strike();
            struck = Some((entry.rule.fault.clone(), Arc::clone(&entry.gate)));
        }
        struck
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry<S, F>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a rule away by its gate.
trait Forget: Send + Sync {
    fn forget(&self, gate: &Arc<Gate>);
}

impl<S: Send + Sync, F: Clone + Send> Forget for Script<S, F> {
    fn forget(&self, gate: &Arc<Gate>) {
        self.lock().retain(|entry| !Arc::ptr_eq(&entry.gate, gate));
    }
}

/// A rule at work. It is over when this is dropped: what it held goes on.
pub struct Armed {
    gate: Arc<Gate>,
    script: Weak<dyn Forget>,
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Armed").field(&self.gate).finish()
    }
}

/// A rule that did not strike in time.
#[derive(Debug, thiserror::Error)]
#[error("the rule struck {found} times within {} s, not {wanted}: what it is about did not happen", limit.as_secs())]
pub struct NotStruck {
    wanted: u64,
    found: u64,
    limit: Duration,
}

impl Armed {
    pub(crate) fn new<S, F>(script: &Arc<Script<S, F>>, rule: Rule<S, F>) -> Self
    where
        S: Send + Sync + 'static,
        F: Clone + Send + 'static,
    {
        let gate = Arc::new(Gate::default());
        script.lock().push(Entry {
            gate: Arc::clone(&gate),
            rule,
        });
        // The type has to be lost after the count of owners is taken.
        let script: Weak<Script<S, F>> = Arc::downgrade(script);
        Armed { gate, script }
    }

    /// How often it has struck.
    #[must_use]
    pub fn strikes(&self) -> u64 {
        self.gate.0.borrow().struck
    }

    /// Waits until it has struck `wanted` times.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn struck(&self, wanted: u64, limit: Duration) -> Result<(), NotStruck> {
        let mut standing = self.gate.0.subscribe();
        let enough = standing.wait_for(|standing| standing.struck >= wanted);
        let outcome = tokio::time::timeout(limit, enough).await;
        outcome.map(drop).map_err(|_| NotStruck {
            wanted,
            found: self.strikes(),
            limit,
        })
    }

    /// Ends the rule: what it held goes on.
    pub fn release(self) {}
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.gate.open();
        if let Some(script) = self.script.upgrade() {
            script.forget(&self.gate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rule: Rule<u32, &'static str>, subjects: &[u32]) -> Vec<bool> {
        let script = Arc::new(Script::default());
        let _armed = Armed::new(&script, rule);
        subjects
            .iter()
            .map(|s| script.strike(s).is_some())
            .collect()
    }

    #[test]
    fn a_rule_counts_only_what_it_is_about() {
        let even = Match::when(|n: &u32| n.is_multiple_of(2));
        let rule = even.clone().once("x").skip(1);
        assert_eq!(struck(rule, &[2, 3, 4, 6]), [false, false, true, false]);
        let rule = even.and(|n| *n > 2).always("x");
        assert_eq!(struck(rule, &[2, 4, 5, 6]), [false, true, false, true]);
    }

    #[test]
    fn a_seed_draws_its_share() {
        let subjects: Vec<u32> = (0..1000).collect();
        let draw = |seed| struck(Match::any().always("x").share(30, seed), &subjects);
        let share = draw(1).iter().filter(|struck| **struck).count();
        assert!((250..350).contains(&share), "{share}");
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_first_rule_wins_and_one_that_is_over_is_forgotten() {
        let script: Arc<Script<u32, &str>> = Arc::default();
        let first = Armed::new(&script, Match::any().always("first"));
        let second = Armed::new(&script, Match::any().always("second"));
        assert_eq!(script.strike(&1).unwrap().0, "first");
        first.release();
        assert_eq!(script.strike(&1).unwrap().0, "second");
        assert_eq!(second.strikes(), 1);
        drop(second);
        assert!(script.strike(&1).is_none());
        assert!(script.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn to_wait_for_a_strike_ends() {
        let script: Arc<Script<u32, &str>> = Arc::default();
        let armed = Armed::new(&script, Match::any().always("x"));
        script.strike(&1);
        armed.struck(1, Duration::from_secs(1)).await.unwrap();
        let error = armed.struck(2, Duration::from_secs(1)).await.unwrap_err();
        assert!(error.to_string().contains("struck 1 times"), "{error}");
    }
}
