//! What a run may leave out, and whether it still does.
//!
//! A process counts what it leaves out itself and stops as soon as that is too
//! much; the commit counts again, over all shards. Both count the same things,
//! so a run that is within its limits never stops and one that is not never
//! commits.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use etl_contract::{Category, WorkOrder};

use crate::record::{InputRecord, SkipRecord};

/// More was left out than the order allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Source objects. The failure is that of the last one.
    #[error(
        "{count} objects cannot be converted and source.maxInvalidObjects allows {allowed}: \
         {uri}: {reason}"
    )]
    Objects {
        /// Objects left out, as far as they were counted.
        count: usize,
        /// The limit.
        allowed: u32,
        /// The last one.
        uri: String,
        /// Class of its failure.
        category: Category,
        /// What is wrong with it.
        reason: String,
    },
    /// Rows.
    #[error(
        "more rows break the rules of the schema than the {allowed} that schema.maxInvalidRecords \
         allows: {uri}: {problem}"
    )]
    Records {
        /// The limit.
        allowed: u64,
        /// The object with the last ones.
        uri: String,
        /// What is known about the last one.
        problem: String,
    },
}

/// Counts what was left out against the limits of an order.
#[derive(Debug)]
pub struct Tally {
    max_objects: u32,
    max_records: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Keys of source objects: the parts of one count once.
    objects: HashSet<String>,
    records: u64,
}

impl Tally {
    /// Nothing is left out yet.
    pub fn new(order: &WorkOrder) -> Self {
        let schema = order.schema.as_ref();
        Tally {
            max_objects: order.source.max_invalid_objects,
            max_records: schema.map_or(0, |schema| schema.max_invalid_records),
            counts: Mutex::default(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot panic half way.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what became of an input; `uri` tells the URI of a source key.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn add(
        &self,
        record: &InputRecord,
        uri: impl Fn(&str) -> String,
    ) -> Result<(), LimitError> {
        match record {
            InputRecord::Written(record) => {
                self.reject(record.rows_rejected, || uri(&record.source))
            }
            InputRecord::Skipped(record) => self.skip(record, || uri(&record.source)),
        }
    }

    fn skip(&self, record: &SkipRecord, uri: impl Fn() -> String) -> Result<(), LimitError> {
        let mut counts = self.counts();
        counts.objects.insert(record.source.clone());
        let count = counts.objects.len();
        if count as u64 <= u64::from(self.max_objects) {
            return Ok(());
        }
        Err(LimitError::Objects {
            count,
            allowed: self.max_objects,
            uri: uri(),
            category: record.category,
            reason: record.reason.clone(),
        })
    }

    fn reject(&self, rows: u64, uri: impl Fn() -> String) -> Result<(), LimitError> {
        let mut counts = self.counts();
        counts.records = counts.records.saturating_add(rows);
        if counts.records <= self.max_records {
            return Ok(());
        }
        let problem = format!("{} rows up to and with this object", counts.records);
        Err(self.too_many_records(uri(), problem))
    }

    /// What is to be said of an object with one row too many.
    pub fn too_many_records(&self, uri: String, problem: String) -> LimitError {
        LimitError::Records {
            allowed: self.max_records,
            uri,
            problem,
        }
    }

    /// Rows that may still be left out.
    pub fn records_left(&self) -> u64 {
        self.max_records.saturating_sub(self.counts().records)
    }
}
