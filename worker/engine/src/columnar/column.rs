//! The columns of a batch, by how their values become text.
//!
//! Most values have a short text. Those columns are formatted ahead, a block of
//! rows at a time and one type in a loop, into cells of a fixed room; a row then
//! only copies cells. The other values are written where they belong.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, StringArray, StringViewArray};
use arrow_buffer::NullBuffer;
use arrow_schema::ArrowError;

use super::digits::part;
use super::nested::{List, Map, Object};
use super::raw::{BLOCK, Cells, Out, Slot};
use super::types;
use crate::options::{JsonOptions, Nulls};

/// Values that have a text of at most a [`Slot`].
pub(super) trait Kernel {
    /// Whether null rows may be written as well, whatever values they hold.
    const ANY_VALUE: bool = false;

    /// Writes the text of the value of `row` and returns its length; to be
    /// marked `#[inline(always)]`. Not asked for a null row unless any value is
    /// fine.
    fn write(&self, row: usize, slot: &mut Slot) -> usize;

    /// Writes the values of `rows` into the first cells, with the same promise;
    /// for kernels that have a faster way for many values at once.
    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        for (index, row) in rows.enumerate() {
            let length = self.write(row, cells.slot(index));
            cells.set(index, length);
        }
    }
}

/// What [`Short`] knows of a kernel: one call per block.
pub(super) trait Fill {
    fn fill(&self, rows: Range<usize>, cells: &mut Cells);
    fn fill_valid(&self, rows: Range<usize>, nulls: &NullBuffer, null: Null, cells: &mut Cells);
}

/// What becomes of a null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Null {
    /// It is left out, with its name.
    Omitted,
    Written,
}

impl From<Nulls> for Null {
    fn from(nulls: Nulls) -> Self {
        match nulls {
            Nulls::Omit => Self::Omitted,
            Nulls::Explicit => Self::Written,
        }
    }
}

impl<K: Kernel> Fill for K {
    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        Kernel::fill(self, rows.clone(), cells);
        cells.finish(rows.len());
    }

    fn fill_valid(&self, rows: Range<usize>, nulls: &NullBuffer, null: Null, cells: &mut Cells) {
        if K::ANY_VALUE {
            Kernel::fill(self, rows.clone(), cells);
        }
        for (index, row) in rows.clone().enumerate() {
            let length = match (nulls.is_valid(row), null) {
                (true, _) if K::ANY_VALUE => continue,
                (true, _) => self.write(row, cells.slot(index)),
                (false, Null::Written) => put_null(cells.slot(index)),
                (false, Null::Omitted) => 0,
            };
            cells.set(index, length);
        }
        cells.finish(rows.len());
    }
}

#[inline(always)]
pub(super) fn put_null(slot: &mut Slot) -> usize {
    *part(slot, 0) = *b"null";
    4
}

/// A column whose values are formatted ahead.
pub(super) struct Short<'a> {
    kernel: Box<dyn Fill + 'a>,
    nulls: Option<NullBuffer>,
}

impl Short<'_> {
    /// Formats `rows`, at most [`BLOCK`] of them.
    pub(super) fn load(&self, rows: Range<usize>, null: Null, cells: &mut Cells) {
        match &self.nulls {
            Some(nulls) if rows.clone().any(|row| nulls.is_null(row)) => {
                self.kernel.fill_valid(rows, nulls, null, cells);
            }
            _ => self.kernel.fill(rows, cells),
        }
    }
}

/// A column whose values are written where they belong.
pub(super) struct Long<'a> {
    values: Values<'a>,
    nulls: Option<NullBuffer>,
}

/// Values whose text may be of any length.
pub(super) enum Values<'a> {
    View(&'a StringViewArray),
    Text(&'a StringArray),
    Object(Object<'a>),
    List(Box<List<'a>>),
    Map(Box<Map<'a>>),
    Other(Box<dyn Write + 'a>),
}

/// Values of other types, written one by one.
pub(super) trait Write {
    fn write(&self, row: usize, out: &mut Out);
}

impl Long<'_> {
    #[inline(always)]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Announces that rows of `rows`, at most [`BLOCK`], will be written next.
    pub(super) fn load(&mut self, rows: Range<usize>) {
        if let Values::Object(object) = &mut self.values {
            object.load(rows);
        }
    }

    /// Writes the value of `row`, which is not null.
    #[inline(always)]
    pub(super) fn write(&mut self, row: usize, out: &mut Out) {
        match &mut self.values {
            Values::View(texts) => out.put_text(texts.value(row).as_bytes()),
            Values::Text(texts) => out.put_text(texts.value(row).as_bytes()),
            Values::Object(object) => object.write(row, out),
            Values::List(list) => list.write(row, out),
            Values::Map(map) => map.write(row, out),
            Values::Other(values) => values.write(row, out),
        }
    }

    #[inline(always)]
    pub(super) fn write_or_null(&mut self, row: usize, out: &mut Out) {
        if self.is_null(row) {
            out.put(b"null");
        } else {
            self.write(row, out);
        }
    }
}

/// Either kind of column.
pub(super) enum Column<'a> {
    Short(Short<'a>),
    Long(Long<'a>),
}

/// The values of a column, without its nulls.
pub(super) enum Kind<'a> {
    Short(Box<dyn Fill + 'a>),
    Long(Values<'a>),
}

impl<'a> Kind<'a> {
    pub(super) fn short(kernel: impl Kernel + 'a) -> Self {
        Self::Short(Box::new(kernel))
    }

    pub(super) fn other(values: impl Write + 'a) -> Self {
        Self::Long(Values::Other(Box::new(values)))
    }
}

impl<'a> Column<'a> {
    pub(super) fn new(array: &'a ArrayRef, json: JsonOptions) -> Result<Self, ArrowError> {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(match types::kind(array, json)? {
            Kind::Short(kernel) => Self::Short(Short { kernel, nulls }),
            Kind::Long(values) => Self::Long(Long { values, nulls }),
        })
    }
}

/// The next rows from `start` on that are formatted together, of `length`.
pub(super) fn block(start: usize, length: usize) -> Range<usize> {
    start..length.min(start + BLOCK)
}
