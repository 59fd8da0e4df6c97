//! Pages decompressed into exactly the memory that their header says, whatever
//! their bytes say.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;

/// Why a page cannot be decompressed.
#[derive(Debug)]
pub(super) enum Failed {
    Damaged(String),
    Unsupported(&'static str),
}

/// What decompression needs again and again. One at a time uses it.
#[derive(Default)]
pub(super) struct Codecs {
    /// The only context worth keeping.
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Codecs {
    /// Decompresses `stored` into all of `plain`.
    pub(super) fn decompress(
        &mut self,
        codec: Compression,
        stored: &[u8],
        plain: &mut [u8],
    ) -> Result<(), Failed> {
        let expected = plain.len();
        if expected == 0 {
            // A page of nulls alone may have no bytes at all.
            return Ok(());
        }
        let written = match codec {
            Compression::UNCOMPRESSED => return copy(stored, plain),
            Compression::SNAPPY => snap::raw::Decoder::new()
                .decompress(stored, plain)
                .map_err(|error| damaged(&error))?,
            Compression::ZSTD(_) => self.zstd(stored, plain).map_err(|error| damaged(&error))?,
            Compression::LZ4_RAW => lz4(stored, plain)?,
            Compression::LZ4 => lz4_hadoop(stored, plain)
                .or_else(|| fill(lz4_flex::frame::FrameDecoder::new(stored), plain).ok())
                .map_or_else(|| lz4(stored, plain), Ok)?,
            Compression::GZIP(_) => {
                fill(MultiGzDecoder::new(stored), plain).map_err(|error| damaged(&error))?
            }
            Compression::BROTLI(_) => fill(
                brotli::Decompressor::new(stored, BROTLI_BUFFER_BYTES),
                plain,
            )
            .map_err(|error| damaged(&error))?,
            Compression::LZO => return Err(Failed::Unsupported("its compression is LZO")),
        };
        if written == expected {
            return Ok(());
        }
        Err(Failed::Damaged(format!(
            "a page becomes {written} bytes, and its header says {expected}"
        )))
    }

    fn zstd(&mut self, stored: &[u8], plain: &mut [u8]) -> io::Result<usize> {
        let decompressor = match &mut self.zstd {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(stored, plain)
    }
}

const BROTLI_BUFFER_BYTES: usize = 4 << 10;

fn copy(stored: &[u8], plain: &mut [u8]) -> Result<(), Failed> {
    if stored.len() != plain.len() {
        let (stored, plain) = (stored.len(), plain.len());
        let problem = format!("a page of {stored} bytes that are not compressed claims {plain}");
        return Err(Failed::Damaged(problem));
    }
    plain.copy_from_slice(stored);
    Ok(())
}

fn lz4(stored: &[u8], plain: &mut [u8]) -> Result<usize, Failed> {
    lz4_flex::block::decompress_into(stored, plain).map_err(|error| damaged(&error))
}

/// Hadoop's framing: each block preceded by its two lengths, plain and stored,
/// as big-endian numbers. `None` if that is not what it is: other writers have
/// put LZ4 frames or bare blocks under the same name.
fn lz4_hadoop(stored: &[u8], plain: &mut [u8]) -> Option<usize> {
    let (mut rest, mut written) = (stored, 0_usize);
    while !rest.is_empty() {
        let (plain_bytes, after) = length(rest)?;
        let (stored_bytes, after) = length(after)?;
        let (block, after) = after.split_at_checked(stored_bytes)?;
        let room = plain.get_mut(written..written.checked_add(plain_bytes)?)?;
        let bytes = lz4_flex::block::decompress_into(block, room).ok()?;
        if bytes != plain_bytes {
            return None;
        }
        written += bytes;
        rest = after;
    }
    (written == plain.len()).then_some(written)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

/// Reads until `plain` is full or the stream ends, and makes sure that it does.
/// Returns one more than there is room for if it goes on.
fn fill(mut stream: impl Read, plain: &mut [u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < plain.len() {
        match stream.read(&mut plain[written..])? {
            0 => return Ok(written),
            bytes => written += bytes,
        }
    }
    Ok(written + stream.read(&mut [0])?)
}

fn damaged(error: &dyn std::fmt::Display) -> Failed {
    Failed::Damaged(format!("a page cannot be decompressed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};

    use super::*;

    fn text() -> Vec<u8> {
        (0..5000_u32)
            .flat_map(|n| (n % 97).to_string().into_bytes())
            .collect()
    }

    fn hadoop(blocks: &[&[u8]]) -> Vec<u8> {
        let mut stored = Vec::new();
        for block in blocks {
            let bytes = lz4_flex::block::compress(block);
            stored.extend((block.len() as u32).to_be_bytes());
            stored.extend((bytes.len() as u32).to_be_bytes());
            stored.extend(bytes);
        }
        stored
    }

    fn stored(text: &[u8]) -> Vec<(Compression, Vec<u8>)> {
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 5, 20)
            .write_all(text)
            .unwrap();
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(text).unwrap();
        let (first, second) = text.split_at(1000);
        vec![
            (Compression::UNCOMPRESSED, text.to_vec()),
            (
                Compression::SNAPPY,
                snap::raw::Encoder::new().compress_vec(text).unwrap(),
            ),
            (
                Compression::ZSTD(ZstdLevel::default()),
                zstd::bulk::compress(text, 1).unwrap(),
            ),
            (Compression::LZ4_RAW, lz4_flex::block::compress(text)),
            (Compression::LZ4, hadoop(&[first, second])),
            (Compression::LZ4, frame.finish().unwrap()),
            (Compression::LZ4, lz4_flex::block::compress(text)),
            (Compression::GZIP(GzipLevel::default()), gzip(text)),
            (
                Compression::GZIP(GzipLevel::default()),
                [gzip(first), gzip(second)].concat(),
            ),
            (Compression::BROTLI(BrotliLevel::default()), brotli),
        ]
    }

    #[test]
    fn every_codec_gives_the_text_back() {
        let text = text();
        let mut codecs = Codecs::default();
        for (codec, stored) in stored(&text) {
            let mut plain = vec![0; text.len()];
            codecs.decompress(codec, &stored, &mut plain).unwrap();
            assert!(plain == text, "{codec:?}");
        }
    }

    #[test]
    fn a_page_that_becomes_more_or_less_than_it_says_is_damaged() {
        let text = text();
        let mut codecs = Codecs::default();
        for (codec, stored) in stored(&text) {
            for length in [text.len() - 1, text.len() + 1, 10] {
                let mut plain = vec![0; length];
                let result = codecs.decompress(codec, &stored, &mut plain);
                assert!(
                    matches!(result, Err(Failed::Damaged(_))),
                    "{codec:?} {length}"
                );
            }
            let cut = &stored[..stored.len() / 2];
            let result = codecs.decompress(codec, cut, &mut vec![0; text.len()]);
            assert!(matches!(result, Err(Failed::Damaged(_))), "{codec:?}");
        }
    }
}
