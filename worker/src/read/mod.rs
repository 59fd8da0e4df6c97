//! One source object as the engine wants it: random access, blocking.
//!
//! Every request names the etag that the plan froze, so an object that is
//! overwritten while it is read fails instead of giving a mixture. What the
//! engine announces is fetched meanwhile (module `ahead`).

mod ahead;
mod ranges;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{ReadAt, ReadError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::plan::Input;
use crate::progress::Progress;
use crate::store::{Kind, Pin, Store, StoreError};
use ahead::{Ahead, Fetched};
use ranges::{Piece, assemble};

/// Bytes at the end of the object that the first request fetches: nearly
/// always the whole footer, and often the whole object.
const TAIL_BYTES: u64 = 512 << 10;

/// Bytes at the beginning that are fetched with the end: the format's mark.
const HEAD_BYTES: u64 = 4;

/// Requests in flight for one object. S3 gives one connection 85 MB/s.
const REQUESTS: usize = 16;

/// A source object, pinned.
#[derive(Debug)]
pub struct SourceObject {
    object: Arc<Pinned>,
    size: u64,
    /// What is known from the beginning: head and tail.
    known: Vec<Piece>,
    ahead: Ahead,
    runtime: Handle,
}

/// What it takes to read from the object.
#[derive(Debug)]
struct Pinned {
    store: Arc<dyn Store>,
    key: String,
    pin: Pin,
    requests: Semaphore,
    progress: Arc<Progress>,
}

impl Pinned {
    async fn get(&self, range: Option<Range<u64>>) -> Result<Piece, StoreError> {
        // It is never closed.
        let _request = self.requests.acquire().await;
        let start = range.as_ref().map_or(0, |range| range.start);
        let bytes = self.store.get(&self.key, &self.pin, range).await?;
        self.progress.read(bytes.len() as u64);
        Ok(Piece { start, bytes })
    }
}

impl SourceObject {
    /// Opens an input of the plan and fetches its ends, or all of it if it is
    /// small: in one round trip.
    pub async fn open(
        store: Arc<dyn Store>,
        input: &Input,
        progress: Arc<Progress>,
    ) -> Result<Self, StoreError> {
        let pin = Pin {
            etag: Some(input.etag.clone()),
            version: input.version.clone(),
        };
        let object = Arc::new(Pinned {
            store,
            key: input.key.clone(),
            pin,
            requests: Semaphore::new(REQUESTS),
            progress,
        });
        let known = if input.size <= TAIL_BYTES {
            vec![whole(&object, input.size).await?]
        } else {
            let tail = input.size - TAIL_BYTES..input.size;
            let ends = (object.get(Some(0..HEAD_BYTES)), object.get(Some(tail)));
            let (head, tail) = futures::future::try_join(ends.0, ends.1).await?;
            vec![head, tail]
        };
        Ok(SourceObject {
            size: input.size,
            known,
            ahead: Ahead::default(),
            runtime: Handle::current(),
            object,
        })
    }

    /// The parts of `ranges` that are not known from the beginning.
    fn unknown(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let known = self.known.iter().map(Piece::range);
        known.fold(ranges.to_vec(), |ranges, known| {
            ranges
                .into_iter()
                .flat_map(|range| ranges::without(range, &known))
                .collect()
        })
    }

    /// All pieces that are `coming`, and those that are known.
    async fn pieces(&self, coming: Vec<(Range<u64>, Fetched)>) -> Result<Vec<Piece>, StoreError> {
        let mut pieces = self.known.clone();
        for (range, fetched) in coming {
            pieces.push(match fetched.await {
                Some(bytes) => Piece {
                    start: range.start,
                    bytes,
                },
                // It failed when nobody waited for it. Now it may tell why.
                None => self.object.get(Some(range)).await?,
            });
        }
        Ok(pieces)
    }
}

/// A small object by one request, which its checksum covers.
async fn whole(object: &Pinned, size: u64) -> Result<Piece, StoreError> {
    let piece = object.get(None).await?;
    let got = piece.bytes.len();
    if got as u64 != size {
        let uri = object.store.uri(&object.key);
        let detail = format!("it has {got} bytes, and was listed with {size}");
        return Err(StoreError::new(Kind::Unavailable, "read", uri, detail));
    }
    Ok(piece)
}

impl ReadAt for SourceObject {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let outside = |range: &Range<u64>| {
            ReadError::new(format!(
                "bytes {}..{} lie outside the {} bytes of the object",
                range.start, range.end, self.size
            ))
        };
        if let Some(range) = ranges.iter().find(|range| range.end > self.size) {
            return Err(outside(range));
        }
        let unknown = self.unknown(ranges);
        let coming = self.ahead.take(&unknown, &self.runtime, &self.object);
        let pieces = self
            .runtime
            .block_on(self.pieces(coming))
            .map_err(ReadError::new)?;
        ranges
            .iter()
            .map(|range| assemble(&pieces, range).ok_or_else(|| outside(range)))
            .collect()
    }

    fn will_read(&self, ranges: &[Range<u64>]) {
        let unknown = self.unknown(ranges);
        self.ahead.announce(&unknown, &self.runtime, &self.object);
    }
}
