//! Bodies of answers, and what can go wrong with them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};

/// The body of an answer on its way to the client.
pub(crate) type Reply = UnsyncBoxBody<Bytes, io::Error>;

/// Pieces of a body that comes slowly, per second.
const TICKS: u64 = 10;

/// A body that is there as a whole.
pub(crate) fn whole(bytes: Bytes) -> Reply {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body as it comes from the server.
pub(crate) fn passed(body: Incoming) -> Reply {
    body.map_err(io::Error::other).boxed_unsync()
}

/// The data of a body; trailers are nothing that the servers at hand send.
pub(crate) fn chunks(body: Incoming) -> impl Stream<Item = io::Result<Bytes>> + Send {
    body.into_data_stream()
        .map(|chunk| chunk.map_err(io::Error::other))
}

/// A body from its pieces.
pub(crate) fn from_chunks(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Reply {
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

/// The first bytes of a body, and then the end of the connection.
pub(crate) fn broken_off(body: Incoming, bytes: usize) -> Reply {
    let cut = stream::unfold(
        (chunks(body).boxed(), bytes),
        |(mut rest, left)| async move {
            if left == 0 {
                return Some((Err(io::Error::other("broken off by a rule")), (rest, 0)));
            }
            let mut chunk = match rest.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (rest, left))),
            };
            chunk.truncate(left);
            let left = left - chunk.len();
            Some((Ok(chunk), (rest, left)))
        },
    );
    from_chunks(cut)
}

/// A body at so many bytes per second.
pub(crate) fn trickling(body: Incoming, per_second: u64) -> Reply {
    let piece = usize::try_from((per_second / TICKS).max(1)).unwrap_or(usize::MAX);
    let slow = stream::unfold(
        (chunks(body).boxed(), Bytes::new()),
        move |(mut rest, mut ready)| async move {
            while ready.is_empty() {
                match rest.next().await? {
                    Ok(chunk) => ready = chunk,
                    Err(error) => return Some((Err(error), (rest, ready))),
                }
            }
            tokio::time::sleep(Duration::from_secs(1) / u32::try_from(TICKS).unwrap_or(1)).await;
            let now = ready.split_to(piece.min(ready.len()));
            Some((Ok(now), (rest, ready)))
        },
    );
    from_chunks(slow)
}

/// A body in which one bit of the byte at `offset` is turned.
pub(crate) fn corrupted(body: Incoming, offset: usize) -> Reply {
    let mut before = offset;
    let turned = chunks(body).map(move |chunk| {
        let chunk = chunk?;
        let here = before;
        before = before.wrapping_sub(chunk.len());
        Ok(if here < chunk.len() {
            before = usize::MAX;
            turn(&chunk, here)
        } else {
            chunk
        })
    });
    from_chunks(turned)
}

/// The same bytes with one bit turned: that of the last byte if there are fewer.
pub(crate) fn turn(bytes: &Bytes, offset: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    let last = bytes.len().saturating_sub(1);
    if let Some(byte) = bytes.get_mut(offset.min(last)) {
        *byte ^= 1;
    }
    bytes.into()
}
