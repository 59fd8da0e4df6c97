//! The engine's only unsafe code: text that is written without a check per
//! piece, into memory that has been reserved ahead.
//!
//! What is offered is safe to use in any way. The parts:
//!
//! - [`Out`], a vector that knows two things in addition: its room can be
//!   reserved before it is needed, and stores may then go past the end of the
//!   text as long as they stay within that room. All stores have a fixed width,
//!   wider than most texts; only as much of them counts as is text.
//! - `cells`: texts of up to a [`Slot`]'s bytes behind their names, formatted
//!   ahead by safe code and copied as they are. One reservation pays for a row.
//! - `escape`: JSON strings, looked at and copied in whole vectors.
//! - `level`: the choice of instructions at run time.
//!
//! The invariants that every `SAFETY` comment leans on:
//!
//! 1. The bytes of [`Out`] before its length are initialised, and a store
//!    before [`Out::set_end`] has filled whatever is added to them.
//! 2. A length of [`Cells`] is at most a cell's, and at most half a cell's where
//!    only that is copied; a [`Name`]'s length is that of its parts. Their fields
//!    are private to their modules.
//! 3. Instructions beyond the target's own are used only behind the [`Level`]
//!    that [`Level::best`] has found; nobody else makes one beyond the baseline.
//!
//! Each is tested against plain code, with every level that the processor has.
//! To run the tests under AddressSanitizer:
//!
//! ```sh
//! RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/asan \
//!     cargo test -p etl-engine --lib --target x86_64-unknown-linux-gnu columnar
//! ```
#![allow(
    unsafe_code,
    reason = "stores without a check for each: see the module's documentation"
)]

mod cells;
mod escape;
mod level;
mod name;
#[cfg(test)]
mod tests;

pub(super) use self::cells::{BLOCK, Cells, Run, Slot};
pub(super) use self::escape::special;
pub(super) use self::level::{Level, Work, vectorised};
pub(super) use self::name::Name;

/// Text under way.
#[derive(Debug)]
pub(super) struct Out {
    bytes: Vec<u8>,
    level: Level,
}

impl Out {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: Vec<u8>, level: Level) -> Self {
        Self { bytes, level }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Makes sure that `room` bytes can be stored from the end on.
    #[inline(always)]
    fn reserve(&mut self, room: usize) {
        if self.bytes.capacity() - self.bytes.len() < room {
            self.grow(room);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, room: usize) {
        self.bytes.reserve(room);
    }

    #[inline(always)]
    fn end(&mut self) -> *mut u8 {
        let length = self.bytes.len();
        // SAFETY: a vector's length is within its allocation.
        unsafe { self.bytes.as_mut_ptr().add(length) }
    }

    /// Lets the text end at `end`.
    ///
    /// # Safety
    /// `end` has been reached from [`end`](Self::end) within the reserved room,
    /// and all bytes before it have been written.
    #[inline(always)]
    unsafe fn set_end(&mut self, end: *mut u8) {
        // SAFETY: both pointers are into the vector's allocation, and what is
        // before the new length has been written.
        unsafe {
            let length = end.offset_from_unsigned(self.bytes.as_ptr());
            debug_assert!(
                length <= self.bytes.capacity(),
                "{length} bytes are too long"
            );
            self.bytes.set_len(length);
        }
    }

    #[inline(always)]
    pub(super) fn put_byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn put(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
    }

    /// Appends `length` zeros, to be overwritten.
    pub(super) fn put_room(&mut self, length: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + length, 0);
        &mut self.bytes[start..]
    }

    /// The text from `start` on.
    pub(super) fn tail(&self, start: usize) -> &[u8] {
        &self.bytes[start..]
    }

    pub(super) fn insert(&mut self, at: usize, byte: u8) {
        self.bytes.insert(at, byte);
    }

    /// Puts the brackets of an object or list around what has been written
    /// since the text was `start` bytes long. A comma stands there, unless
    /// nothing does.
    #[inline(always)]
    pub(super) fn close(&mut self, [open, close]: [u8; 2], start: usize) {
        if self.bytes.len() == start {
            self.bytes.push(open);
        } else {
            self.bytes[start] = open;
        }
        self.bytes.push(close);
    }
}
