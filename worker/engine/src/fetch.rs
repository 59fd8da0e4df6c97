//! Row groups come from the source one at a time, the next one while the
//! present one is decoded if memory allows it.

use std::thread::{Scope, ScopedJoinHandle};

use parquet::file::metadata::ParquetMetaData;

use crate::error::Error;
use crate::guard::{join, spawn};
use crate::row_group::{RowGroupBytes, fetched_bytes};
use crate::source::ReadAt;

/// Fetches the row groups of a file in order.
pub(crate) struct Fetch<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    source: &'scope dyn ReadAt,
    metadata: &'scope ParquetMetaData,
    ahead: Option<ScopedJoinHandle<'scope, Result<RowGroupBytes, Error>>>,
}

impl<'scope, 'env> Fetch<'scope, 'env> {
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        source: &'scope dyn ReadAt,
        metadata: &'scope ParquetMetaData,
    ) -> Self {
        Self {
            scope,
            source,
            metadata,
            ahead: None,
        }
    }

    /// The bytes of row group `index`; row groups are taken in order.
    pub(crate) fn take(&mut self, index: usize) -> Result<RowGroupBytes, Error> {
        match self.ahead.take() {
            Some(thread) => join(thread)?,
            None => RowGroupBytes::fetch(self.source, self.metadata.row_group(index)),
        }
    }

    /// Starts to fetch row group `index`, the next to be taken, if it exists
    /// and is not larger than `room` bytes.
    pub(crate) fn start(&mut self, index: usize, room: u64) -> Result<(), Error> {
        let Some(row_group) = self.metadata.row_groups().get(index) else {
            return Ok(());
        };
        if fetched_bytes(row_group) > room {
            return Ok(());
        }
        let source = self.source;
        let fetch = move || RowGroupBytes::fetch(source, row_group);
        self.ahead = Some(spawn(self.scope, "etl-fetch", fetch)?);
        Ok(())
    }
}
