//! The last step before the sink: compression of the stream, with settings
//! that never change within an engine version.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;

use crate::error::Error;
use crate::options::Compression;
use crate::sink::Sink;

/// Chunks handed to the sink are about this large.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// Compresses chunks and counts what leaves.
pub(crate) struct Output<'s> {
    sink: &'s mut dyn Sink,
    encoder: Encoder,
    bytes: u64,
}

enum Encoder {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl<'s> Output<'s> {
    pub(crate) fn new(sink: &'s mut dyn Sink, compression: Compression) -> Result<Self, Error> {
        let encoder = match compression {
            Compression::None => Encoder::Plain,
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Encoder::Gzip(flate2::GzBuilder::new().mtime(0).write(Vec::new(), level))
            }
            Compression::Zstd => Encoder::Zstd(zstd_encoder().map_err(failed)?),
        };
        Ok(Self {
            sink,
            encoder,
            bytes: 0,
        })
    }

    pub(crate) fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let ready = match &mut self.encoder {
            Encoder::Plain => chunk,
            Encoder::Gzip(encoder) => {
                encoder.write_all(&chunk).map_err(failed)?;
                take_full(encoder.get_mut())
            }
            Encoder::Zstd(encoder) => {
                encoder.write_all(&chunk).map_err(failed)?;
                take_full(encoder.get_mut())
            }
        };
        self.send(ready)
    }

    /// Writes what is left and returns the number of bytes the sink has got.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        let rest = match std::mem::replace(&mut self.encoder, Encoder::Plain) {
            Encoder::Plain => Vec::new(),
            Encoder::Gzip(encoder) => encoder.finish().map_err(failed)?,
            Encoder::Zstd(encoder) => encoder.finish().map_err(failed)?,
        };
        self.send(rest.into())?;
        Ok(self.bytes)
    }

    fn send(&mut self, chunk: Bytes) -> Result<(), Error> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.bytes += chunk.len() as u64;
        Ok(self.sink.write(chunk)?)
    }
}

fn zstd_encoder() -> io::Result<zstd::stream::write::Encoder<'static, Vec<u8>>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn take_full(buffer: &mut Vec<u8>) -> Bytes {
    if buffer.len() < CHUNK_BYTES {
        return Bytes::new();
    }
    std::mem::take(buffer).into()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn failed(error: io::Error) -> Error {
    Error::Internal(format!("compressing in memory failed: {error}"))
}
