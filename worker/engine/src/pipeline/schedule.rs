//! Which piece of work comes next.
//!
//! All threads are alike: each takes the piece that the output waits for
//! longest, does it and comes back. There are few rules:
//! - Compressing comes before encoding, encoding before decoding, and earlier
//!   batches before later ones: what is done soonest frees memory soonest.
//! - A batch is decoded only if few batches before it wait to be encoded, and
//!   encoded only if its output has room. The batch whose turn it is always has.
//! - Row groups are read in order, as far ahead as memory is set aside for them.
//! - Output is handed out by whoever has put it where it is next, or where what
//!   comes after it may leave too, unless somebody is at it already.
//! - After a failure only what comes before it goes on, so that the failure that
//!   is reported does not depend on who was faster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::Totals;
use super::delivery::Delivery;
use super::flights::{Flights, Step};
use super::outlet::Outlet;
use super::task::{At, Decode, Decoded, Task};
use crate::error::Error;
use crate::read::{Part, RowGroup};

/// The state of a conversion.
pub(super) struct Schedule<'a, 's> {
    /// Batches that may be decoded or waiting to be encoded.
    window: u64,
    pub(super) outlet: Outlet,
    /// `None` while a thread hands something out.
    pub(super) delivery: Option<Delivery<'s>>,
    flights: Flights<'a>,
    decoded: BTreeMap<u64, Decoded>,
    /// All batches before this one have been encoded.
    encoded_to: u64,
    encoded: BTreeSet<u64>,
    running: usize,
    /// Threads that wait for something to do.
    pub(super) waiting: usize,
    end: End,
}

/// How the conversion comes to its end.
#[derive(Default)]
struct End {
    failure: Option<(At, Error)>,
    closed: bool,
}

impl End {
    /// Whether work at `at` is of no use any more.
    fn is_unwanted(&self, at: At) -> bool {
        let failure = self.failure.as_ref();
        self.closed || failure.is_some_and(|(failed, _)| at > *failed)
    }
}

impl<'a, 's> Schedule<'a, 's> {
    pub(super) fn new(
        flights: Flights<'a>,
        window: u64,
        outlet: Outlet,
        delivery: Delivery<'s>,
    ) -> Self {
        Self {
            window,
            outlet,
            delivery: Some(delivery),
            flights,
            decoded: BTreeMap::new(),
            encoded_to: 0,
            encoded: BTreeSet::new(),
            running: 0,
            waiting: 0,
            end: End::default(),
        }
    }

    /// Nothing more is to be done.
    pub(super) fn close(&mut self) {
        self.end.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.end.closed
    }

    /// Whether work at `at` is of no use any more.
    pub(super) fn is_unwanted(&self, at: At) -> bool {
        self.end.is_unwanted(at)
    }

    /// Keeps the failure that comes first in the output.
    pub(super) fn fail(&mut self, at: At, error: Error) {
        let failure = &mut self.end.failure;
        if failure.as_ref().is_none_or(|(failed, _)| at < *failed) {
            *failure = Some((at, error));
        }
    }

    /// Closes if nobody does anything any more and all that is ready has been
    /// handed out: the failure, if that is why, comes before all others.
    pub(super) fn settle(&mut self) {
        let is_idle = self.running == 0 && self.delivery.is_some();
        if is_idle && !self.is_closed() {
            let stuck = "nothing is left to do, and the output has no end";
            if self.end.failure.is_none() {
                self.fail(At::START, Error::Internal(stuck.to_owned()));
            }
            self.close();
        }
    }

    /// What has come out in the end.
    pub(super) fn into_totals(self) -> Result<Totals, Error> {
        if let Some((_, error)) = self.end.failure {
            return Err(error);
        }
        let delivery = self.delivery.filter(|_| self.outlet.is_at_end());
        match delivery {
            Some(delivery) => Ok(delivery.totals(&self.outlet)),
            None => Err(Error::Internal("the output has no end".to_owned())),
        }
    }

    /// The next piece of work; only such that comes before `before`, if given.
    pub(super) fn take(&mut self, before: Option<u64>) -> Option<Task<'a>> {
        if self.end.closed {
            return None;
        }
        self.flights.admit(|at| !self.end.is_unwanted(at));
        let choice = self.choose(before)?;
        self.running += 1;
        Some(self.start(choice))
    }

    /// A task has been done or given up.
    pub(super) fn release(&mut self) {
        self.running -= 1;
    }

    fn choose(&self, before: Option<u64>) -> Option<Choice> {
        if self.outlet.has_frame() {
            return Some(Choice::Compress);
        }
        let is_wanted =
            |at: At| before.is_none_or(|before| at.batch() < before) && !self.is_unwanted(at);
        if let Some((&batch, _)) = self.decoded.first_key_value()
            && is_wanted(At::encoding(batch))
            && self.outlet.outbox.has_room(batch)
        {
            return Some(Choice::Encode(batch));
        }
        let until = self.encoded_to + self.window;
        self.flights.choose(until, is_wanted).map(Choice::Fly)
    }

    fn start(&mut self, choice: Choice) -> Task<'a> {
        match choice {
            Choice::Compress => {
                Task::Compress(self.outlet.take_frame().expect("it has been chosen"))
            }
            Choice::Encode(batch) => {
                Task::Encode(self.decoded.remove(&batch).expect("it has been chosen"))
            }
            Choice::Fly(step) => self.flights.start(step),
        }
    }

    /// A row group has been read and takes `needed` bytes to decode.
    pub(super) fn put_read(&mut self, group: usize, row_group: Arc<RowGroup<'a>>, needed: u64) {
        self.flights.put_read(group, row_group, needed);
    }

    /// A row group is ready to be decoded.
    pub(super) fn put_open(&mut self, group: usize, parts: Vec<Part<'a>>) {
        self.flights.put_open(group, parts);
    }

    /// A reader has decoded a batch.
    pub(super) fn put_decoded(&mut self, decode: Decode<'a>, batch: RecordBatch) {
        let complete = self.flights.put_decoded(decode, batch).into_iter();
        self.decoded
            .extend(complete.map(|decoded| (decoded.batch, decoded)));
    }

    /// A batch has been encoded, and nothing refers to its values any more.
    pub(super) fn put_encoded(&mut self, group: usize, batch: u64, rows: u64) {
        self.outlet.outbox.finish(batch, rows);
        self.encoded.insert(batch);
        while self.encoded.remove(&self.encoded_to) {
            self.encoded_to += 1;
        }
        self.flights.put_encoded(group);
    }
}

/// A task that could be taken, by its place in the state.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Fly(Step),
    Encode(u64),
    Compress,
}
