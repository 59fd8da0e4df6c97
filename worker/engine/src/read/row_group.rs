//! One row group, at hand as a whole or read in windows.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::buffers::Buffers;
use super::bytes::ChunkBytes;
use super::claims::{Claim, Claims};
use super::pages::{BadPage, Common, Levels, Pages, working_bytes};
use super::ranges::RowGroupBytes;
use crate::error::{Error, Place};
use crate::memory::{MIN_WINDOW_BYTES, batch_rows};
use crate::schema::Columns;
use crate::source::ReadAt;

/// Larger windows gain nothing.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// A row group ready to be decoded.
pub(crate) struct RowGroup<'a> {
    pub(super) columns: &'a Columns,
    pub(super) buffers: Buffers,
    index: usize,
    bytes: Held,
}

/// What a column chunk is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its values.
    Main,
    /// Its values a second time, as another type.
    Second,
    /// To find out whether it is the one that cannot be decoded.
    Fault,
}

enum Held {
    Whole(RowGroupBytes),
    Windows(Windows),
}

/// How to read a row group while it is decoded.
pub(crate) struct Windows {
    pub(crate) source: Arc<dyn ReadAt>,
    pub(crate) claims: Arc<Claims>,
    /// The windows that are read first; they have been announced.
    pub(crate) first: Beginning,
    /// Those of the next row group, to be announced when a column comes to its
    /// end.
    pub(crate) next: Option<Beginning>,
}

/// The first window of each column chunk.
#[derive(Debug)]
pub(crate) struct Beginning(Vec<Range<u64>>);

impl Beginning {
    /// Divides `bytes` into two windows for each chunk, in proportion to the
    /// chunks: all are read at one pace, by rows.
    pub(crate) fn new(row_group: &RowGroupMetaData, bytes: u64) -> Self {
        let columns = row_group.columns();
        let length = |column: &ColumnChunkMetaData| {
            let range = range(column);
            range.end - range.start
        };
        let all: u128 = columns
            .iter()
            .map(|column| u128::from(length(column)) * u128::from(readings(column)))
            .sum();
        let first = |column: &ColumnChunkMetaData| {
            let share = u128::from(bytes / 2) * u128::from(length(column)) / all.max(1);
            let share = u64::try_from(share).unwrap_or(MAX_WINDOW_BYTES);
            let window = share.clamp(MIN_WINDOW_BYTES, MAX_WINDOW_BYTES);
            let chunk = range(column);
            chunk.start..chunk.end.min(chunk.start + window)
        };
        Self(columns.iter().map(first).collect())
    }

    /// The windows in the order of the file.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let windows = self.0.iter().filter(|window| !window.is_empty());
        let mut ranges: Vec<_> = windows.cloned().collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges
    }

    fn window(&self, leaf: usize) -> Range<u64> {
        self.0[leaf].clone()
    }
}

impl<'a> RowGroup<'a> {
    /// A row group that has been read.
    pub(crate) fn whole(
        columns: &'a Columns,
        index: usize,
        bytes: RowGroupBytes,
        buffers: Buffers,
    ) -> Self {
        Self {
            columns,
            buffers,
            index,
            bytes: Held::Whole(bytes),
        }
    }

    /// A row group to be read while it is decoded.
    pub(crate) fn in_windows(
        columns: &'a Columns,
        index: usize,
        windows: Windows,
        buffers: Buffers,
    ) -> Self {
        Self {
            columns,
            buffers,
            index,
            bytes: Held::Windows(windows),
        }
    }

    pub(super) fn metadata(&self) -> &RowGroupMetaData {
        self.columns.main.metadata().row_group(self.index)
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    fn codec(&self, leaf: usize) -> Compression {
        self.columns.stored.codec(self.index, leaf)
    }

    pub(super) fn place(&self) -> Place {
        Place::row_group(self.index)
    }

    /// Rows according to the footer.
    pub(super) fn rows(&self) -> u64 {
        let rows = self.metadata().num_rows();
        u64::try_from(rows).expect("validated with the footer")
    }

    pub(super) fn batch_rows(&self) -> usize {
        batch_rows(self.metadata())
    }

    /// Checks all page headers of a row group at hand; returns the memory that
    /// decoding it takes besides its bytes.
    pub(crate) fn check_pages(&self) -> Result<u64, Error> {
        let Held::Whole(bytes) = &self.bytes else {
            return Ok(0);
        };
        let mut working = 0_u64;
        for (leaf, column) in self.metadata().columns().iter().enumerate() {
            let place = || self.place().at_column(column.column_path().string());
            let chunk = range(column);
            let at_hand = at_hand(bytes, &chunk).map_err(|error| self.parquet_error(&error))?;
            let needed = working_bytes(
                &at_hand,
                chunk.start,
                values(column),
                self.codec(leaf),
                is_text(column),
            );
            let needed = needed.map_err(|BadPage { offset, problem }| {
                Error::bad_input(place().at_offset(offset), problem)
            })?;
            working = working.saturating_add(needed.saturating_mul(readings(column)));
        }
        Ok(working)
    }

    /// The pages of a leaf column.
    pub(super) fn pages(
        &self,
        leaf: usize,
        common: &Arc<Common>,
        role: Role,
    ) -> Result<(Range<u64>, Pages), Error> {
        let column = self.metadata().column(leaf);
        let chunk = range(column);
        let all = chunk.clone();
        let (bytes, claim) = match &self.bytes {
            Held::Whole(bytes) => {
                let at_hand = at_hand(bytes, &chunk).map_err(|error| self.parquet_error(&error))?;
                (ChunkBytes::at_hand(at_hand, chunk.start), None)
            }
            Held::Windows(windows) => {
                let source = Arc::clone(&windows.source);
                let window = windows.first.window(leaf);
                // Whoever reads only to find a fault is not followed by anybody.
                let next = windows.next.as_ref().filter(|_| role == Role::Main);
                let then = next.map(|next| next.window(leaf));
                // Its column is read alone, and those before it have not given
                // their claims back.
                let claims = match role {
                    Role::Fault => Arc::new(windows.claims.afresh()),
                    Role::Main | Role::Second => Arc::clone(&windows.claims),
                };
                (
                    ChunkBytes::windows(source, chunk, window.end - window.start, then),
                    Some(Claim::new(claims, is_text(column))),
                )
            }
        };
        let pages = Pages {
            common: Arc::clone(common),
            bytes,
            codec: self.codec(leaf),
            levels: Levels {
                repetition: column.column_descr().max_rep_level() > 0,
                definition: column.column_descr().max_def_level() > 0,
            },
            values_left: values(column),
            claim,
            place: self.place().at_column(column.column_path().string()),
            current: None,
        };
        Ok((all, pages))
    }
}

fn at_hand(bytes: &RowGroupBytes, chunk: &Range<u64>) -> Result<Bytes, ParquetError> {
    if chunk.is_empty() {
        return Ok(Bytes::new());
    }
    let length = usize::try_from(chunk.end - chunk.start).expect("it is in memory");
    bytes.slice(chunk.start, length)
}

/// Where in the file a column chunk lies.
pub(super) fn range(column: &ColumnChunkMetaData) -> Range<u64> {
    let (start, length) = column.byte_range();
    start..start + length
}

fn values(column: &ColumnChunkMetaData) -> u64 {
    u64::try_from(column.num_values()).expect("validated with the footer")
}

/// Whether decoded values refer to the page that they come from.
pub(crate) fn is_text(column: &ColumnChunkMetaData) -> bool {
    column.column_type() == PhysicalType::BYTE_ARRAY
}

/// INT96 columns are decoded twice at once.
pub(crate) fn readings(column: &ColumnChunkMetaData) -> u64 {
    if column.column_type() == PhysicalType::INT96 {
        2
    } else {
        1
    }
}
