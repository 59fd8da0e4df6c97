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

use arrow_schema::ArrowError;
use bytes::{Buf, Bytes};

use crate::batch::{Batch, Encoded, Encoding};
use crate::compress::Output;
use crate::decode::RowGroup;
use crate::error::Error;
use crate::fetch::Fetch;
use crate::guard::{join, spawn};
use crate::memory::{WAITING_CHUNKS, encoding_threads};
use crate::options::{Budget, Format, Options};
use crate::prepare::Preparation;
use crate::schema::Columns;
use crate::source::ReadAt;
use crate::validate::Tally;

/// What a conversion works on.
#[derive(Clone)]
pub(crate) struct Job<'a> {
    pub(crate) source: &'a dyn ReadAt,
    pub(crate) columns: &'a Columns,
    pub(crate) preparation: &'a Preparation,
    pub(crate) options: &'a Options,
    pub(crate) budget: Budget,
    /// The row groups to convert.
    pub(crate) row_groups: Range<usize>,
    /// Rows of the file before those row groups.
    pub(crate) rows_before: u64,
    /// Memory of the budget that is not for row groups.
    pub(crate) beside_bytes: u64,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) rows_read: u64,
    pub(crate) rows_rejected: u64,
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

/// Runs the whole conversion.
pub(crate) fn run(job: &Job<'_>, output: Output<'_>, rejected: Tally<'_>) -> Result<Totals, Error> {
    let encoding = Encoding::new(job.preparation, job.rows_before, job.options);
    let format = job.options.format;
    let mut outlet = Outlet {
        output,
        rejected,
        format,
        json_bytes: 0,
        has_rows: false,
    };
    outlet.write(Bytes::from_static(format.head()))?;
    let rows_read = scope(|scope| {
        let mut encoders = Vec::new();
        let mut encoded = Vec::new();
        let mut lanes = Vec::new();
        for _ in 0..encoding_threads(job.budget.threads) {
            let (chunks, receiver) = sync_channel(WAITING_CHUNKS);
            encoded.push(receiver);
            if job.budget.threads <= 1 {
                lanes.push(Lane::Here {
                    encoding: Box::new(encoding.clone()),
                    chunks,
                });
                continue;
            }
            let (lane, batches) = sync_channel(1);
            let encoding = encoding.clone();
            encoders.push(spawn(scope, "etl-encode", move || {
                encode(&encoding, &batches, &chunks)
            })?);
            lanes.push(Lane::Thread(lane));
        }
        let fetch = Fetch::new(scope, job.source, job.columns.main.metadata());
        let decoding = spawn(scope, "etl-decode", move || decode(job, fetch, lanes))?;
        let written = outlet.collect(encoded);
        let decoded = join(decoding)?;
        let others = join_all(encoders)?;
        written?;
        first_failure(decoded, others)
    })?;
    outlet.write(Bytes::from_static(format.tail()))?;
    Ok(Totals {
        rows_read,
        rows_rejected: outlet.rejected.rows(),
        json_bytes: outlet.json_bytes,
        bytes: outlet.output.finish()?,
    })
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
        encoding: Box<Encoding<'a>>,
        chunks: SyncSender<Encoded>,
    },
    Thread(SyncSender<Batch>),
}

impl Lane<'_> {
    fn send(&self, batch: Batch) -> Result<(), Stop> {
        match self {
            Self::Here { encoding, chunks } => encoding.encode(batch, |encoded| {
                chunks.send(encoded).map_err(|_| Stop::HungUp)
            }),
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

fn encode(
    encoding: &Encoding<'_>,
    batches: &Receiver<Batch>,
    chunks: &SyncSender<Encoded>,
) -> Result<(), Stop> {
    let send = |encoded| chunks.send(encoded).map_err(|_| Stop::HungUp);
    batches
        .iter()
        .try_for_each(|batch| encoding.encode(batch, send))
}

/// Where what has been encoded goes, in order.
struct Outlet<'o, 's> {
    output: Output<'o>,
    rejected: Tally<'s>,
    format: Format,
    json_bytes: u64,
    has_rows: bool,
}

impl Outlet<'_, '_> {
    /// Feeds the sinks until the encoders are done or gone.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "dropping the channels ends the encoders"
    )]
    fn collect(&mut self, encoded: Vec<Receiver<Encoded>>) -> Result<(), Error> {
        for lane in encoded.iter().cycle() {
            loop {
                match lane.recv() {
                    Ok(Encoded::Chunk(chunk)) => self.rows(chunk)?,
                    Ok(Encoded::Rejected(rows)) => self.rejected.count(&rows)?,
                    Ok(Encoded::Quarantine(lines)) => self.rejected.write(lines)?,
                    Ok(Encoded::EndOfBatch) => break,
                    Err(_) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, mut rows: Bytes) -> Result<(), Error> {
        // All rows of the batches before may have been rejected.
        if !self.has_rows && self.format == Format::JsonArray && rows.starts_with(b",") {
            rows.advance(1);
        }
        self.has_rows |= !rows.is_empty();
        self.write(rows)
    }

    fn write(&mut self, json: Bytes) -> Result<(), Error> {
        self.json_bytes += json.len() as u64;
        self.output.write(json)
    }
}
