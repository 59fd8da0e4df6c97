//! Ranges of bytes: which requests fetch them, and how they are put together.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Most bytes between ranges that are fetched with them, all gaps together:
/// cheaper than another round trip. Whoever asks has memory for the ranges and
/// not for what lies between them, so it stays this little however many they are.
const GAPS_BYTES: u64 = 256 << 10;

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

/// The requests that fetch `ranges`, in order: close neighbours together, and what is
/// large in pieces, so that up to `requests` of them share the work.
pub(super) fn requests(ranges: &[Range<u64>], requests: usize) -> Vec<Range<u64>> {
    let mut wanted: Vec<Range<u64>> = ranges
        .iter()
        .filter(|range| !range.is_empty())
        .cloned()
        .collect();
    wanted.sort_unstable_by_key(|range| range.start);
    let widest = widest_bridged(&gaps(&wanted));
    let merged = merge(wanted, widest);
    let bytes: u64 = merged.iter().map(|range| range.end - range.start).sum();
    let piece = (bytes / requests.max(1) as u64).clamp(MIN_REQUEST_BYTES, MAX_REQUEST_BYTES);
    merged
        .into_iter()
        .flat_map(|range| split(range, piece))
        .collect()
}

/// What lies between the ranges, which begin in order: one gap before each, of 0 bytes
/// before the first.
fn gaps(ranges: &[Range<u64>]) -> Vec<u64> {
    let mut end = ranges.first().map_or(0, |range| range.end);
    let gap = |range: &Range<u64>| {
        let gap = range.start.saturating_sub(end);
        end = end.max(range.end);
        gap
    };
    ranges.iter().map(gap).collect()
}

/// Length of the widest gap that is fetched too. The narrowest go first: they save
/// as many round trips as wide ones.
fn widest_bridged(gaps: &[u64]) -> u64 {
    let mut gaps = gaps.to_vec();
    gaps.sort_unstable();
    // Gaps of one length are bridged all or not at all.
    let bridged = gaps.chunk_by(|one, next| one == next).scan(0, |sum, same| {
        *sum += same.iter().sum::<u64>();
        (*sum <= GAPS_BYTES).then_some(same[0])
    });
    bridged.last().unwrap_or(0)
}

/// Ranges that begin in order, put together over gaps of at most `widest` bytes.
fn merge(ranges: Vec<Range<u64>>, widest: u64) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(widest) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
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
    fn little_is_fetched_that_nobody_wants() {
        // Windows of 10 KiB into 1,000 chunks of 128 KiB, as a wide table is read.
        let windows: Vec<_> = (0..1000_u64)
            .map(|chunk| (chunk << 17)..(chunk << 17) + 10_240)
            .collect();
        // And neighbours of different distances, the widest first.
        let uneven: Vec<_> = (0..100_u64)
            .scan(0, |end, index| {
                let start = *end + (100 - index) * 1024;
                *end = start + 1000;
                Some(start..*end)
            })
            .collect();
        for ranges in [windows, uneven] {
            let length = |range: &Range<u64>| range.end - range.start;
            let wanted: u64 = ranges.iter().map(length).sum();
            let asked = requests(&ranges, 16);
            let fetched: u64 = asked.iter().map(length).sum();
            assert!(fetched <= wanted + GAPS_BYTES, "{fetched} of {wanted}");
            let is_there = |range: &Range<u64>| {
                let shared: u64 = asked.iter().map(|asked| overlap(asked, range)).sum();
                shared == length(range)
            };
            assert!(ranges.iter().all(is_there));
        }
    }

    #[test]
    fn the_narrowest_gaps_are_bridged() {
        let kib = |start: u64, end: u64| start << 10..end << 10;
        let ranges = [kib(0, 1), kib(201, 202), kib(302, 303), kib(403, 404)];
        assert_eq!(requests(&ranges, 8), [kib(0, 1), kib(201, 404)]);
        // What overlaps has no gap.
        let ranges = [kib(0, 300), kib(10, 20), kib(400, 401)];
        assert_eq!(requests(&ranges, 8), [kib(0, 401)]);
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
