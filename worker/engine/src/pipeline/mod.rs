//! The work of one conversion. The threads that do it, of which the caller's is
//! one, are all alike and take what the [`schedule`] gives them. The output is
//! handed to the sinks by whoever has just put it in its place, while it is in
//! that processor's cache: nobody has to be woken for it, and a slow sink holds
//! up nothing but what waits for it.

mod delivery;
mod flights;
mod outbox;
mod outlet;
mod plan;
mod reading;
mod schedule;
mod task;
mod threads;

use std::ops::Range;
use std::sync::Arc;

use parquet::file::metadata::RowGroupMetaData;

use self::delivery::Delivery;
use self::flights::Flights;
use self::outbox::Outbox;
use self::outlet::Outlet;
use self::plan::Plan;
use self::schedule::Schedule;
use self::threads::Threads;
use crate::error::Error;
use crate::guard::Depth;
use crate::memory;
use crate::options::{Budget, Options};
use crate::prepare::Preparation;
use crate::schema::Columns;
use crate::sink::Sink;
use crate::source::ReadAt;
use crate::validate::Tally;

/// Work that takes about as long as starting threads for it is worth, by
/// [`plan::cost`]: some milliseconds.
const LITTLE_COST: u64 = 1 << 20;

/// What a conversion works on.
pub(crate) struct Job<'a> {
    pub(crate) source: &'a Arc<dyn ReadAt>,
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
    /// How deep the schema of the file is.
    pub(crate) depth: Depth,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) rows_read: u64,
    pub(crate) rows_rejected: u64,
    pub(crate) json_bytes: u64,
    pub(crate) bytes: u64,
}

/// Runs the whole conversion.
pub(crate) fn run<'s>(
    job: &Job<'_>,
    sink: &'s mut dyn Sink,
    rejected: Tally<'s>,
) -> Result<Totals, Error> {
    let threads = threads(job);
    let plan = Plan::new(job.columns, job.row_groups.clone(), threads);
    let outlet = Outlet::new(
        Outbox::new(plan.batches, memory::reorder_bytes(threads)),
        job.options.format,
        job.options.compression,
        memory::frames(threads),
    );
    let room = job.budget.memory_bytes.saturating_sub(job.beside_bytes);
    let flights = Flights::new(&plan, room);
    let delivery = Delivery::new(sink, rejected);
    let schedule = Schedule::new(flights, memory::batches(threads), outlet, delivery);
    Threads::new(job, &plan, schedule).run(threads)
}

/// Threads that are worth starting: where there is little to do, other files can
/// be converted meanwhile.
fn threads(job: &Job<'_>) -> usize {
    let row_groups = &job.columns.main.metadata().row_groups()[job.row_groups.clone()];
    let columns = row_groups.iter().flat_map(RowGroupMetaData::columns);
    let cost = columns.map(plan::cost).fold(0, u64::saturating_add);
    if cost <= LITTLE_COST {
        return 1;
    }
    job.budget.threads.max(1)
}
