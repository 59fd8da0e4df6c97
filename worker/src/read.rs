//! One source object as the engine wants it: random access, blocking.
//!
//! Every request names the etag that the plan froze, so an object that is
//! overwritten while it is read fails instead of giving a mixture.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use etl_engine::{ReadAt, ReadError};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use crate::plan::Input;
use crate::progress::Progress;
use crate::store::{Pin, Store, StoreError};

/// Bytes at the end of the object that the first request fetches: nearly
/// always the whole footer.
const TAIL_BYTES: u64 = 512 << 10;

/// Two ranges this close are one request: cheaper than another round trip.
const GAP_BYTES: u64 = 512 << 10;

/// Largest request; larger ranges are fetched in pieces at once.
const REQUEST_BYTES: u64 = 8 << 20;

/// Requests in flight for one call.
const REQUESTS: usize = 8;

/// A source object, pinned.
#[derive(Debug)]
pub struct SourceObject {
    store: Arc<dyn Store>,
    key: String,
    pin: Pin,
    size: u64,
    tail: Piece,
    runtime: Handle,
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl SourceObject {
    /// Opens an input of the plan and fetches its tail.
    pub async fn open(
        store: Arc<dyn Store>,
        input: &Input,
        progress: Arc<Progress>,
    ) -> Result<Self, StoreError> {
        let pin = Pin {
            etag: Some(input.etag.clone()),
            version: input.version.clone(),
        };
        let start = input.size.saturating_sub(TAIL_BYTES);
        let bytes = store.get(&input.key, &pin, Some(start..input.size)).await?;
        progress.read(bytes.len() as u64);
        Ok(SourceObject {
            store,
            key: input.key.clone(),
            pin,
            size: input.size,
            tail: Piece { start, bytes },
            runtime: Handle::current(),
            progress,
        })
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Piece, StoreError> {
        let start = range.start;
        let bytes = self.store.get(&self.key, &self.pin, Some(range)).await?;
        self.progress.read(bytes.len() as u64);
        Ok(Piece { start, bytes })
    }

    async fn fetch_all(&self, requests: Vec<Range<u64>>) -> Result<Vec<Piece>, StoreError> {
        futures::stream::iter(requests)
            .map(|request| self.fetch(request))
            .buffered(REQUESTS)
            .try_collect()
            .await
    }
}

impl ReadAt for SourceObject {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let requests = requests(ranges, self.tail.start);
        let mut pieces = if requests.is_empty() {
            Vec::new()
        } else {
            self.runtime
                .block_on(self.fetch_all(requests))
                .map_err(ReadError::new)?
        };
        pieces.push(Piece {
            start: self.tail.start,
            bytes: self.tail.bytes.clone(),
        });
        ranges
            .iter()
            .map(|range| {
                assemble(&pieces, range).ok_or_else(|| {
                    ReadError::new(format!(
                        "bytes {}..{} lie outside the {} bytes of the object",
                        range.start, range.end, self.size
                    ))
                })
            })
            .collect()
    }
}

/// The requests that fetch `ranges` as far as they lie before `known_from`, in
/// order and without overlap.
fn requests(ranges: &[Range<u64>], known_from: u64) -> Vec<Range<u64>> {
    let mut wanted: Vec<Range<u64>> = ranges
        .iter()
        .map(|range| range.start..range.end.min(known_from))
        .filter(|range| !range.is_empty())
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
    merged.into_iter().flat_map(split).collect()
}

fn split(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let pieces = (range.end - range.start).div_ceil(REQUEST_BYTES);
    (0..pieces).map(move |index| {
        let start = range.start + index * REQUEST_BYTES;
        start..range.end.min(start + REQUEST_BYTES)
    })
}

/// The bytes of `range` from pieces in order; `None` if they leave a gap in it.
fn assemble(pieces: &[Piece], range: &Range<u64>) -> Option<Bytes> {
    let first = pieces.partition_point(|piece| piece.end() <= range.start);
    let slice = |piece: &Piece, from: u64, to: u64| {
        let from = usize::try_from(from.checked_sub(piece.start)?).ok()?;
        let to = usize::try_from(to - piece.start).ok()?;
        Some(piece.bytes.slice(from..to))
    };
    let piece = pieces.get(first)?;
    if range.end <= piece.end() {
        return slice(piece, range.start, range.end);
    }
    let mut position = range.start;
    let mut bytes = BytesMut::new();
    for piece in &pieces[first..] {
        let end = range.end.min(piece.end());
        bytes.extend_from_slice(&slice(piece, position, end)?);
        position = end;
        if position == range.end {
            return Some(bytes.freeze());
        }
    }
    None
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
    fn neighbours_are_merged_and_what_is_known_is_not_asked_for() {
        assert_eq!(requests(&[0..10, 20..30], 1000), [0..30]);
        assert_eq!(requests(&[20..30, 0..10], 1000), [0..30]);
        assert_eq!(
            requests(&[0..10, MIB..MIB + 10], 9 * MIB),
            [0..10, MIB..MIB + 10]
        );
        assert_eq!(requests(&[0..10, 900..1200], 1000), [0..1000]);
        assert_eq!(requests(&[1000..1200], 1000), [0..0; 0]);
    }

    #[test]
    fn large_ranges_become_several_requests() {
        assert_eq!(
            requests(&[1..20 * MIB], 90 * MIB),
            [
                1..8 * MIB + 1,
                8 * MIB + 1..16 * MIB + 1,
                16 * MIB + 1..20 * MIB
            ]
        );
    }

    #[test]
    fn ranges_are_put_together_from_pieces() {
        let piece = |start, text: &'static str| Piece {
            start,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let pieces = [piece(0, "abcd"), piece(4, "efgh"), piece(20, "xyz")];
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
