//! Whose turn it is: which EtlJobs wait for a pass, and in what order they get
//! it.
//!
//! Namespaces take turns, so that ten thousand EtlJobs of one keep the single
//! one of another waiting for no longer than it takes to give every namespace
//! one pass. Within a namespace, who is due first goes first. An EtlJob has one
//! pass at a time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::metrics::PassMetrics;
use crate::reconcile::Next;

/// The turns of all EtlJobs.
///
/// # Guarantees
/// What is triggered is passed over at some time after that, however often it
/// is triggered until then. A trigger during a pass is followed by another
/// pass.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
    /// Something is due, or due earlier than before.
    changed: Notify,
    metrics: PassMetrics,
}

/// The name of an EtlJob. Those of one namespace share its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name there.
    pub name: Arc<str>,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<Name, Standing>,
    /// Who is due, by namespace.
    lanes: HashMap<Arc<str>, VecDeque<Arc<str>>>,
    /// The namespaces of those, in the order of their turns.
    rotation: VecDeque<Arc<str>>,
    /// Who is to be looked at later.
    later: BTreeMap<Moment, Name>,
    moments: u64,
    active: usize,
    due: usize,
}

/// A time, and a number that tells those of one instant apart.
type Moment = (Instant, u64);

#[derive(Debug)]
enum Standing {
    /// Its pass is due since then.
    Due(Instant),
    /// It is looked at then.
    Later(Moment),
    /// Its pass is under way; since when another is due.
    Active(Option<Instant>),
}

/// A pass that may begin. It is under way until it is given back.
#[derive(Debug)]
#[must_use = "nothing else is done for the EtlJob before it is given back"]
pub struct Turn {
    /// Whose it is.
    pub name: Name,
}

impl Turns {
    /// Nobody waits; what happens counts in `metrics`.
    pub fn new(metrics: PassMetrics) -> Self {
        Turns {
            metrics,
            ..Turns::default()
        }
    }

    /// A pass over this EtlJob is due.
    pub fn trigger(&self, namespace: &str, name: &str) {
        let mut state = self.state();
        let name = state.name(namespace, name);
        state.trigger(name, Instant::now());
        self.show(&state);
        drop(state);
        self.changed.notify_one();
    }

    /// The next pass, when there is one to begin. Only one task may wait for
    /// it.
    pub async fn next(&self) -> Turn {
        loop {
            let wake = {
                let (mut state, now) = (self.state(), Instant::now());
                state.arrive(now);
                if let Some((name, since)) = state.take() {
                    self.metrics.begins(now.duration_since(since));
                    self.show(&state);
                    return Turn { name };
                }
                state.later.first_key_value().map(|((at, _), _)| *at)
            };
            match wake {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// The pass has ended.
    pub fn give_back(&self, turn: Turn, next: Next) {
        let mut state = self.state();
        state.end(turn.name, next, Instant::now());
        self.show(&state);
        drop(state);
        self.changed.notify_one();
    }

    fn show(&self, state: &State) {
        let set = |gauge: &prometheus_client::metrics::gauge::Gauge, count: usize| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.metrics.queued, state.due);
        set(&self.metrics.scheduled, state.later.len());
        set(&self.metrics.active, state.active);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can happen between the steps of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn name(&self, namespace: &str, name: &str) -> Name {
        let known = self.lanes.get_key_value(namespace);
        Name {
            namespace: known.map_or_else(|| namespace.into(), |(known, _)| Arc::clone(known)),
            name: name.into(),
        }
    }

    fn trigger(&mut self, name: Name, now: Instant) {
        match self.jobs.entry(name) {
            Entry::Vacant(entry) => {
                let name = entry.key().clone();
                entry.insert(Standing::Due(now));
                self.line_up(name);
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Standing::Due(_) => {}
                Standing::Active(again) => {
                    again.get_or_insert(now);
                }
                Standing::Later(moment) => {
                    self.later.remove(moment);
                    let name = entry.key().clone();
                    entry.insert(Standing::Due(now));
                    self.line_up(name);
                }
            },
        }
    }

    /// Lines up those whose time has come.
    fn arrive(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), name) = first.remove_entry();
            self.jobs.insert(name.clone(), Standing::Due(at));
            self.line_up(name);
        }
    }

    fn line_up(&mut self, name: Name) {
        self.due += 1;
        let lane = self.lanes.entry(Arc::clone(&name.namespace)).or_default();
        if lane.is_empty() {
            self.rotation.push_back(name.namespace);
        }
        lane.push_back(name.name);
    }

    /// The first of the namespace whose turn it is, and since when it is due.
    fn take(&mut self) -> Option<(Name, Instant)> {
        let namespace = self.rotation.pop_front()?;
        let lane = self.lanes.get_mut(&namespace)?;
        let name = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&namespace);
        } else {
            self.rotation.push_back(Arc::clone(&namespace));
        }
        let name = Name { namespace, name };
        self.due -= 1;
        self.active += 1;
        match self.jobs.insert(name.clone(), Standing::Active(None)) {
            Some(Standing::Due(since)) => Some((name, since)),
            // Nobody stands in a lane who is not due.
            other => unreachable!("{name:?} was in line but {other:?}"),
        }
    }

    fn end(&mut self, name: Name, next: Next, now: Instant) {
        self.active -= 1;
        let again = match self.jobs.remove(&name) {
            Some(Standing::Active(again)) => again,
            Some(Standing::Due(_) | Standing::Later(_)) | None => None,
        };
        match (again, next) {
            (Some(since), _) => {
                self.jobs.insert(name.clone(), Standing::Due(since));
                self.line_up(name);
            }
            (None, Next::After(delay)) => self.postpone(name, now, delay),
            (None, Next::OnChange) => {}
        }
    }

    fn postpone(&mut self, name: Name, now: Instant, delay: Duration) {
        self.moments += 1;
        // A time too far to be told is never.
        let Some(at) = now.checked_add(delay) else {
            return;
        };
        let moment = (at, self.moments);
        self.later.insert(moment, name.clone());
        self.jobs.insert(name, Standing::Later(moment));
    }
}

#[cfg(test)]
mod tests;
