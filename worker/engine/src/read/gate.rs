//! What parquet's decoder takes for the file.
//!
//! The decoder reads a header, takes as many bytes as it says for the page, and
//! decompresses them. Here it is told that nothing is compressed, and gets
//! headers that have been checked and pages that have been decompressed. Offsets
//! stay those of the file, so a page may be longer than the decoder has asked
//! for: it uses what it gets.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::pages::{Common, Pages, lock};
use crate::error::Error;

/// The column chunks that one reader decodes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate(Arc<Inner>);

struct Inner {
    /// In the order of the file.
    chunks: Vec<Chunk>,
    common: Arc<Common>,
}

struct Chunk {
    range: Range<u64>,
    pages: Mutex<Pages>,
}

impl Gate {
    pub(super) fn new(chunks: Vec<(Range<u64>, Pages)>, common: Arc<Common>) -> Self {
        let mut chunks: Vec<Chunk> = chunks
            .into_iter()
            .map(|(range, pages)| Chunk {
                range,
                pages: Mutex::new(pages),
            })
            .collect();
        chunks.sort_by_key(|chunk| chunk.range.start);
        Self(Arc::new(Inner { chunks, common }))
    }

    /// Lets `ask` have the pages of the chunk that holds byte `offset`.
    fn ask(
        &self,
        offset: u64,
        ask: impl FnOnce(&mut Pages) -> Result<Bytes, Error>,
    ) -> Result<Bytes, ParquetError> {
        let Inner { chunks, common } = &*self.0;
        let after = chunks.partition_point(|chunk| chunk.range.start <= offset);
        let chunk = after.checked_sub(1).map(|index| &chunks[index]);
        let chunk = chunk
            .filter(|chunk| chunk.range.contains(&offset))
            .ok_or_else(|| {
                ParquetError::EOF(format!("byte {offset} lies outside the column chunks"))
            })?;
        ask(&mut lock(&chunk.pages)).map_err(|error| {
            let text = ParquetError::General(error.to_string());
            common.put_fault(error);
            text
        })
    }
}

impl Length for Gate {
    fn len(&self) -> u64 {
        self.0.chunks.last().map_or(0, |chunk| chunk.range.end)
    }
}

impl ChunkReader for Gate {
    type T = HeaderReader;

    fn get_read(&self, start: u64) -> Result<HeaderReader, ParquetError> {
        Ok(HeaderReader::At(self.clone(), start))
    }

    fn get_bytes(&self, start: u64, _: usize) -> Result<Bytes, ParquetError> {
        // The header before it lies in the chunk for certain; a page may be empty
        // and its chunk end here.
        self.ask(start.saturating_sub(1), |pages| pages.page_at(start))
    }
}

/// Reads one page header. The decoder makes readers that it does not use, so the
/// header is looked for when the first byte of it is wanted.
pub(super) enum HeaderReader {
    At(Gate, u64),
    Rest(Bytes),
}

impl Read for HeaderReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::At(gate, offset) = self {
            let offset = *offset;
            let header = gate.ask(offset, |pages| pages.header_at(offset));
            *self = Self::Rest(header.map_err(io::Error::other)?);
        }
        match self {
            Self::Rest(rest) => {
                let length = buffer.len().min(rest.len());
                rest.copy_to_slice(&mut buffer[..length]);
                Ok(length)
            }
            Self::At(..) => Ok(0),
        }
    }
}
