//! From the bytes of a row group to decoded columns.
//!
//! A small row group is read whole, in as few requests as possible, and the
//! headers of all its pages are looked at before the first is decoded. A large
//! one is read in windows while it is decoded, each page being checked and paid
//! for when it is met. Either way the decoder sees pages that are what their
//! headers say.

mod buffers;
mod bytes;
mod claims;
mod codec;
mod gate;
mod header;
mod pages;
mod part;
mod prefixes;
mod ranges;
mod row_group;
mod stored;

pub(crate) use self::buffers::{Buffers, IDLE_BYTES};
pub(crate) use self::claims::Claims;
pub(crate) use self::part::{Part, Selection, arrow_error};
pub(crate) use self::ranges::{RowGroupBytes, fetched_bytes, ranges};
pub(crate) use self::row_group::{Beginning, RowGroup, Windows, is_text, readings};
pub(crate) use self::stored::{Stored, as_if_plain};
