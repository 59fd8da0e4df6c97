//! Where input bytes come from. The engine never knows what is behind it.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, ReadError};

/// Random access to one immutable object.
///
/// # Assumptions
/// The bytes do not change while a conversion runs: an implementation over a
/// store pins the version (for example with `If-Match`) and fails instead of
/// mixing two of them.
///
/// Calls block and come from the engine's own threads, also concurrently.
pub trait ReadAt: Send + Sync {
    /// Size of the object in bytes.
    fn size(&self) -> u64;

    /// Reads the given ranges, in the order asked for.
    ///
    /// Ranges are not empty and lie within [`size`](Self::size). The engine has
    /// merged neighbours already, so one request per range is a fair choice.
    ///
    /// # Errors
    /// Whatever kept the bytes from being read; the engine hands it back
    /// unchanged inside [`Error::Read`].
    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError>;

    /// Says that `ranges` will be read soon, in this order and once each. Does
    /// not block. A source behind a network fetches them meanwhile and keeps
    /// them until they are read, so the caller announces no more than it has
    /// memory set aside for.
    ///
    /// By default nothing is fetched ahead.
    fn will_read(&self, ranges: &[Range<u64>]) {
        let _ = ranges;
    }
}

impl ReadAt for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let slice = |range: &Range<u64>| {
            let start = usize::try_from(range.start).ok()?;
            let end = usize::try_from(range.end).ok()?;
            (start <= end && end <= self.len()).then(|| self.slice(start..end))
        };
        ranges
            .iter()
            .map(|range| slice(range).ok_or_else(|| out_of_bounds(range, self.size())))
            .collect()
    }
}

fn out_of_bounds(range: &Range<u64>, size: u64) -> ReadError {
    let Range { start, end } = range;
    ReadError::new(format!("bytes {start}..{end} lie outside {size} bytes"))
}

/// Reads `ranges` and holds the source to its contract.
pub(crate) fn read_exact(source: &dyn ReadAt, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
    let parts = source.read_ranges(ranges)?;
    if parts.len() != ranges.len() {
        let (got, asked) = (parts.len(), ranges.len());
        return Err(short_read(format!(
            "the source returned {got} of {asked} ranges"
        )));
    }
    for (part, range) in parts.iter().zip(ranges) {
        if part.len() as u64 != range.end - range.start {
            let (got, Range { start, end }) = (part.len(), range);
            return Err(short_read(format!(
                "the source returned {got} bytes for bytes {start}..{end}"
            )));
        }
    }
    Ok(parts)
}

fn short_read(message: String) -> Error {
    Error::Read(ReadError::new(message))
}
