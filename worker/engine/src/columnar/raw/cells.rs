//! Cells of a fixed room: the texts of a column's values, each behind the name
//! of the column, formatted ahead for a block of rows.

use std::ops::Range;

use super::Out;
use super::level::Set;

/// Bytes that the text of a value may have.
pub(in crate::columnar) const SLOT: usize = 32;
/// Bytes of a name that stand in every cell.
const HEAD: usize = 32;
/// A cell is copied as a whole, or only its first half if no text of the block
/// is longer.
const CELL: usize = HEAD + SLOT;
const HALF: usize = CELL / 2;
/// Rows that are formatted ahead.
pub(in crate::columnar) const BLOCK: usize = 32;

/// Where the text of a value is written.
pub(in crate::columnar) type Slot = [u8; SLOT];

/// Texts of up to [`BLOCK`] values, with what stands before a value: `,"name":`,
/// or only a comma or a colon.
pub(in crate::columnar) struct Cells {
    /// Bytes of the name that are in the cells; at most [`HEAD`].
    head: usize,
    /// A name that is too long for that; the head is empty then.
    long_name: Box<[u8]>,
    cells: Box<[[u8; CELL]; BLOCK]>,
    /// How many bytes of each cell are text, at most [`CELL`]. A cell without
    /// text is left out, with its name.
    lengths: [u8; BLOCK],
    /// Whether a text may be longer than half a cell.
    may_be_long: bool,
}

impl Cells {
    pub(in crate::columnar) fn new(name: &[u8]) -> Self {
        let (head, long_name) = match name.len() {
            0..=HEAD => (name, &[][..]),
            _ => (&[][..], name),
        };
        let mut cell = [0; CELL];
        cell[..head.len()].copy_from_slice(head);
        Self {
            head: head.len(),
            long_name: long_name.into(),
            cells: Box::new([cell; BLOCK]),
            lengths: [0; BLOCK],
            may_be_long: true,
        }
    }

    /// The place for the text of a cell, whose length is then to be
    /// [set](Self::set).
    #[inline(always)]
    pub(in crate::columnar) fn slot(&mut self, index: usize) -> &mut Slot {
        let cell = &mut self.cells[index];
        // SAFETY: a head is at most `HEAD` long, which leaves a slot of the cell.
        unsafe { &mut *cell.as_mut_ptr().add(self.head).cast::<Slot>() }
    }

    /// Sets the length of the text of a cell, at most [`SLOT`]; 0 leaves the
    /// cell out.
    #[inline(always)]
    pub(in crate::columnar) fn set(&mut self, index: usize, length: usize) {
        debug_assert!(
            length <= SLOT,
            "a text of {length} bytes has no room in a cell"
        );
        let whole = if length == 0 {
            0
        } else {
            self.head + length.min(SLOT)
        };
        self.lengths[index] = whole as u8;
        self.may_be_long = true;
    }

    /// Writes texts into all cells, as little-endian words of which `lengths`
    /// bytes count.
    #[inline(always)]
    pub(in crate::columnar) fn fill_words<const WORDS: usize>(
        &mut self,
        words: &[[u64; BLOCK]; WORDS],
        lengths: &[u8; BLOCK],
    ) {
        const { assert!(size_of::<[u64; WORDS]>() <= SLOT) };
        for index in 0..BLOCK {
            let text = words.each_ref().map(|words| words[index].to_le_bytes());
            let text = text.as_flattened();
            self.slot(index)[..text.len()].copy_from_slice(text);
        }
        let head = self.head as u8;
        for (whole, &length) in self.lengths.iter_mut().zip(lengths) {
            *whole = if length == 0 {
                0
            } else {
                head + length.min(SLOT as u8)
            };
        }
        self.may_be_long = true;
    }

    /// Looks at the lengths of the first `count` cells, which are all set, so
    /// that no more than needed is copied. The other cells are left out.
    #[inline(always)]
    pub(in crate::columnar) fn finish(&mut self, count: usize) {
        self.lengths[count..].fill(0);
        let longest = self
            .lengths
            .iter()
            .fold(0, |most, &length| most.max(length));
        self.may_be_long = usize::from(longest) > HALF;
    }

    /// The text of a cell.
    pub(in crate::columnar) fn get(&self, index: usize) -> &[u8] {
        let length = usize::from(self.lengths[index]);
        &self.cells[index][self.head.min(length)..length]
    }

    /// Bytes that [`put`](Self::put) may write, past the text's end included.
    fn room(&self) -> usize {
        self.long_name.len() + CELL
    }

    /// Writes a cell to `end` and returns where it ends.
    ///
    /// # Safety
    /// [`room`](Self::room) bytes from `end` on are one allocation's, and
    /// `index` is below [`BLOCK`].
    #[inline(always)]
    unsafe fn put(&self, index: usize, mut end: *mut u8) -> *mut u8 {
        // SAFETY: the caller keeps the index below the block.
        let (cell, length) = unsafe {
            let length = *self.lengths.get_unchecked(index);
            (self.cells.get_unchecked(index), usize::from(length))
        };
        if !self.long_name.is_empty() && length > 0 {
            // SAFETY: the room is the name's and a cell's.
            unsafe {
                let name = self.long_name.as_ptr();
                end.copy_from_nonoverlapping(name, self.long_name.len());
                end = end.add(self.long_name.len());
            }
        }
        // SAFETY: there is room for a cell, and no length is above a cell's.
        unsafe {
            if self.may_be_long {
                end.cast::<[u8; CELL]>().write_unaligned(*cell);
            } else {
                let half = cell.as_ptr().cast::<[u8; HALF]>().read_unaligned();
                end.cast::<[u8; HALF]>().write_unaligned(half);
            }
            end.add(length)
        }
    }
}

/// Columns of cells that follow each other within a row.
#[derive(Default)]
pub(in crate::columnar) struct Run {
    columns: Vec<Cells>,
    /// What one row of them may write.
    room: usize,
}

impl Run {
    pub(in crate::columnar) fn new() -> Self {
        Self::default()
    }

    pub(in crate::columnar) fn push(&mut self, cells: Cells) {
        self.room += cells.room();
        self.columns.push(cells);
    }

    /// Hands out the cells of each column. Whatever becomes of them, the room is
    /// that of the cells which are there in the end; after a panic, of none.
    pub(in crate::columnar) fn fill(&mut self, mut fill: impl FnMut(usize, &mut Cells)) {
        let mut columns = std::mem::take(self).columns;
        for (index, cells) in columns.iter_mut().enumerate() {
            fill(index, cells);
        }
        self.room = columns.iter().map(Cells::room).sum();
        self.columns = columns;
    }

    /// Writes one row to `end` and returns where it ends.
    ///
    /// # Safety
    /// The run's room is one allocation's, and `index` is below [`BLOCK`].
    #[inline(always)]
    unsafe fn put(&self, index: usize, end: *mut u8) -> *mut u8 {
        self.columns.iter().fold(end, |end, cells| {
            // SAFETY: the room of a run is the sum of its columns' rooms, and no
            // column moves the end further than by its own.
            unsafe { cells.put(index, end) }
        })
    }

    /// # Safety
    /// As for [`put`](Self::put); the processor has the instructions.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn put_avx2(&self, index: usize, end: *mut u8) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { self.put(index, end) }
    }

    /// # Safety
    /// As for [`put`](Self::put); the processor has the instructions.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx2")]
    unsafe fn put_avx512(&self, index: usize, end: *mut u8) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { self.put(index, end) }
    }
}

impl Out {
    /// Writes the cells of one row of a block.
    #[inline(always)]
    pub(in crate::columnar) fn put_run(&mut self, run: &Run, index: usize) {
        assert!(index < BLOCK, "a block has {BLOCK} rows");
        self.reserve(run.room);
        let end = self.end();
        // SAFETY: the room has been reserved, the index has been checked, and
        // the level says that the processor has the instructions. All bytes up
        // to the end have been written.
        unsafe {
            let end = match self.level.set() {
                Set::Baseline => run.put(index, end),
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => run.put_avx2(index, end),
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => run.put_avx512(index, end),
            };
            self.set_end(end);
        }
    }

    /// Writes the cells of several rows.
    #[inline(always)]
    pub(in crate::columnar) fn put_series(&mut self, cells: &Cells, indices: Range<usize>) {
        assert!(indices.end <= BLOCK, "a block has {BLOCK} rows");
        self.reserve(indices.len() * cells.room());
        let mut end = self.end();
        for index in indices {
            // SAFETY: every cell has its room, and no index reaches the end of
            // the range, which has been checked.
            end = unsafe { cells.put(index, end) };
        }
        // SAFETY: all bytes up to the end have been written.
        unsafe { self.set_end(end) };
    }
}
