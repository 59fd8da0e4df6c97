//! Compression of the output in frames that know nothing of each other, so that
//! all threads compress at once.
//!
//! A gzip file may consist of several members and a zstd file of several
//! frames; readers decompress them one after the other. Where a frame ends is a
//! matter of the JSON alone, and settings never change within an engine
//! version, so that the bytes are the same whatever the threads and the budget.

use std::io;

use bytes::{Bytes, BytesMut};
use libdeflater::{CompressionLvl, Compressor as Deflate};

use crate::error::Error;
use crate::options::Compression;

/// Chunks of JSON are about this large.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// A frame holds about this much JSON.
pub(crate) const FRAME_BYTES: usize = 1 << 20;

/// A frame goes on to the end of a line if that comes before this.
const MAX_FRAME_BYTES: usize = FRAME_BYTES + FRAME_BYTES / 4;

const GZIP_LEVEL: i32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// A piece of the JSON that is compressed by itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its place among the frames of the output, from 0.
    pub(crate) number: u64,
    pieces: Vec<Bytes>,
}

impl Frame {
    fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// Cuts a stream of JSON into frames.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    open: Frame,
    bytes: usize,
}

impl Cutter {
    /// Adds the next bytes of the stream; hands out the frames that end in them.
    pub(crate) fn push(&mut self, mut chunk: Bytes, mut full: impl FnMut(Frame)) {
        while !chunk.is_empty() {
            let missing = FRAME_BYTES.saturating_sub(self.bytes);
            let most = (MAX_FRAME_BYTES - self.bytes).min(chunk.len());
            // The line that the frame's last byte belongs to goes with it.
            let searched = chunk.get(missing.saturating_sub(1)..most).unwrap_or(&[]);
            let line = memchr::memchr(b'\n', searched).map(|at| missing.saturating_sub(1) + at + 1);
            let taken = line.unwrap_or(most);
            self.bytes += taken;
            self.open.pieces.push(chunk.split_to(taken));
            if line.is_some() || self.bytes == MAX_FRAME_BYTES {
                full(self.end());
            }
        }
    }

    /// The rest as a frame. The first frame is there even if it is empty: no
    /// bytes at all are no gzip file.
    pub(crate) fn finish(&mut self) -> Option<Frame> {
        (self.bytes > 0 || self.open.number == 0).then(|| self.end())
    }

    fn end(&mut self) -> Frame {
        self.bytes = 0;
        let next = Frame {
            number: self.open.number + 1,
            pieces: Vec::new(),
        };
        std::mem::replace(&mut self.open, next)
    }
}

/// Compresses frames, one at a time.
pub(crate) enum Compressor {
    Gzip(Deflate),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// `None` where there is nothing to compress.
    pub(crate) fn new(compression: Compression) -> Result<Option<Self>, Error> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip => {
                let level = CompressionLvl::new(GZIP_LEVEL).expect("a level that libdeflate has");
                Some(Self::Gzip(Deflate::new(level)))
            }
            Compression::Zstd => Some(Self::Zstd(zstd_compressor().map_err(|e| failed(&e))?)),
        })
    }

    pub(crate) fn compress(&mut self, frame: &Frame) -> Result<Bytes, Error> {
        let mut plain = BytesMut::with_capacity(frame.len());
        for piece in &frame.pieces {
            plain.extend_from_slice(piece);
        }
        let compressed = match self {
            Self::Gzip(deflate) => {
                let mut member = vec![0; deflate.gzip_compress_bound(plain.len())];
                let length = deflate
                    .gzip_compress(&plain, &mut member)
                    .map_err(|error| failed(&error))?;
                member.truncate(length);
                member
            }
            Self::Zstd(zstd) => zstd.compress(&plain).map_err(|error| failed(&error))?,
        };
        // What comes out is far smaller than what has been set aside for it.
        Ok(Bytes::copy_from_slice(&compressed))
    }
}

fn zstd_compressor() -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("compressing in memory failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(stream: &[u8], chunk: usize) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::default();
        let mut frames = Vec::new();
        for chunk in stream.chunks(chunk) {
            cutter.push(Bytes::copy_from_slice(chunk), |frame| frames.push(frame));
        }
        frames.extend(cutter.finish());
        let numbers: Vec<u64> = frames.iter().map(|frame| frame.number).collect();
        assert_eq!(numbers, (0..frames.len() as u64).collect::<Vec<_>>());
        frames.iter().map(|frame| frame.pieces.concat()).collect()
    }

    fn lines(length: usize, count: usize) -> Vec<u8> {
        [vec![b'x'; length - 1], vec![b'\n']].concat().repeat(count)
    }

    #[test]
    fn cuts_depend_on_the_stream_alone() {
        for stream in [
            lines(1000, 5000),
            lines(FRAME_BYTES, 3),
            lines(FRAME_BYTES - 1, 3),
            lines(MAX_FRAME_BYTES + 10, 3),
            lines(4_000_000, 1),
            vec![],
        ] {
            let whole = cut(&stream, usize::MAX);
            assert!(whole.concat() == stream);
            for chunk in [777, 65_536, FRAME_BYTES, FRAME_BYTES + 1] {
                assert!(cut(&stream, chunk) == whole, "{} by {chunk}", stream.len());
            }
        }
    }

    #[test]
    fn frames_end_with_a_line_unless_that_is_too_long() {
        let frames = cut(&lines(1000, 5000), 10_000);
        assert_eq!(frames.len(), 5);
        for frame in &frames[..4] {
            assert!(frame.ends_with(b"\n"));
            assert!((FRAME_BYTES..FRAME_BYTES + 1000).contains(&frame.len()));
        }
        let long = cut(&lines(4_000_000, 1), 10_000);
        assert_eq!(long[0].len(), MAX_FRAME_BYTES);
    }

    #[test]
    fn an_empty_stream_is_one_empty_frame() {
        assert_eq!(cut(&[], 10), [vec![0_u8; 0]]);
    }
}
