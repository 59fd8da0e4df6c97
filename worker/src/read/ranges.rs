//! Ranges of bytes: which requests fetch them, and how they are put together.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Two ranges this close are one request: cheaper than another round trip.
const GAP_BYTES: u64 = 256 << 10;

/// Largest request. What was fetched by one request is let go of together.
const MAX_REQUEST_BYTES: u64 = 8 << 20;

/// Smallest request that a larger one is split into: 2 MiB take a connection
/// about as long as the way there and back.
const MIN_REQUEST_BYTES: u64 = 2 << 20;

/// Bytes of an object from some offset on.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Piece {
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.bytes.len() as u64
    }
}

/// Length of what two ranges share.
pub(super) fn overlap(one: &Range<u64>, other: &Range<u64>) -> u64 {
    let (start, end) = (one.start.max(other.start), one.end.min(other.end));
    end.saturating_sub(start)
}

/// What is left of `range` without `hole`: two parts at most.
pub(super) fn without(range: Range<u64>, hole: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let parts = if overlap(&range, hole) == 0 {
        [range, 0..0]
    } else {
        [range.start..hole.start, hole.end..range.end]
    };
    parts.into_iter().filter(|part| part.start < part.end)
}

/// The requests that fetch `ranges`, in order: neighbours together, and what is
/// large in pieces, so that up to `requests` of them share the work.
pub(super) fn requests(ranges: &[Range<u64>], requests: usize) -> Vec<Range<u64>> {
    let mut wanted: Vec<Range<u64>> = ranges
        .iter()
        .filter(|range| !range.is_empty())
        .cloned()
        .collect();
    wanted.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(wanted.len());
    for range in wanted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    let bytes: u64 = merged.iter().map(|range| range.end - range.start).sum();
    let piece = (bytes / requests.max(1) as u64).clamp(MIN_REQUEST_BYTES, MAX_REQUEST_BYTES);
    merged
        .into_iter()
        .flat_map(|range| split(range, piece))
        .collect()
}

/// Pieces of about the same length, none of them longer than `piece`.
fn split(range: Range<u64>, piece: u64) -> impl Iterator<Item = Range<u64>> {
    let length = range.end - range.start;
    let pieces = length.div_ceil(piece);
    let each = length.div_ceil(pieces.max(1));
    (0..pieces).map(move |index| {
        let start = range.start + index * each;
        start..range.end.min(start + each)
    })
}

/// The bytes of `range`; `None` if the pieces leave a gap in it. Without a copy
/// if one piece has them all.
pub(super) fn assemble(pieces: &[Piece], range: &Range<u64>) -> Option<Bytes> {
    let mut position = range.start;
    let mut bytes = BytesMut::new();
    loop {
        let part = part_at(pieces, position, range.end)?;
        position += part.len() as u64;
        if position == range.end && bytes.is_empty() {
            return Some(part);
        }
        if bytes.is_empty() {
            bytes.reserve(usize::try_from(range.end - range.start).ok()?);
        }
        bytes.extend_from_slice(&part);
        if position == range.end {
            return Some(bytes.freeze());
        }
    }
}

/// The most that one piece has from `position` on, up to `end`.
fn part_at(pieces: &[Piece], position: u64, end: u64) -> Option<Bytes> {
    let piece = pieces
        .iter()
        .filter(|piece| piece.range().contains(&position))
        .max_by_key(|piece| piece.range().end)?;
    let from = usize::try_from(position - piece.start).ok()?;
    let to = usize::try_from(end.min(piece.range().end) - piece.start).ok()?;
    Some(piece.bytes.slice(from..to))
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges are what is tested"
)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn neighbours_are_one_request() {
        assert_eq!(requests(&[0..10, 20..30], 8), [0..30]);
        assert_eq!(requests(&[20..30, 0..10], 8), [0..30]);
        assert_eq!(requests(&[0..10, MIB..MIB + 10], 8), [0..10, MIB..MIB + 10]);
        assert_eq!(requests(&[5..5], 8), [0..0; 0]);
    }

    #[test]
    fn large_ranges_are_shared_out() {
        // As many requests as there may be, but none of less than 2 MiB.
        let four = [
            0..2 * MIB,
            2 * MIB..4 * MIB,
            4 * MIB..6 * MIB,
            6 * MIB..8 * MIB,
        ];
        assert_eq!(requests(&[0..8 * MIB], 16), four);
        assert_eq!(requests(&[0..8 * MIB], 2), [0..4 * MIB, 4 * MIB..8 * MIB]);
        // And none of more than 8.
        let many = requests(&[1..100 * MIB], 4);
        assert_eq!(many.len(), 13);
        assert!(many.iter().all(|range| range.end - range.start <= 8 * MIB));
        assert_eq!((many[0].start, many[12].end), (1, 100 * MIB));
        assert!(many.is_sorted_by(|one, next| one.end == next.start));
    }

    #[test]
    fn a_hole_leaves_what_is_around_it() {
        let left = |range, hole| without(range, &hole).collect::<Vec<_>>();
        assert_eq!(left(0..10, 3..5), [0..3, 5..10]);
        assert_eq!(left(0..10, 0..5), [5..10]);
        assert_eq!(left(0..10, 5..20), [0..5]);
        assert_eq!(left(0..10, 10..20), [0..10]);
        assert_eq!(left(0..10, 0..10), [0..0; 0]);
    }

    #[test]
    fn ranges_are_put_together_from_pieces() {
        let piece = |start, text: &'static str| Piece {
            start,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let pieces = [
            piece(4, "efgh"),
            piece(0, "abcd"),
            piece(20, "xyz"),
            piece(2, "cd"),
        ];
        for (range, expected) in [
            (0..4, Some("abcd")),
            (1..3, Some("bc")),
            (4..8, Some("efgh")),
            (2..6, Some("cdef")),
            (21..23, Some("yz")),
            (6..10, None),
            (10..12, None),
            (22..25, None),
        ] {
            let bytes = assemble(&pieces, &range);
            assert_eq!(bytes.as_deref(), expected.map(str::as_bytes), "{range:?}");
        }
    }
}
