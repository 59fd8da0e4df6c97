//! The threads of one conversion: fetch, decode, encode; the caller's own
//! thread compresses and feeds the sink.
//!
//! Order is kept without sorting: batch n goes to encoder n modulo the number
//! of encoders, and the caller collects in the same turn. All channels are
//! bounded, so a slow sink stops the reading. A side that fails drops its ends;
//! its neighbours notice and stop, and the one real error is reported.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{ScopedJoinHandle, scope};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;

use crate::check::check;
use crate::compress::Output;
use crate::decode::RowGroup;
use crate::encode::BatchEncoder;
use crate::error::{Error, Place};
use crate::fetch::Fetch;
use crate::guard::{guarded, join, spawn};
use crate::memory::{WAITING_CHUNKS, encoding_threads};
use crate::options::{Budget, NonFinite, Options};
use crate::schema::Columns;
use crate::source::ReadAt;
use crate::transform::Layout;

/// What a conversion works on.
#[derive(Clone)]
pub(crate) struct Job<'a> {
    pub(crate) source: &'a dyn ReadAt,
    pub(crate) columns: &'a Columns,
    pub(crate) layout: &'a Layout,
    pub(crate) options: &'a Options,
    pub(crate) budget: Budget,
    /// The row groups to convert.
    pub(crate) row_groups: Range<usize>,
    /// Memory of the budget that is not for row groups.
    pub(crate) beside_bytes: u64,
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    pub(crate) json_bytes: u64,
    pub(crate) bytes: u64,
}

/// Why a stage ends early.
enum Stop {
    /// The stage behind is gone and will say why.
    HungUp,
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

struct Batch {
    rows: RecordBatch,
    first_row: u64,
    row_group: usize,
}

enum Encoded {
    Chunk(Bytes),
    EndOfBatch,
}

/// Runs the whole conversion.
pub(crate) fn run(job: &Job<'_>, mut output: Output<'_>) -> Result<Totals, Error> {
    let encoding = Encoding::new(job);
    let format = job.options.format;
    let mut totals = Totals::default();
    totals.json_bytes += write(&mut output, Bytes::from_static(format.head()))?;
    totals.rows = scope(|scope| {
        let mut encoders = Vec::new();
        let mut encoded = Vec::new();
        let mut lanes = Vec::new();
        for _ in 0..encoding_threads(job.budget.threads) {
            let (chunks, receiver) = sync_channel(WAITING_CHUNKS);
            encoded.push(receiver);
            if job.budget.threads <= 1 {
                lanes.push(Lane::Here {
                    encoding: encoding.clone(),
                    chunks,
                });
                continue;
            }
            let (lane, batches) = sync_channel(1);
            let encoding = encoding.clone();
            encoders.push(spawn(scope, "etl-encode", move || {
                encoding.run(&batches, &chunks)
            })?);
            lanes.push(Lane::Thread(lane));
        }
        let fetch = Fetch::new(scope, job.source, job.columns.main.metadata());
        let decoding = spawn(scope, "etl-decode", move || decode(job, fetch, lanes))?;
        let written = collect(encoded, &mut output);
        let decoded = join(decoding)?;
        let others = join_all(encoders)?;
        totals.json_bytes += written?;
        first_failure(decoded, others)
    })?;
    totals.json_bytes += write(&mut output, Bytes::from_static(format.tail()))?;
    totals.bytes = output.finish()?;
    Ok(totals)
}

fn join_all(threads: Vec<ScopedJoinHandle<'_, Result<(), Stop>>>) -> Result<Vec<Stop>, Error> {
    let mut stops = Vec::new();
    for thread in threads {
        stops.extend(join(thread)?.err());
    }
    Ok(stops)
}

/// The rows decoded, or the failure that made the others hang up.
fn first_failure(decoded: Result<u64, Stop>, others: Vec<Stop>) -> Result<u64, Error> {
    let (rows, stop) = match decoded {
        Ok(rows) => (rows, None),
        Err(stop) => (0, Some(stop)),
    };
    let mut stopped = false;
    for stop in stop.into_iter().chain(others) {
        match stop {
            Stop::Failed(error) => return Err(error),
            Stop::HungUp => stopped = true,
        }
    }
    if stopped {
        return Err(Error::Internal(
            "the stages of a conversion lost each other".to_owned(),
        ));
    }
    Ok(rows)
}

/// Where decoded batches go.
enum Lane<'a> {
    /// With a single thread, to an encoder on this one.
    Here {
        encoding: Encoding<'a>,
        chunks: SyncSender<Encoded>,
    },
    Thread(SyncSender<Batch>),
}

impl Lane<'_> {
    fn send(&self, batch: Batch) -> Result<(), Stop> {
        match self {
            Self::Here { encoding, chunks } => encoding.encode(batch, chunks),
            Self::Thread(lane) => lane.send(batch).map_err(|_| Stop::HungUp),
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "dropping the channels ends the stages around"
)]
fn decode(job: &Job<'_>, mut fetch: Fetch<'_, '_>, lanes: Vec<Lane<'_>>) -> Result<u64, Stop> {
    let mut first_row = 0;
    let mut turn = lanes.iter().cycle();
    for index in job.row_groups.clone() {
        let bytes = fetch.take(index)?;
        let row_group = RowGroup {
            columns: job.columns,
            index,
            bytes,
        };
        let needed = row_group.check_pages(job.beside_bytes, job.budget.memory_bytes)?;
        if index + 1 < job.row_groups.end {
            fetch.start(index + 1, job.budget.memory_bytes - needed)?;
        }
        row_group.decode::<Stop>(|rows| {
            let count = rows.num_rows() as u64;
            let lane = turn.next().ok_or(Stop::HungUp)?;
            lane.send(Batch {
                rows,
                first_row,
                row_group: index,
            })?;
            first_row += count;
            Ok(())
        })?;
    }
    Ok(first_row)
}

/// An encoder with what stands before it.
#[derive(Clone)]
struct Encoding<'a> {
    layout: &'a Layout,
    encoder: BatchEncoder,
    non_finite: NonFinite,
}

impl<'a> Encoding<'a> {
    fn new(job: &Job<'a>) -> Self {
        let options = job.options;
        Self {
            layout: job.layout,
            encoder: BatchEncoder::new(options),
            non_finite: options.json.non_finite,
        }
    }

    fn run(&self, batches: &Receiver<Batch>, chunks: &SyncSender<Encoded>) -> Result<(), Stop> {
        batches
            .iter()
            .try_for_each(|batch| self.encode(batch, chunks))
    }

    fn encode(&self, batch: Batch, chunks: &SyncSender<Encoded>) -> Result<(), Stop> {
        let send = |encoded| chunks.send(encoded).map_err(|_| Stop::HungUp);
        let place = Place::row_group(batch.row_group);
        guarded(place.clone(), || {
            let rows = &self.layout.assemble(batch.rows)?;
            check(rows, &place, self.non_finite)?;
            self.encoder
                .render::<Stop>(rows, batch.first_row, |chunk| send(Encoded::Chunk(chunk)))?;
            send(Encoded::EndOfBatch)
        })
    }
}

/// Feeds the sink until the encoders are done or gone; returns the JSON bytes.
#[expect(
    clippy::needless_pass_by_value,
    reason = "dropping the channels ends the encoders"
)]
fn collect(encoded: Vec<Receiver<Encoded>>, output: &mut Output<'_>) -> Result<u64, Error> {
    let mut bytes = 0;
    for lane in encoded.iter().cycle() {
        loop {
            match lane.recv() {
                Ok(Encoded::Chunk(chunk)) => bytes += write(output, chunk)?,
                Ok(Encoded::EndOfBatch) => break,
                Err(_) => return Ok(bytes),
            }
        }
    }
    Ok(bytes)
}

fn write(output: &mut Output<'_>, chunk: Bytes) -> Result<u64, Error> {
    let bytes = chunk.len() as u64;
    output.write(chunk)?;
    Ok(bytes)
}
