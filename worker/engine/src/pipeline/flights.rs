//! Row groups under way: let in as memory allows, read, decoded by all their
//! readers, and let go when they have been encoded.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::plan::{Group, Plan};
use super::task::{At, Decode, Decoded, Open, Task};
use crate::read::{Part, RowGroup};

/// Row groups that may be announced before they are read.
const MAX_AHEAD: usize = 32;

/// The row groups under way, in order.
pub(super) struct Flights<'a> {
    plan: &'a Plan,
    /// Memory for row groups.
    room: u64,
    /// Row groups let in so far.
    admitted: usize,
    flights: VecDeque<Flight<'a>>,
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

/// What could be done next with a row group, by its place among the flights.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Announce(usize),
    Read(usize),
    Open(usize),
    Decode(usize, usize),
}

impl<'a> Flights<'a> {
    pub(super) fn new(plan: &'a Plan, room: u64) -> Self {
        Self {
            plan,
            room,
            admitted: 0,
            flights: VecDeque::new(),
        }
    }

    /// Sets memory aside for row groups, in order, as long as they are wanted.
    pub(super) fn admit(&mut self, is_wanted: impl Fn(At) -> bool) {
        while let Some(group) = self.plan.groups.get(self.admitted) {
            if !is_wanted(At::reading(group)) || self.flights.len() >= MAX_AHEAD {
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

    /// The earliest step, on batches before `until` alone, that is wanted.
    pub(super) fn choose(&self, until: u64, is_wanted: impl Fn(At) -> bool) -> Option<Step> {
        let flights = self.flights.iter().enumerate();
        flights
            .filter_map(|(flight, state)| self.choose_in(flight, state, until))
            .filter(|(at, _)| is_wanted(*at))
            .min_by_key(|(at, _)| *at)
            .map(|(_, step)| step)
    }

    /// The next step of a row group.
    fn choose_in(&self, flight: usize, state: &Flight<'a>, until: u64) -> Option<(At, Step)> {
        let at = At::reading(&self.plan.groups[state.group]);
        let is_near = at.batch() < until;
        match &state.stage {
            Stage::Admitted if is_near => Some((at, Step::Read(flight))),
            // It takes no time, and the earlier the better.
            Stage::Admitted => Some((At::START, Step::Announce(flight))),
            Stage::Announced => is_near.then_some((at, Step::Read(flight))),
            Stage::Busy => None,
            Stage::Read { needed, .. } => self
                .fits(flight, *needed)
                .then_some((at, Step::Open(flight))),
            Stage::Decoding(lanes) => {
                let free = lanes.lanes.iter().enumerate();
                let last = self.plan.groups[state.group].batches.end;
                free.filter(|(_, lane)| lane.part.is_some() && lane.next < until.min(last))
                    .map(|(lane, state)| {
                        (At::decoding(state.next, lane), Step::Decode(flight, lane))
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

    /// Begins a step that has been chosen.
    pub(super) fn start(&mut self, step: Step) -> Task<'a> {
        match step {
            Step::Announce(flight) => {
                self.flights[flight].stage = Stage::Announced;
                Task::Announce(self.flights[flight].group)
            }
            Step::Read(flight) => {
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
            Step::Open(flight) => {
                let flight = &mut self.flights[flight];
                let stage = std::mem::replace(&mut flight.stage, Stage::Busy);
                let Stage::Read { row_group, needed } = stage else {
                    unreachable!("it has been chosen")
                };
                flight.reserved = needed;
                Task::Open(flight.group, row_group)
            }
            Step::Decode(flight, lane) => {
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

    /// A reader has decoded a batch; returns those that are complete now.
    pub(super) fn put_decoded(&mut self, decode: Decode<'a>, batch: RecordBatch) -> Vec<Decoded> {
        let last = self.plan.groups[decode.group].batches.end;
        let Stage::Decoding(lanes) = &mut self.flight(decode.group).stage else {
            unreachable!("a batch was decoded");
        };
        let lane = &mut lanes.lanes[decode.lane];
        lane.next += 1;
        // Its memory is free as soon as its last batch is.
        lane.part = (lane.next < last).then_some(decode.part);
        let slot = usize::try_from(decode.batch - lanes.first).expect("within the window");
        let count = lanes.lanes.len();
        while lanes.slots.len() <= slot {
            lanes.slots.push_back(vec![None; count]);
        }
        lanes.slots[slot][decode.lane] = Some(batch);
        lanes.complete(decode.group)
    }

    /// A batch of a row group has been encoded, and nothing refers to its values
    /// any more.
    pub(super) fn put_encoded(&mut self, group: usize) {
        self.flight(group).left -= 1;
        while self.flights.front().is_some_and(|flight| flight.left == 0) {
            self.flights.pop_front();
        }
    }
}

impl Lanes<'_> {
    /// Takes the batches of `group` that all lanes have decoded.
    fn complete(&mut self, group: usize) -> Vec<Decoded> {
        let mut complete = Vec::new();
        while self
            .slots
            .front()
            .is_some_and(|slot| slot.iter().all(Option::is_some))
        {
            let parts = self.slots.pop_front().into_iter().flatten().flatten();
            complete.push(Decoded {
                group,
                batch: self.first,
                parts: parts.collect(),
            });
            self.first += 1;
        }
        complete
    }
}
