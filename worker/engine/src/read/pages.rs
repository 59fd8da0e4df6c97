//! The pages of one column chunk, checked, decompressed and paid for one by
//! one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};

use super::buffers::Buffers;
use super::bytes::ChunkBytes;
use super::claims::{Claim, page_bytes};
use super::codec::{Codecs, Failed};
use super::header::{self, Header, PageKind};
use super::prefixes;
use crate::error::{Error, Place};

/// Statistics in a header may hold whole values; this is more than enough.
const MAX_HEADER_BYTES: usize = 4 << 20;

/// What the chunks of one reader have in common.
#[derive(Default)]
pub(super) struct Common {
    codecs: Mutex<Codecs>,
    /// Why a page could not be had. The decoder only knows texts.
    fault: Mutex<Option<Error>>,
    pub(super) buffers: Buffers,
}

impl Common {
    pub(super) fn new(buffers: Buffers) -> Self {
        Self {
            buffers,
            ..Self::default()
        }
    }

    /// The error behind the decoder's, if it was one of a page.
    pub(super) fn take_fault(&self) -> Option<Error> {
        lock(&self.fault).take()
    }

    /// Keeps the first error for whoever gets the decoder's.
    pub(super) fn put_fault(&self, error: Error) {
        lock(&self.fault).get_or_insert(error);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the pages of one column chunk, in order.
pub(super) struct Pages {
    pub(super) common: Arc<Common>,
    pub(super) bytes: ChunkBytes,
    pub(super) codec: Compression,
    pub(super) levels: Levels,
    /// Values that the footer promises and no page has held yet. What comes
    /// after the last one is not looked at.
    pub(super) values_left: u64,
    pub(super) claim: Option<Claim>,
    pub(super) place: Place,
    /// The page whose header has been read last.
    pub(super) current: Option<Current>,
}

/// Which levels stand before the values of the pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    pub(super) repetition: bool,
    pub(super) definition: bool,
}

/// Texts of one page and their lengths take no more than this, whatever they
/// share.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// A page between its header and its body.
pub(super) struct Current {
    /// `None` after the last page.
    header: Option<Header>,
    /// Where in the file its header is.
    offset: u64,
    for_decoder: Bytes,
}

impl Pages {
    /// The header at `offset` for the decoder. May be asked for again.
    pub(super) fn header_at(&mut self, offset: u64) -> Result<Bytes, Error> {
        if let Some(current) = &self.current {
            if current.offset == offset {
                return Ok(current.for_decoder.clone());
            }
            if let Some(skipped) = current
                .header
                .as_ref()
                .filter(|h| h.page == PageKind::Index)
            {
                let stored = skipped.stored;
                self.bytes.take(stored)?;
                self.current = None;
            }
        }
        if self.current.is_some() || self.bytes.offset() != offset {
            return Err(self.out_of_order(offset));
        }
        let (header, for_decoder) = if self.values_left == 0 {
            (None, header::filler(self.bytes.remaining()))
        } else {
            let header = self.read_header()?;
            let for_decoder = header::for_decoder(&header);
            (Some(header), for_decoder)
        };
        let for_decoder = for_decoder.ok_or_else(|| self.bad("a page header is damaged"))?;
        let current = self.current.insert(Current {
            header,
            offset,
            for_decoder,
        });
        Ok(current.for_decoder.clone())
    }

    fn read_header(&mut self) -> Result<Header, Error> {
        let header = loop {
            match header::read(self.bytes.peek()) {
                Ok(header) => break header,
                Err(damaged) => {
                    if self.bytes.peek().len() > MAX_HEADER_BYTES || !self.bytes.extend()? {
                        return Err(self.bad(format!("a page header is damaged: {}", damaged.0)));
                    }
                }
            }
        };
        header
            .check(self.bytes.remaining(), self.codec)
            .map_err(|problem| self.bad(problem))?;
        self.values_left = self
            .values_left
            .checked_sub(header.values())
            .ok_or_else(|| self.bad("the pages hold more values than the footer says"))?;
        if header.length as u64 + header.stored as u64 == self.bytes.remaining()
            && self.values_left > 0
        {
            let left = self.values_left;
            return Err(self.bad(format!(
                "the pages hold {left} values fewer than the footer says"
            )));
        }
        self.bytes.advance(header.length);
        Ok(header)
    }

    /// The decompressed page that lies at `offset` in the file.
    pub(super) fn page_at(&mut self, offset: u64) -> Result<Bytes, Error> {
        let current = self.current.take().and_then(|current| current.header);
        let header = current
            .filter(|_| self.bytes.offset() == offset)
            .ok_or_else(|| self.out_of_order(offset))?;
        if let Some(claim) = &mut self.claim {
            claim.raise(&header, 0, &self.place)?;
        }
        let stored = self.bytes.take(header.stored)?;
        let place = || self.place.clone().at_offset(offset);
        if header
            .crc
            .is_some_and(|crc| crc != crc32fast::hash(&stored))
        {
            return Err(Error::bad_input(
                place(),
                "a page does not match its checksum",
            ));
        }
        let (plain, decoded) = self
            .plain(&header, stored)
            .and_then(|plain| {
                let decoded = self.text_bytes(&header, &plain)?;
                Ok((plain, decoded))
            })
            .map_err(|failed| match failed {
                Failed::Damaged(problem) => Error::bad_input(place(), problem),
                Failed::Unsupported(what) => Error::unsupported(place(), what),
            })?;
        if let Some(claim) = &mut self.claim {
            claim.raise(&header, decoded, &self.place)?;
        }
        Ok(plain)
    }

    /// Bytes that decoding a page takes beside it, where the decoder would
    /// believe the page.
    fn text_bytes(&self, header: &Header, plain: &Bytes) -> Result<u64, Failed> {
        let encoding = match header.page {
            PageKind::Data { encoding, .. } | PageKind::DataV2 { encoding, .. } => encoding,
            PageKind::Dictionary { .. } | PageKind::Index => return Ok(0),
        };
        let shares = match encoding {
            Encoding::DELTA_BYTE_ARRAY => true,
            Encoding::DELTA_LENGTH_BYTE_ARRAY => false,
            _ => return Ok(0),
        };
        let measure = if shares {
            prefixes::decoded_bytes
        } else {
            prefixes::length_bytes
        };
        let texts = self.values(header, plain);
        let bytes = texts
            .ok_or(prefixes::ENDS)
            .and_then(|texts| measure(texts, header.values(), MAX_TEXT_BYTES))
            .map_err(|prefixes::Damaged(problem)| Failed::Damaged(problem.to_owned()))?;
        if bytes > MAX_TEXT_BYTES {
            return Err(Failed::Unsupported(if shares {
                "a page has more than 64 MiB of texts that share their beginnings: write \
                 smaller pages, or use another encoding than DELTA_BYTE_ARRAY"
            } else {
                "a page has more than 64 MiB of lengths of texts: write smaller pages"
            }));
        }
        Ok(bytes)
    }

    /// A data page without its levels.
    fn values<'b>(&self, header: &Header, plain: &'b [u8]) -> Option<&'b [u8]> {
        if let PageKind::DataV2 { .. } = header.page {
            return plain.get(usize::try_from(header.level_bytes()).ok()?..);
        }
        let mut rest = plain;
        for is_there in [self.levels.repetition, self.levels.definition] {
            if is_there {
                let (length, tail) = rest.split_first_chunk()?;
                rest = tail.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
            }
        }
        Some(rest)
    }

    fn plain(&self, header: &Header, stored: Bytes) -> Result<Bytes, Failed> {
        if self.codec == Compression::UNCOMPRESSED || header.is_stored_plain() {
            if stored.len() != header.plain {
                let (stored, plain) = (stored.len(), header.plain);
                return Err(Failed::Damaged(format!(
                    "a page of {stored} bytes that are not compressed claims {plain}"
                )));
            }
            // Values may live on in batches, and should not keep a window alive.
            return Ok(if self.bytes.are_windows() {
                Bytes::copy_from_slice(&stored)
            } else {
                stored
            });
        }
        let levels = usize::try_from(header.level_bytes()).expect("checked against the page");
        self.common.buffers.fill(header.plain, |plain| {
            let (plain_levels, plain_values) = plain.split_at_mut(levels);
            let (stored_levels, stored_values) = stored.split_at(levels);
            plain_levels.copy_from_slice(stored_levels);
            lock(&self.common.codecs).decompress(self.codec, stored_values, plain_values)
        })
    }

    fn bad(&self, problem: impl Into<String>) -> Error {
        let place = self.place.clone().at_offset(self.bytes.offset());
        Error::bad_input(place, problem)
    }

    fn out_of_order(&self, offset: u64) -> Error {
        self.bad(format!("the decoder came upon byte {offset} instead"))
    }
}

/// What is wrong with the pages of a chunk, and where in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPage {
    pub(super) offset: u64,
    pub(super) problem: String,
}

/// Memory that decoding a chunk at hand holds at once: its dictionary and its
/// largest page.
pub(super) fn working_bytes(
    chunk: &Bytes,
    start: u64,
    values: u64,
    codec: Compression,
    is_text: bool,
) -> Result<u64, BadPage> {
    let (mut at, mut seen, mut dictionary, mut largest) = (0, 0_u64, 0, 0);
    while seen < values {
        let bad = |problem| BadPage {
            offset: start + at as u64,
            problem,
        };
        let rest = &chunk[at..];
        if rest.is_empty() {
            let left = values - seen;
            return Err(bad(format!(
                "the pages hold {left} values fewer than the footer says"
            )));
        }
        let header = header::read(rest)
            .map_err(|damaged| bad(format!("a page header is damaged: {}", damaged.0)))?;
        header.check(rest.len() as u64, codec).map_err(bad)?;
        let bytes = page_bytes(&header, is_text);
        match header.page {
            PageKind::Dictionary { .. } => dictionary = bytes,
            _ => largest = bytes.max(largest),
        }
        seen += header.values();
        if seen > values {
            return Err(bad(
                "the pages hold more values than the footer says".to_owned()
            ));
        }
        at += header.length + header.stored;
    }
    Ok(dictionary + largest)
}
