//! How the row groups of a conversion are read: as a whole where there is room
//! for that, otherwise in windows while they are decoded.

use std::sync::Arc;

use super::Job;
use super::plan::{Group, Plan};
use super::task::Open;
use crate::error::Error;
use crate::read::{Beginning, Buffers, Claims, Part, RowGroup, RowGroupBytes, Windows, ranges};

/// Reads row groups.
pub(super) struct Reading<'a> {
    job: &'a Job<'a>,
    plan: &'a Plan,
    buffers: Buffers,
}

impl<'a> Reading<'a> {
    pub(super) fn new(job: &'a Job<'a>, plan: &'a Plan) -> Self {
        let buffers = Buffers::default();
        Self { job, plan, buffers }
    }

    /// Tells the source what will be read of a row group.
    pub(super) fn announce(&self, group: usize) {
        let index = self.plan.groups[group].index;
        let row_group = self.job.columns.main.metadata().row_group(index);
        self.job.source.will_read(&ranges(row_group));
    }

    /// Reads a row group, or makes it ready to be read while it is decoded; and
    /// how much memory it takes from then on.
    pub(super) fn read(&self, open: Open) -> Result<(Arc<RowGroup<'a>>, u64), Error> {
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
                return Ok((Arc::new(whole), needed));
            }
            least = Some(self.job.beside_bytes.saturating_add(needed));
        }
        Ok((Arc::new(self.windows(open, least)), self.room()))
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

    /// The readers of a row group.
    pub(super) fn open(&self, row_group: &Arc<RowGroup<'a>>) -> Result<Vec<Part<'a>>, Error> {
        let selections = self.plan.selections.iter();
        let parts = selections.map(|selection| Part::open(row_group, selection));
        parts.collect()
    }
}
