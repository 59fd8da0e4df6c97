//! Which piece of work comes next.
//!
//! All threads are alike: each takes the piece that the output waits for
//! longest, does it and comes back. There are few rules:
//! - Compressing comes before encoding, encoding before decoding, and earlier
//!   batches before later ones: what is done soonest frees memory soonest.
//! - A batch is decoded only if few batches before it wait to be encoded, and
//!   encoded only if its output has room. The batch whose turn it is always has.
//! - Row groups are read in order, as far ahead as memory is set aside for them.
//! - After a failure only what comes before it goes on, so that the failure that
//!   is reported does not depend on who was faster.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::outlet::Outlet;
use super::plan::{Group, Plan};
use crate::compress::Frame;
use crate::error::Error;
use crate::read::{Part, RowGroup};

/// Row groups that may be announced before they are read.
const MAX_AHEAD: usize = 32;

/// A piece of work.
pub(super) enum Task<'a> {
    /// Tell the source what will be read next.
    Announce(usize),
    Read(Open),
    /// Open the readers of a row group that has been read.
    Open(usize, Arc<RowGroup<'a>>),
    Decode(Decode<'a>),
    Encode(Decoded),
    Compress(Frame),
}

/// Reads a row group, or its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// Index in the plan.
    pub(super) group: usize,
    pub(super) whole: bool,
    /// Whether the windows that are read first have been announced.
    pub(super) announced: bool,
}

/// Decodes the next batch of one reader.
pub(super) struct Decode<'a> {
    pub(super) group: usize,
    pub(super) lane: usize,
    pub(super) batch: u64,
    pub(super) part: Part<'a>,
}

/// A batch with the columns of all readers.
pub(super) struct Decoded {
    pub(super) group: usize,
    pub(super) batch: u64,
    pub(super) parts: Vec<RecordBatch>,
}

/// Where in the work something happened, in the order of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(u64, usize);

impl At {
    pub(super) const START: Self = Self(0, 0);

    pub(super) fn reading(group: &Group) -> Self {
        Self(group.batches.start, 0)
    }

    pub(super) fn decoding(batch: u64, lane: usize) -> Self {
        Self(batch, 1 + lane)
    }

    pub(super) fn encoding(batch: u64) -> Self {
        Self(batch, usize::MAX)
    }
}

/// A row group between being admitted and being encoded to the end.
struct Flight<'a> {
    group: usize,
    /// Memory set aside for it.
    reserved: u64,
    /// Whether that is enough for certain. Otherwise how much it takes turns out
    /// when it has been read, and until then nobody else gets any.
    certain: bool,
    whole: bool,
    stage: Stage<'a>,
    /// Batches not yet encoded.
    left: u64,
}

enum Stage<'a> {
    Admitted,
    Announced,
    /// In the hands of a thread.
    Busy,
    /// Read; takes `needed` bytes to decode.
    Read {
        row_group: Arc<RowGroup<'a>>,
        needed: u64,
    },
    Decoding(Lanes<'a>),
}

struct Lanes<'a> {
    lanes: Vec<Lane<'a>>,
    /// The batches that some lanes have decoded and others have not.
    slots: VecDeque<Vec<Option<RecordBatch>>>,
    /// The batch of the first slot.
    first: u64,
}

struct Lane<'a> {
    /// `None` while a thread has it.
    part: Option<Part<'a>>,
    next: u64,
}

/// The state of a conversion.
pub(super) struct Schedule<'a> {
    plan: &'a Plan,
    /// Memory for row groups.
    room: u64,
    /// Batches that may be decoded or waiting to be encoded.
    window: u64,
    pub(super) outlet: Outlet,
    admitted: usize,
    flights: VecDeque<Flight<'a>>,
    decoded: BTreeMap<u64, Decoded>,
    /// All batches before this one have been encoded.
    encoded_to: u64,
    encoded: BTreeSet<u64>,
    running: usize,
    failure: Option<(At, Error)>,
    /// A thread is gone with what it had in its hands.
    abandoned: bool,
    closed: bool,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(plan: &'a Plan, room: u64, window: u64, outlet: Outlet) -> Self {
        Self {
            plan,
            room,
            window,
            outlet,
            admitted: 0,
            flights: VecDeque::new(),
            decoded: BTreeMap::new(),
            encoded_to: 0,
            encoded: BTreeSet::new(),
            running: 0,
            failure: None,
            abandoned: false,
            closed: false,
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether work at `at` is of no use any more.
    pub(super) fn is_unwanted(&self, at: At) -> bool {
        self.closed
            || self
                .failure
                .as_ref()
                .is_some_and(|(failed, _)| at > *failed)
    }

    /// Keeps the failure that comes first in the output.
    pub(super) fn fail(&mut self, at: At, error: Error) {
        if self.failure.as_ref().is_none_or(|(failed, _)| at < *failed) {
            self.failure = Some((at, error));
        }
    }

    /// The failure, once nothing that comes before it is left to do.
    pub(super) fn settled_failure(&mut self) -> Option<Error> {
        let is_settled = self.abandoned || (self.running == 0 && !self.can_take());
        if self.failure.is_none() || !is_settled {
            return None;
        }
        self.failure.take().map(|(_, error)| error)
    }

    /// The next piece of work; only such that comes before `before`, if given.
    pub(super) fn take(&mut self, before: Option<u64>) -> Option<Task<'a>> {
        if self.closed {
            return None;
        }
        self.admit();
        let choice = self.choose(before)?;
        self.running += 1;
        Some(self.start(choice))
    }

    /// A task has been done or given up.
    pub(super) fn release(&mut self) {
        self.running -= 1;
    }

    /// A thread will not come back.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    fn can_take(&mut self) -> bool {
        self.admit();
        self.choose(None).is_some()
    }

    /// Sets memory aside for row groups, in order.
    fn admit(&mut self) {
        while let Some(group) = self.plan.groups.get(self.admitted) {
            if self.is_unwanted(At::reading(group)) || self.flights.len() >= MAX_AHEAD {
                return;
            }
            let whole = group.needs.is_whole(self.room);
            let Some((reserved, certain)) = self.reserve(group, whole) else {
                return;
            };
            self.flights.push_back(Flight {
                group: self.admitted,
                reserved,
                certain,
                whole,
                stage: Stage::Admitted,
                left: group.batches.end - group.batches.start,
            });
            self.admitted += 1;
        }
    }

    /// How much memory a row group gets, and whether that will do.
    fn reserve(&self, group: &Group, whole: bool) -> Option<(u64, bool)> {
        let is_settled =
            |flight: &Flight<'_>| flight.certain || matches!(flight.stage, Stage::Decoding(_));
        if !self.flights.iter().all(is_settled) {
            return None;
        }
        let used: u64 = self.flights.iter().map(|flight| flight.reserved).sum();
        let free = self.room.saturating_sub(used);
        let is_alone = self.flights.is_empty();
        let needs = &group.needs;
        let most = needs.fetched_bytes.saturating_add(needs.most_bytes);
        match whole {
            false => is_alone.then_some((self.room, true)),
            true if most <= free => Some((most, true)),
            true => (is_alone || needs.whole() <= free).then_some((needs.whole().min(free), false)),
        }
    }

    fn choose(&self, before: Option<u64>) -> Option<Choice> {
        if self.outlet.has_frame() {
            return Some(Choice::Compress);
        }
        let is_wanted = |at: At| before.is_none_or(|before| at.0 < before) && !self.is_unwanted(at);
        if let Some((&batch, _)) = self.decoded.first_key_value()
            && is_wanted(At::encoding(batch))
            && self.outlet.outbox.has_room(batch)
        {
            return Some(Choice::Encode(batch));
        }
        let until = self.encoded_to + self.window;
        let flights = self.flights.iter().enumerate();
        flights
            .filter_map(|(flight, state)| self.choose_in(flight, state, until))
            .filter(|(at, _)| is_wanted(*at))
            .min_by_key(|(at, _)| *at)
            .map(|(_, choice)| choice)
    }

    /// The next piece of work on a row group.
    fn choose_in(&self, flight: usize, state: &Flight<'a>, until: u64) -> Option<(At, Choice)> {
        let at = At::reading(&self.plan.groups[state.group]);
        let is_near = at.0 < until;
        match &state.stage {
            Stage::Admitted if is_near => Some((at, Choice::Read(flight))),
            // It takes no time, and the earlier the better.
            Stage::Admitted => Some((At::START, Choice::Announce(flight))),
            Stage::Announced => is_near.then_some((at, Choice::Read(flight))),
            Stage::Busy => None,
            Stage::Read { needed, .. } => self
                .fits(flight, *needed)
                .then_some((at, Choice::Open(flight))),
            Stage::Decoding(lanes) => {
                let free = lanes.lanes.iter().enumerate();
                let last = self.plan.groups[state.group].batches.end;
                free.filter(|(_, lane)| lane.part.is_some() && lane.next < until.min(last))
                    .map(|(index, lane)| {
                        (
                            At::decoding(lane.next, index),
                            Choice::Decode(flight, index),
                        )
                    })
                    .min_by_key(|(at, _)| *at)
            }
        }
    }

    /// Whether a row group may take `needed` bytes beside those before it. Alone
    /// it may: that it fits has been checked when it was read.
    fn fits(&self, flight: usize, needed: u64) -> bool {
        let others = self
            .flights
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != flight);
        let used: u64 = others.map(|(_, flight)| flight.reserved).sum();
        flight == 0 || used.saturating_add(needed) <= self.room
    }

    fn start(&mut self, choice: Choice) -> Task<'a> {
        match choice {
            Choice::Compress => {
                Task::Compress(self.outlet.take_frame().expect("it has been chosen"))
            }
            Choice::Encode(batch) => {
                Task::Encode(self.decoded.remove(&batch).expect("it has been chosen"))
            }
            Choice::Announce(flight) => {
                self.flights[flight].stage = Stage::Announced;
                Task::Announce(self.flights[flight].group)
            }
            Choice::Read(flight) => {
                let flight = &mut self.flights[flight];
                flight.stage = Stage::Busy;
                let group = flight.group;
                let in_windows = |group: usize| !self.plan.groups[group].needs.is_whole(self.room);
                Task::Read(Open {
                    group,
                    whole: flight.whole,
                    announced: group > 0 && in_windows(group - 1),
                })
            }
            Choice::Open(flight) => {
                let flight = &mut self.flights[flight];
                let stage = std::mem::replace(&mut flight.stage, Stage::Busy);
                let Stage::Read { row_group, needed } = stage else {
                    unreachable!("it has been chosen")
                };
                flight.reserved = needed;
                Task::Open(flight.group, row_group)
            }
            Choice::Decode(flight, lane) => {
                let flight = &mut self.flights[flight];
                let Stage::Decoding(lanes) = &mut flight.stage else {
                    unreachable!("it has been chosen")
                };
                let state = &mut lanes.lanes[lane];
                Task::Decode(Decode {
                    group: flight.group,
                    lane,
                    batch: state.next,
                    part: state.part.take().expect("it has been chosen"),
                })
            }
        }
    }

    fn flight(&mut self, group: usize) -> &mut Flight<'a> {
        let mut flights = self.flights.iter_mut();
        flights
            .find(|flight| flight.group == group)
            .expect("a row group stays until it is encoded")
    }

    /// A row group has been read and takes `needed` bytes to decode.
    pub(super) fn put_read(&mut self, group: usize, row_group: Arc<RowGroup<'a>>, needed: u64) {
        self.flight(group).stage = Stage::Read { row_group, needed };
    }

    /// A row group is ready to be decoded.
    pub(super) fn put_open(&mut self, group: usize, parts: Vec<Part<'a>>) {
        let first = self.plan.groups[group].batches.start;
        let lanes = parts.into_iter().map(|part| Lane {
            part: Some(part),
            next: first,
        });
        self.flight(group).stage = Stage::Decoding(Lanes {
            lanes: lanes.collect(),
            slots: VecDeque::new(),
            first,
        });
    }

    /// A reader has decoded a batch.
    pub(super) fn put_decoded(&mut self, decode: Decode<'a>, batch: RecordBatch) {
        let last = self.plan.groups[decode.group].batches.end;
        let Stage::Decoding(lanes) = &mut self.flight(decode.group).stage else {
            unreachable!("a batch was decoded");
        };
        let lane = &mut lanes.lanes[decode.lane];
        lane.next += 1;
        // Its memory is free as soon as its last batch is.
        lane.part = (lane.next < last).then_some(decode.part);
        let count = lanes.lanes.len();
        let slot = usize::try_from(decode.batch - lanes.first).expect("within the window");
        while lanes.slots.len() <= slot {
            lanes.slots.push_back(vec![None; count]);
        }
        lanes.slots[slot][decode.lane] = Some(batch);
        let mut complete = Vec::new();
        while lanes
            .slots
            .front()
            .is_some_and(|slot| slot.iter().all(Option::is_some))
        {
            let parts = lanes.slots.pop_front().into_iter().flatten().flatten();
            complete.push(Decoded {
                group: decode.group,
                batch: lanes.first,
                parts: parts.collect(),
            });
            lanes.first += 1;
        }
        self.decoded
            .extend(complete.into_iter().map(|decoded| (decoded.batch, decoded)));
    }

    /// A batch has been encoded, and nothing refers to its values any more.
    pub(super) fn put_encoded(&mut self, group: usize, batch: u64, rows: u64) {
        self.outlet.outbox.finish(batch, rows);
        self.encoded.insert(batch);
        while self.encoded.remove(&self.encoded_to) {
            self.encoded_to += 1;
        }
        self.flight(group).left -= 1;
        while self.flights.front().is_some_and(|flight| flight.left == 0) {
            self.flights.pop_front();
        }
    }
}

/// A task that could be taken, by its place in the state.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Announce(usize),
    Read(usize),
    Open(usize),
    Decode(usize, usize),
    Encode(u64),
    Compress,
}
