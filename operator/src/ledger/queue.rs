//! Changes that wait to be made: the newest of each row, the longest waiting
//! first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Change;
use crate::backoff::Backoff;

/// Between tries of one change. Every row has its own, so that one which
/// cannot be written slows no other down.
const WRITE_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    cap: Duration::from_secs(30),
};

/// The longest of them when the process is about to stop.
const HURRIED: Duration = Duration::from_millis(500);

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    /// Newest change by key of its row, those under way included.
    rows: HashMap<String, Waiting>,
    /// Those that are not under way, by when they are due.
    order: BTreeMap<Turn, String>,
    /// Turns given so far.
    turns: u64,
    hurried: bool,
}

/// When a change is due. The number tells those of one instant apart.
type Turn = (Instant, u64);

#[derive(Debug)]
struct Waiting {
    change: Arc<Change>,
    /// Since when the row is behind.
    since: Instant,
    /// Since when this change waits.
    offered: Instant,
    /// `None` while it is under way.
    turn: Option<Turn>,
    /// Tries of this very change.
    failures: u32,
}

/// What became of a change that was put into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    Queued,
    /// One that is as new waits already.
    Known,
    /// There is no room for another row.
    Full,
}

impl Queue {
    /// Adds `change`, due at once: what has changed may fare better than what
    /// it replaces. A row that is not in the queue finds room up to `limit`.
    pub fn put(&mut self, change: Change, limit: usize, now: Instant) -> Put {
        let waiting = self.rows.get(change.file_id());
        if waiting.is_none() && self.rows.len() >= limit {
            return Put::Full;
        }
        if waiting.is_some_and(|waiting| !replaces(&change, &waiting.change)) {
            return Put::Known;
        }
        let since = waiting.map_or(now, |waiting| waiting.since);
        let turn = match waiting {
            // One that was not tried yet keeps its place.
            Some(Waiting {
                turn: Some(turn),
                failures: 0,
                ..
            }) => *turn,
            _ => self.turn(now),
        };
        self.enqueue(Waiting {
            change: Arc::new(change),
            since,
            offered: now,
            turn: Some(turn),
            failures: 0,
        });
        Put::Queued
    }

    /// When the first change is due.
    pub fn first_due(&self) -> Option<Instant> {
        self.order.first_key_value().map(|((due, _), _)| *due)
    }

    /// The first change, if it is due. It is under way from now on.
    pub fn take(&mut self, now: Instant) -> Option<Arc<Change>> {
        let first = self
            .order
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        let waiting = self.rows.get_mut(&first.remove())?;
        waiting.turn = None;
        Some(Arc::clone(&waiting.change))
    }

    /// The change was made, or needs no making.
    pub fn done(&mut self, change: &Arc<Change>) {
        let Some(waiting) = self.rows.get_mut(change.file_id()) else {
            return;
        };
        if Arc::ptr_eq(&waiting.change, change) {
            self.rows.remove(change.file_id());
        } else {
            waiting.since = waiting.offered;
        }
    }

    /// The change could not be made. It is due again after a while that grows
    /// if it is `to_blame`, and at once, behind the others, if it is not.
    /// Returns how often it has failed so far; `None` if a newer one waits.
    pub fn put_back(&mut self, change: &Arc<Change>, to_blame: bool, now: Instant) -> Option<u32> {
        let failures = self
            .rows
            .get(change.file_id())
            .filter(|waiting| Arc::ptr_eq(&waiting.change, change))?
            .failures
            .saturating_add(u32::from(to_blame));
        let mut delay = Duration::ZERO;
        if to_blame {
            delay = WRITE_BACKOFF.delay(failures);
        }
        if self.hurried {
            delay = delay.min(HURRIED);
        }
        let turn = self.turn(now + delay);
        let mut waiting = self.rows.remove(change.file_id())?;
        waiting.turn = Some(turn);
        waiting.failures = failures;
        self.enqueue(waiting);
        Some(failures)
    }

    /// From now on there is little time left: everything is due.
    pub fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        let order = std::mem::take(&mut self.order);
        for ((due, number), file_id) in order {
            let turn = (due.min(now), number);
            if let Some(waiting) = self.rows.get_mut(&file_id) {
                waiting.turn = Some(turn);
            }
            self.order.insert(turn, file_id);
        }
    }

    /// Forgets everything. What is under way is not waited for.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.order.clear();
    }

    /// Rows that are behind.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Since when the row that is behind for longest is.
    pub fn oldest(&self) -> Option<Instant> {
        self.rows.values().map(|waiting| waiting.since).min()
    }

    fn turn(&mut self, due: Instant) -> Turn {
        self.turns += 1;
        (due, self.turns)
    }

    fn enqueue(&mut self, waiting: Waiting) {
        let file_id = waiting.change.file_id().to_owned();
        if let Some(turn) = self.rows.get(&file_id).and_then(|replaced| replaced.turn) {
            self.order.remove(&turn);
        }
        if let Some(turn) = waiting.turn {
            self.order.insert(turn, file_id.clone());
        }
        self.rows.insert(file_id, waiting);
    }
}

/// Whether `new` is to be made instead of `old`.
fn replaces(new: &Change, old: &Change) -> bool {
    match (new, old) {
        // A record tells more than that nothing is known.
        (Change::Close(_), _) => false,
        (Change::Mend(_), Change::Write(_)) => new.revision() >= old.revision(),
        (Change::Write(_) | Change::Mend(_), _) => new.revision() > old.revision(),
    }
}
