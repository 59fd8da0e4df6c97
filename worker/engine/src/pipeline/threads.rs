//! The threads that do the work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::scope;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;

use super::outlet::Output;
use super::plan::Plan;
use super::reading::Reading;
use super::schedule::Schedule;
use super::task::{At, Decode, Decoded, Open, Task};
use super::{Job, Totals};
use crate::batch::{Batch, Encoded, Encoding};
use crate::compress::{Compressor, Frame};
use crate::error::{Error, Place};
use crate::guard::{PANICKED, contained, guarded, join, spawn};
use crate::int96;
use crate::read::{RowGroup, arrow_error};

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
pub(super) struct Threads<'a, 's> {
    job: &'a Job<'a>,
    plan: &'a Plan,
    encoding: Encoding<'a>,
    reading: Reading<'a>,
    /// Compressors that are not in use.
    compressors: Mutex<Vec<Compressor>>,
    schedule: Mutex<Schedule<'a, 's>>,
    /// Something has changed in the schedule.
    changed: Condvar,
}

type Guard<'t, 'a, 's> = MutexGuard<'t, Schedule<'a, 's>>;

impl<'a, 's> Threads<'a, 's> {
    pub(super) fn new(job: &'a Job<'a>, plan: &'a Plan, schedule: Schedule<'a, 's>) -> Self {
        Self {
            job,
            plan,
            encoding: Encoding::new(job.preparation, job.rows_before, job.options),
            reading: Reading::new(job, plan),
            compressors: Mutex::default(),
            schedule: Mutex::new(schedule),
            changed: Condvar::new(),
        }
    }

    /// Works with `threads` threads, of which this is one if its stack will do.
    pub(super) fn run(self, threads: usize) -> Result<Totals, Error> {
        let takes_part = self.job.depth.is_shallow();
        scope(|scope| {
            let mut outcome = Ok(());
            let mut workers = Vec::new();
            for _ in usize::from(takes_part)..threads {
                match spawn(scope, "etl-engine", || self.work()) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => {
                        self.close();
                        outcome = Err(error);
                    }
                }
            }
            if takes_part {
                let own = contained(PANICKED, || {
                    self.work();
                    Ok(())
                });
                outcome = outcome.and(own);
            }
            // All of them, or the scope would panic like one that is left.
            workers.into_iter().map(join).fold(outcome, Result::and)
        })?;
        let schedule = self.schedule.into_inner();
        schedule
            .unwrap_or_else(PoisonError::into_inner)
            .into_totals()
    }

    /// Lets all threads come to their end.
    fn close(&self) {
        let mut schedule = self.lock();
        schedule.close();
        self.tell(&schedule);
    }

    /// Does one piece of work after the other.
    fn work(&self) {
        let _close = CloseUnlessDone(self);
        let mut schedule = self.hand_out(self.lock());
        while !schedule.is_closed() {
            match schedule.take(None) {
                Some(task) => {
                    drop(schedule);
                    self.perform(task);
                    schedule = self.lock();
                }
                None => {
                    schedule.settle();
                    schedule = self.wait(schedule);
                }
            }
        }
    }

    fn perform(&self, task: Task<'a>) {
        // Not only in `work`: what is done within another task may panic, and
        // that task lives on behind its wall.
        let _close = CloseUnlessDone(self);
        let (at, done) = match task {
            Task::Announce(group) => {
                self.reading.announce(group);
                (At::START, Ok(()))
            }
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
        self.tell(&schedule);
        drop(self.hand_out(schedule));
    }

    /// Gives the sinks what is ready, unless another thread is at it.
    fn hand_out<'t>(&'t self, mut schedule: Guard<'t, 'a, 's>) -> Guard<'t, 'a, 's> {
        while !schedule.is_closed()
            && let Some(mut delivery) = schedule.delivery.take()
        {
            let output = schedule.outlet.next();
            if matches!(output, Output::NotYet | Output::End) {
                schedule.delivery = Some(delivery);
                if matches!(output, Output::End) {
                    schedule.close();
                }
                // There may be frames to compress, and batches that have left.
                self.tell(&schedule);
                break;
            }
            drop(schedule);
            let given = delivery.give(output);
            schedule = self.lock();
            schedule.delivery = Some(delivery);
            if let Err(error) = given {
                schedule.fail(At::START, error);
                schedule.close();
            }
            // There is room for more now.
            self.tell(&schedule);
        }
        schedule
    }

    fn read(&self, open: Open) -> Result<(), Error> {
        let (row_group, needed) = self.reading.read(open)?;
        self.lock().put_read(open.group, row_group, needed);
        Ok(())
    }

    fn open(&self, group: usize, row_group: &Arc<RowGroup<'a>>) -> Result<(), Error> {
        let parts = self.reading.open(row_group)?;
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

    /// Puts output in its place, and hands it out if it is next. While there is
    /// no room, this thread helps with what comes before: otherwise all threads
    /// could end up waiting for a batch that none of them does.
    fn emit(&self, batch: u64, piece: Encoded) -> Result<(), Stop> {
        let mut schedule = self.lock();
        loop {
            if schedule.is_unwanted(At::encoding(batch)) {
                return Err(Stop::Unwanted);
            }
            if schedule.outlet.outbox.has_room(batch) {
                schedule.outlet.outbox.push(batch, piece);
                if schedule.outlet.is_ready() {
                    drop(self.hand_out(schedule));
                }
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

    fn lock(&self) -> Guard<'_, 'a, 's> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait for a change, if there are any.
    fn tell(&self, schedule: &Schedule<'_, '_>) {
        if schedule.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for a change, unless all is over.
    fn wait<'t>(&'t self, mut schedule: Guard<'t, 'a, 's>) -> Guard<'t, 'a, 's> {
        if schedule.is_closed() {
            self.tell(&schedule);
            return schedule;
        }
        schedule.waiting += 1;
        let waited = self.changed.wait(schedule);
        let mut schedule = waited.unwrap_or_else(PoisonError::into_inner);
        schedule.waiting -= 1;
        schedule
    }
}

/// Makes the end of one thread before its time, by a panic, the end of all: the
/// others would wait for what it has in its hands.
struct CloseUnlessDone<'t, 'a, 's>(&'t Threads<'a, 's>);

impl Drop for CloseUnlessDone<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut schedule = self.0.lock();
            schedule.fail(At::START, Error::Internal(PANICKED.to_owned()));
            schedule.close();
            self.0.tell(&schedule);
        }
    }
}
