//! The bytes of one column chunk, front to back: all at hand, or a window of
//! them with the next one on its way.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::source::{ReadAt, read_exact};

/// What is left of a column chunk.
pub(super) struct ChunkBytes {
    /// What comes next.
    at_hand: Bytes,
    /// Where in the file that begins.
    offset: u64,
    ahead: Option<Ahead>,
}

/// What has not been read yet.
struct Ahead {
    source: Arc<dyn ReadAt>,
    /// From the end of what is at hand to the end of the chunk.
    rest: Range<u64>,
    window_bytes: u64,
    /// What to announce when nothing more of the chunk is to be.
    then: Option<Range<u64>>,
}

impl Ahead {
    fn window(&self) -> Option<Range<u64>> {
        let Range { start, end } = self.rest;
        let window = start..end.min(start.saturating_add(self.window_bytes));
        (!window.is_empty()).then_some(window)
    }

    /// Reads the next window and announces the one after it.
    fn read(&mut self) -> Result<Bytes, Error> {
        let Some(window) = self.window() else {
            return Ok(Bytes::new());
        };
        self.rest.start = window.end;
        if let Some(next) = self.window().or_else(|| self.then.take()) {
            self.source.will_read(std::slice::from_ref(&next));
        }
        let mut parts = read_exact(&*self.source, std::slice::from_ref(&window))?;
        Ok(parts.swap_remove(0))
    }
}

impl ChunkBytes {
    /// A chunk that has been read.
    pub(super) fn at_hand(bytes: Bytes, offset: u64) -> Self {
        Self {
            at_hand: bytes,
            offset,
            ahead: None,
        }
    }

    /// A chunk to read in windows; the first has been announced, and `then` is
    /// to be after the last.
    pub(super) fn windows(
        source: Arc<dyn ReadAt>,
        chunk: Range<u64>,
        window_bytes: u64,
        then: Option<Range<u64>>,
    ) -> Self {
        Self {
            at_hand: Bytes::new(),
            offset: chunk.start,
            ahead: Some(Ahead {
                source,
                rest: chunk,
                window_bytes,
                then: then.filter(|range| !range.is_empty()),
            }),
        }
    }

    /// Where in the file the next byte is.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of bytes to the end of the chunk.
    pub(super) fn remaining(&self) -> u64 {
        let unread = self
            .ahead
            .as_ref()
            .map_or(0, |ahead| ahead.rest.end - ahead.rest.start);
        self.at_hand.len() as u64 + unread
    }

    /// Whether the bytes are read in windows, and die with them.
    pub(super) fn are_windows(&self) -> bool {
        self.ahead.is_some()
    }

    /// The next bytes as far as they are at hand.
    pub(super) fn peek(&self) -> &[u8] {
        &self.at_hand
    }

    /// Puts one window more at hand; false if there is none.
    pub(super) fn extend(&mut self) -> Result<bool, Error> {
        let Some(ahead) = &mut self.ahead else {
            return Ok(false);
        };
        let window = ahead.read()?;
        let more = !window.is_empty();
        self.at_hand = if self.at_hand.is_empty() {
            window
        } else {
            [&self.at_hand[..], &window].concat().into()
        };
        Ok(more)
    }

    /// Passes over `length` bytes, which are at hand.
    pub(super) fn advance(&mut self, length: usize) {
        let _ = self.at_hand.split_to(length);
        self.offset += length as u64;
    }

    /// The next `length` bytes, of which there are as many.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, Error> {
        self.offset += length as u64;
        if length <= self.at_hand.len() {
            return Ok(self.at_hand.split_to(length));
        }
        let mut taken = BytesMut::with_capacity(length);
        taken.extend_from_slice(&self.at_hand);
        self.at_hand = Bytes::new();
        while taken.len() < length {
            let mut window = match &mut self.ahead {
                Some(ahead) => ahead.read()?,
                None => Bytes::new(),
            };
            if window.is_empty() {
                let problem = "a column chunk was read beyond its end";
                return Err(Error::Internal(problem.to_owned()));
            }
            let missing = (length - taken.len()).min(window.len());
            taken.extend_from_slice(&window.split_to(missing));
            self.at_hand = window;
        }
        Ok(taken.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::error::ReadError;

    /// Remembers what has been announced and read.
    struct Watched {
        bytes: Bytes,
        log: Mutex<Vec<(&'static str, Range<u64>)>>,
    }

    impl ReadAt for Watched {
        fn size(&self) -> u64 {
            self.bytes.size()
        }

        fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
            self.log
                .lock()
                .unwrap()
                .extend(ranges.iter().map(|range| ("read", range.clone())));
            self.bytes.read_ranges(ranges)
        }

        fn will_read(&self, ranges: &[Range<u64>]) {
            self.log
                .lock()
                .unwrap()
                .extend(ranges.iter().map(|range| ("will", range.clone())));
        }
    }

    fn chunk(window_bytes: u64) -> (Arc<Watched>, ChunkBytes) {
        let source = Arc::new(Watched {
            bytes: (0..100).collect::<Vec<u8>>().into(),
            log: Mutex::default(),
        });
        let chunk = ChunkBytes::windows(source.clone(), 10..50, window_bytes, Some(60..70));
        (source, chunk)
    }

    #[test]
    fn bytes_come_in_order_whatever_the_window() {
        for window_bytes in [1, 7, 10, 40, 1000] {
            let (_, mut chunk) = chunk(window_bytes);
            let mut all = Vec::new();
            for length in [3, 0, 11, 1, 20, 5] {
                assert_eq!(chunk.remaining(), 40 - all.len() as u64);
                assert_eq!(chunk.offset(), 10 + all.len() as u64);
                while chunk.peek().len() < length.min(4) && chunk.extend().unwrap() {}
                let ahead = length.min(2);
                all.extend(&chunk.peek()[..ahead]);
                chunk.advance(ahead);
                all.extend(chunk.take(length - ahead).unwrap());
            }
            assert_eq!(all, (10..50).collect::<Vec<u8>>(), "{window_bytes}");
            assert!(!chunk.extend().unwrap());
            assert!(chunk.take(1).is_err());
        }
    }

    #[test]
    fn the_next_window_is_announced_before_the_present_one_is_waited_for() {
        let (source, mut chunk) = chunk(16);
        chunk.take(20).unwrap();
        let log = source.log.lock().unwrap();
        let expected = [
            ("will", 26..42),
            ("read", 10..26),
            ("will", 42..50),
            ("read", 26..42),
        ];
        assert_eq!(*log, expected);
        drop(log);
        chunk.take(20).unwrap();
        let last = source.log.lock().unwrap().split_off(4);
        assert_eq!(last, [("will", 60..70), ("read", 42..50)]);
    }
}
