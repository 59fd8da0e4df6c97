//! The threads that do the work, and the one that takes the output.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::scope;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;

use super::outlet::Output;
use super::plan::{Group, Plan};
use super::schedule::{At, Decode, Decoded, Open, Schedule, Task};
use super::{Job, Totals};
use crate::batch::{Batch, Encoded, Encoding};
use crate::compress::{Compressor, Frame};
use crate::error::{Error, Place};
use crate::guard::{guarded, join, spawn};
use crate::int96;
use crate::read::{
    Beginning, Buffers, Claims, Part, RowGroup, RowGroupBytes, Windows, arrow_error, ranges,
};
use crate::sink::Sink;
use crate::validate::Tally;

/// Why encoding ends early.
enum Stop {
    /// Nobody wants the rest.
    Unwanted,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ArrowError> for Stop {
    fn from(error: ArrowError) -> Self {
        Self::Failed(Error::Internal(format!(
            "no encoder for a decoded column: {error}"
        )))
    }
}

/// What the threads of a conversion share.
pub(super) struct Threads<'a> {
    job: &'a Job<'a>,
    plan: &'a Plan,
    encoding: Encoding<'a>,
    buffers: Buffers,
    /// Compressors that are not in use.
    compressors: Mutex<Vec<Compressor>>,
    schedule: Mutex<Schedule<'a>>,
    /// Something has changed in the schedule.
    changed: Condvar,
}

impl<'a> Threads<'a> {
    pub(super) fn new(job: &'a Job<'a>, plan: &'a Plan, schedule: Schedule<'a>) -> Self {
        Self {
            job,
            plan,
            encoding: Encoding::new(job.preparation, job.rows_before, job.options),
            buffers: Buffers::default(),
            compressors: Mutex::default(),
            schedule: Mutex::new(schedule),
            changed: Condvar::new(),
        }
    }

    /// Works with `threads` threads and feeds `sink` from this one.
    pub(super) fn run(
        &self,
        threads: usize,
        sink: &mut dyn Sink,
        rejected: Tally<'_>,
    ) -> Result<Totals, Error> {
        scope(|scope| {
            // However this ends, nobody shall wait for more to do.
            let _close = Close(self);
            let workers = (0..threads)
                .map(|_| spawn(scope, "etl-engine", || self.work()))
                .collect::<Result<Vec<_>, _>>()?;
            let totals = self.deliver(sink, rejected);
            drop(Close(self));
            for worker in workers {
                join(worker)?;
            }
            totals
        })
    }

    /// Gives the output to the sinks until there is no more.
    fn deliver(&self, sink: &mut dyn Sink, mut rejected: Tally<'_>) -> Result<Totals, Error> {
        let mut bytes = 0;
        loop {
            match self.next_output()? {
                Output::Chunk(chunk) => {
                    bytes += chunk.len() as u64;
                    sink.write(chunk)?;
                }
                Output::Rejected(rows) => rejected.count(&rows)?,
                Output::Quarantine(lines) => rejected.write(lines)?,
                Output::NotYet => {}
                Output::End => break,
            }
        }
        let schedule = self.lock();
        Ok(Totals {
            rows_read: schedule.outlet.rows(),
            rows_rejected: rejected.rows(),
            json_bytes: schedule.outlet.json_bytes(),
            bytes,
        })
    }

    /// Waits for what leaves next.
    fn next_output(&self) -> Result<Output, Error> {
        let mut schedule = self.lock();
        loop {
            let output = schedule.outlet.next();
            // There is room for more now, and there may be frames to compress.
            self.changed.notify_all();
            if !matches!(output, Output::NotYet) {
                return Ok(output);
            }
            if let Some(error) = schedule.settled_failure() {
                return Err(error);
            }
            schedule = self.wait(schedule);
        }
    }

    /// Does one piece of work after the other.
    fn work(&self) {
        let _close = CloseOnPanic(self);
        let mut schedule = self.lock();
        while !schedule.is_closed() {
            match schedule.take(None) {
                Some(task) => {
                    drop(schedule);
                    self.perform(task);
                    schedule = self.lock();
                }
                None => schedule = self.wait(schedule),
            }
        }
    }

    fn perform(&self, task: Task<'a>) {
        // Not only in `work`: what is done within another task may panic, and
        // that task lives on behind its wall.
        let _close = CloseOnPanic(self);
        let (at, done) = match task {
            Task::Announce(group) => (At::START, self.announce(group)),
            Task::Read(open) => (At::reading(&self.plan.groups[open.group]), self.read(open)),
            Task::Open(group, row_group) => {
                let at = At::reading(&self.plan.groups[group]);
                (at, self.open(group, &row_group))
            }
            Task::Decode(decode) => (At::decoding(decode.batch, decode.lane), self.decode(decode)),
            Task::Encode(decoded) => (At::encoding(decoded.batch), self.encode(decoded)),
            Task::Compress(frame) => (At::START, self.compress(&frame)),
        };
        let mut schedule = self.lock();
        if let Err(error) = done {
            schedule.fail(at, error);
        }
        schedule.release();
        self.changed.notify_all();
    }

    fn announce(&self, group: usize) -> Result<(), Error> {
        let index = self.plan.groups[group].index;
        let row_group = self.job.columns.main.metadata().row_group(index);
        self.job.source.will_read(&ranges(row_group));
        Ok(())
    }

    fn read(&self, open: Open) -> Result<(), Error> {
        let group = &self.plan.groups[open.group];
        let mut least = None;
        if open.whole {
            let row_group = self.job.columns.main.metadata().row_group(group.index);
            let bytes = RowGroupBytes::fetch(&**self.job.source, row_group)?;
            let buffers = self.buffers.clone();
            let whole = RowGroup::whole(self.job.columns, group.index, bytes, buffers);
            let needed = group
                .needs
                .fetched_bytes
                .saturating_add(whole.check_pages()?);
            if needed <= self.room() {
                self.lock().put_read(open.group, Arc::new(whole), needed);
                return Ok(());
            }
            least = Some(self.job.beside_bytes.saturating_add(needed));
        }
        let windows = self.windows(open, least);
        self.lock()
            .put_read(open.group, Arc::new(windows), self.room());
        Ok(())
    }

    /// `least` is what the row group would take as a whole, if that is known.
    fn windows(&self, open: Open, least: Option<u64>) -> RowGroup<'a> {
        let columns = self.job.columns;
        let beginning = |group: &Group| {
            let row_group = columns.main.metadata().row_group(group.index);
            let claims = self.claims(group, None);
            Beginning::new(row_group, claims.window_bytes())
        };
        let group = &self.plan.groups[open.group];
        let first = beginning(group);
        if !open.announced {
            self.job.source.will_read(&first.ranges());
        }
        let next = self.plan.groups.get(open.group + 1);
        let windows = Windows {
            source: Arc::clone(self.job.source),
            claims: self.claims(group, least),
            first,
            next: next
                .filter(|next| !next.needs.is_whole(self.room()))
                .map(beginning),
        };
        RowGroup::in_windows(columns, group.index, windows, self.buffers.clone())
    }

    fn claims(&self, group: &Group, least: Option<u64>) -> Arc<Claims> {
        let budget = self.job.budget.memory_bytes;
        let likely = group.needs.likely_bytes;
        let readers = self.plan.selections.len() as u64;
        let claims = Claims::new(self.job.beside_bytes, likely, budget, least, readers);
        Arc::new(claims)
    }

    /// Memory for row groups.
    fn room(&self) -> u64 {
        self.job
            .budget
            .memory_bytes
            .saturating_sub(self.job.beside_bytes)
    }

    fn open(&self, group: usize, row_group: &Arc<RowGroup<'a>>) -> Result<(), Error> {
        let selections = self.plan.selections.iter();
        let parts = selections.map(|selection| Part::open(row_group, selection));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        self.lock().put_open(group, parts);
        Ok(())
    }

    fn decode(&self, mut decode: Decode<'a>) -> Result<(), Error> {
        let batch = decode.part.next()?;
        self.lock().put_decoded(decode, batch);
        Ok(())
    }

    fn encode(&self, decoded: Decoded) -> Result<(), Error> {
        let Decoded {
            group,
            batch,
            parts,
        } = decoded;
        let row_group = self.plan.groups[group].index;
        let place = Place::row_group(row_group);
        let rows = guarded(place.clone(), || {
            self.join_parts(parts)
                .map_err(|error| arrow_error(place, error))
        })?;
        let count = rows.num_rows() as u64;
        let rows = Batch {
            rows,
            first_row: self.plan.groups[group].rows_before(batch),
            row_group,
        };
        match self.encoding.encode(rows, |piece| self.emit(batch, piece)) {
            Ok(()) => {
                self.lock().put_encoded(group, batch, count);
                Ok(())
            }
            Err(Stop::Unwanted) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Puts the columns of all readers side by side.
    fn join_parts(&self, parts: Vec<RecordBatch>) -> Result<RecordBatch, ArrowError> {
        let rows = parts.first().map_or(0, RecordBatch::num_rows);
        let mut nanos = None;
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (selection, part) in self.plan.selections.iter().zip(parts) {
            if selection.nanos {
                nanos = Some((part, &selection.roots));
            } else {
                columns.extend_from_slice(part.columns());
            }
        }
        let schema = Arc::clone(self.job.columns.main.schema());
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &count)?;
        match nanos {
            Some((nanos, roots)) => int96::merge(&batch, &nanos, roots),
            None => Ok(batch),
        }
    }

    /// Puts output in its place. While there is no room, this thread helps with
    /// what comes before: otherwise all threads could end up waiting for a batch
    /// that none of them does.
    fn emit(&self, batch: u64, piece: Encoded) -> Result<(), Stop> {
        let mut schedule = self.lock();
        loop {
            if schedule.is_unwanted(At::encoding(batch)) {
                return Err(Stop::Unwanted);
            }
            if schedule.outlet.outbox.has_room(batch) {
                schedule.outlet.outbox.push(batch, piece);
                self.changed.notify_all();
                return Ok(());
            }
            match schedule.take(Some(batch)) {
                Some(task) => {
                    drop(schedule);
                    self.perform(task);
                    schedule = self.lock();
                }
                None => schedule = self.wait(schedule),
            }
        }
    }

    fn compress(&self, frame: &Frame) -> Result<(), Error> {
        let idle = self.idle_compressors().pop();
        let compressor = match idle {
            Some(compressor) => Some(compressor),
            None => Compressor::new(self.job.options.compression)?,
        };
        let Some(mut compressor) = compressor else {
            return Err(Error::Internal("a frame of plain output".to_owned()));
        };
        let compressed = compressor.compress(frame)?;
        self.idle_compressors().push(compressor);
        self.lock().outlet.put_frame(frame.number, compressed);
        Ok(())
    }

    fn idle_compressors(&self) -> MutexGuard<'_, Vec<Compressor>> {
        self.compressors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Schedule<'a>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, schedule: MutexGuard<'s, Schedule<'a>>) -> MutexGuard<'s, Schedule<'a>> {
        self.changed
            .wait(schedule)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends all threads when it is dropped.
struct Close<'t, 'a>(&'t Threads<'a>);

impl Drop for Close<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().close();
        self.0.changed.notify_all();
    }
}

/// Makes the panic of one thread the end of all: the others would wait for what
/// it has in its hands.
struct CloseOnPanic<'t, 'a>(&'t Threads<'a>);

impl Drop for CloseOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = Error::Internal("a thread of the engine panicked".to_owned());
            let mut schedule = self.0.lock();
            schedule.fail(At::START, error);
            schedule.abandon();
            drop(schedule);
            self.0.changed.notify_all();
        }
    }
}
