//! What is on its way before somebody waits for it.
//!
//! Whoever announces ranges has memory for them, so all of them are fetched at
//! once, as far as there are connections. Bytes are let go of when everything
//! that was announced of their request has been read.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::ranges::{overlap, requests, without};
use super::{Pinned, REQUESTS};

/// The bytes of a request, or nothing if it has failed.
pub(super) type Fetched = Shared<BoxFuture<'static, Option<Bytes>>>;

/// Everything on its way from one object. Dropping it stops all of it.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    coming: Vec<Coming>,
    fetching: JoinSet<()>,
}

/// One request that was made ahead.
#[derive(Debug)]
struct Coming {
    range: Range<u64>,
    /// Announced bytes of it that nobody has read yet.
    unread: u64,
    fetched: Fetched,
}

impl Ahead {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches `ranges`, each of which will be read once.
    pub(super) fn announce(&self, ranges: &[Range<u64>], runtime: &Handle, object: &Arc<Pinned>) {
        self.with(|state| {
            state.fetch_missing(ranges, runtime, object);
            state.count(ranges, u64::saturating_add);
        });
    }

    /// Everything on its way that touches `ranges`, which count as read; what of
    /// them was not announced is fetched now.
    pub(super) fn take(
        &self,
        ranges: &[Range<u64>],
        runtime: &Handle,
        object: &Arc<Pinned>,
    ) -> Vec<(Range<u64>, Fetched)> {
        // In one go: what is made here must not be let go of by a neighbour who
        // reads a part of it.
        self.with(|state| {
            let missing = state.fetch_missing(ranges, runtime, object);
            state.count(&missing, u64::saturating_add);
            let touched = state.touching(ranges);
            state.count(ranges, u64::saturating_sub);
            state.coming.retain(|coming| coming.unread > 0);
            touched
        })
    }
}

impl State {
    /// Makes requests for what is not on its way, and returns what that is.
    fn fetch_missing(
        &mut self,
        ranges: &[Range<u64>],
        runtime: &Handle,
        object: &Arc<Pinned>,
    ) -> Vec<Range<u64>> {
        // The set keeps what has ended until somebody asks.
        while self.fetching.try_join_next().is_some() {}
        let missing = self.coming.iter().fold(ranges.to_vec(), |ranges, coming| {
            ranges
                .into_iter()
                .flat_map(|range| without(range, &coming.range))
                .collect()
        });
        for range in requests(&missing, REQUESTS) {
            let fetched = self.fetch(range.clone(), runtime, object);
            self.coming.push(Coming {
                range,
                unread: 0,
                fetched,
            });
        }
        missing
    }

    /// A request on a task of its own: it goes on whoever is busy.
    fn fetch(&mut self, range: Range<u64>, runtime: &Handle, object: &Arc<Pinned>) -> Fetched {
        let (sender, receiver) = oneshot::channel();
        let object = Arc::clone(object);
        let fetching = async move {
            let fetched = match object.get(Some(range)).await {
                Ok(piece) => Some(piece.bytes),
                Err(error) => {
                    tracing::debug!(%error, "A read ahead has failed.");
                    None
                }
            };
            // Nobody may be left to read it.
            let _ = sender.send(fetched);
        };
        self.fetching.spawn_on(fetching, runtime);
        receiver
            .map(|fetched| fetched.ok().flatten())
            .boxed()
            .shared()
    }

    fn count(&mut self, ranges: &[Range<u64>], change: impl Fn(u64, u64) -> u64) {
        for coming in &mut self.coming {
            let bytes = ranges
                .iter()
                .map(|range| overlap(range, &coming.range))
                .sum();
            coming.unread = change(coming.unread, bytes);
        }
    }

    fn touching(&self, ranges: &[Range<u64>]) -> Vec<(Range<u64>, Fetched)> {
        self.coming
            .iter()
            .filter(|coming| ranges.iter().any(|range| overlap(range, &coming.range) > 0))
            .map(|coming| (coming.range.clone(), coming.fetched.clone()))
            .collect()
    }
}
