//! The bytes of one row group, fetched in as few requests as possible and then
//! read from memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::row_group::range;
use crate::error::Error;
use crate::source::{ReadAt, read_exact};

/// Chunks with no more than this between them are read together.
const MAX_GAP_BYTES: u64 = 64 << 10;

/// The byte ranges to read for a row group, merged, ascending, not empty.
pub(crate) fn ranges(row_group: &RowGroupMetaData) -> Vec<Range<u64>> {
    let mut chunks: Vec<Range<u64>> = row_group
        .columns()
        .iter()
        .map(range)
        .filter(|range| !range.is_empty())
        .collect();
    chunks.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for chunk in chunks {
        match merged.last_mut() {
            Some(last) if chunk.start <= last.end.saturating_add(MAX_GAP_BYTES) => {
                last.end = last.end.max(chunk.end);
            }
            _ => merged.push(chunk),
        }
    }
    merged
}

/// Total length of [`ranges`].
pub(crate) fn fetched_bytes(row_group: &RowGroupMetaData) -> u64 {
    ranges(row_group)
        .iter()
        .map(|range| range.end - range.start)
        .sum()
}

/// The fetched parts of a file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RowGroupBytes {
    parts: Arc<[Part]>,
}

#[derive(Debug)]
struct Part {
    start: u64,
    bytes: Bytes,
}

impl RowGroupBytes {
    pub(crate) fn fetch(source: &dyn ReadAt, row_group: &RowGroupMetaData) -> Result<Self, Error> {
        let ranges = ranges(row_group);
        let fetched = if ranges.is_empty() {
            Vec::new()
        } else {
            read_exact(source, &ranges)?
        };
        let parts = ranges.iter().zip(fetched);
        Ok(Self {
            parts: parts
                .map(|(range, bytes)| Part {
                    start: range.start,
                    bytes,
                })
                .collect(),
        })
    }

    /// `length` bytes from byte `start` of the file on.
    pub(super) fn slice(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let after = self.parts.partition_point(|part| part.start <= start);
        let slice = after.checked_sub(1).and_then(|index| {
            let part = &self.parts[index];
            let offset = usize::try_from(start - part.start).ok()?;
            let end = offset.checked_add(length)?;
            (end <= part.bytes.len()).then(|| part.bytes.slice(offset..end))
        });
        slice.ok_or_else(|| {
            ParquetError::EOF(format!(
                "{length} bytes from byte {start} lie outside the row group's column chunks"
            ))
        })
    }
}
