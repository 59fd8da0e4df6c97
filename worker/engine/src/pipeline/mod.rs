//! The threads of one conversion. All of them are alike and take what the
//! [`schedule`] gives them; the caller's own thread only hands the output to the
//! sink, so that a slow sink holds up nothing but what waits for it.

mod outlet;
mod plan;
mod schedule;
mod threads;

use std::ops::Range;
use std::sync::Arc;

use self::outlet::{Outbox, Outlet};
use self::plan::Plan;
use self::schedule::Schedule;
use self::threads::Threads;
use crate::error::Error;
use crate::memory;
use crate::options::{Budget, Options};
use crate::prepare::Preparation;
use crate::schema::Columns;
use crate::sink::Sink;
use crate::source::ReadAt;
use crate::validate::Tally;

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
pub(crate) fn run(
    job: &Job<'_>,
    sink: &mut dyn Sink,
    rejected: Tally<'_>,
) -> Result<Totals, Error> {
    let threads = job.budget.threads.max(1);
    let plan = Plan::new(job.columns, job.row_groups.clone(), threads);
    let outlet = Outlet::new(
        Outbox::new(plan.batches, memory::reorder_bytes(threads)),
        job.options.format,
        job.options.compression,
        memory::frames(threads),
    );
    let room = job.budget.memory_bytes.saturating_sub(job.beside_bytes);
    let schedule = Schedule::new(&plan, room, memory::batches(threads), outlet);
    Threads::new(job, &plan, schedule).run(threads, sink, rejected)
}
