//! Pieces of work, and where in the output they belong.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::plan::Group;
use crate::compress::Frame;
use crate::read::{Part, RowGroup};

/// A piece of work.
pub(super) enum Task<'a> {
    /// Tell the source what will be read next.
    Announce(usize),
    Read(Open),
    /// Open the readers of a row group that has been read.
    Open(usize, Arc<RowGroup<'a>>),
    Decode(Decode<'a>),
    Encode(Decoded),
    Compress(Frame),
}

/// Reads a row group, or its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// Index in the plan.
    pub(super) group: usize,
    pub(super) whole: bool,
    /// Whether the windows that are read first have been announced.
    pub(super) announced: bool,
}

/// Decodes the next batch of one reader.
pub(super) struct Decode<'a> {
    pub(super) group: usize,
    pub(super) lane: usize,
    pub(super) batch: u64,
    pub(super) part: Part<'a>,
}

/// A batch with the columns of all readers.
pub(super) struct Decoded {
    pub(super) group: usize,
    pub(super) batch: u64,
    pub(super) parts: Vec<RecordBatch>,
}

/// Where in the work something happened, in the order of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(u64, usize);

impl At {
    pub(super) const START: Self = Self(0, 0);

    pub(super) fn reading(group: &Group) -> Self {
        Self(group.batches.start, 0)
    }

    pub(super) fn decoding(batch: u64, lane: usize) -> Self {
        Self(batch, 1 + lane)
    }

    pub(super) fn encoding(batch: u64) -> Self {
        Self(batch, usize::MAX)
    }

    pub(super) fn batch(self) -> u64 {
        self.0
    }
}
