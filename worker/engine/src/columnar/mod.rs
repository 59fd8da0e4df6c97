//! The columnar encoder: decoded values straight into the output buffer.
//!
//! For each batch every column is looked at once and becomes a kind of values
//! with everything prepared that does not depend on the row. Then a block of
//! rows after the other is written: first each column formats its values, one
//! type in a loop, into cells of a fixed room; then row by row the cells are
//! copied with the names before them, in stores of fixed width. Values that may
//! be long, such as text, skip the cells and are written in their row.
//!
//! It writes what the reference encoder in `render` writes, byte for byte; the
//! tests hold both against each other. Values that cannot be written at all
//! have been refused before (see `schema` and `check`).
//!
//! A new type is added in [`types`], and nowhere else.

mod binary;
mod buffer;
mod calendar;
mod column;
mod decimal;
mod digits;
mod float;
mod nested;
mod raw;
mod short;
mod shortest;
mod text;
mod time;
mod timestamp;
mod types;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;

use self::buffer::Buffers;
use self::column::block;
use self::nested::Object;
use self::raw::{Level, Out};
use crate::compress::CHUNK_BYTES;
use crate::options::{Format, JsonOptions};

/// Renders record batches as rows of one output format.
#[derive(Debug, Clone)]
pub(crate) struct Columnar {
    format: Format,
    json: JsonOptions,
    buffers: Buffers,
    level: Level,
}

impl Columnar {
    pub(crate) fn new(format: Format, json: JsonOptions) -> Self {
        Self {
            format,
            json,
            buffers: Buffers::default(),
            level: Level::best(),
        }
    }

    /// Renders all rows of `batch` and hands them out in chunks, each of which
    /// ends with a row.
    ///
    /// `first_row` is the number of rows before this batch in the output.
    pub(crate) fn render<E: From<ArrowError>>(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        mut emit: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let schema = batch.schema();
        let mut rows = Object::of(schema.fields(), batch.columns(), self.json)?;
        let mut out = self.buffer();
        let mut start = 0;
        while start < batch.num_rows() {
            let block = block(start, batch.num_rows());
            start = block.end;
            rows.load(block.clone());
            for row in block {
                if self.format == Format::JsonArray && (first_row > 0 || row > 0) {
                    out.put_byte(b',');
                }
                rows.write(row, &mut out);
                if self.format == Format::JsonLines {
                    out.put_byte(b'\n');
                }
                if out.len() >= CHUNK_BYTES {
                    let full = std::mem::replace(&mut out, self.buffer());
                    emit(self.buffers.chunk(full.into_bytes()))?;
                }
            }
        }
        emit(self.buffers.chunk(out.into_bytes()))
    }

    fn buffer(&self) -> Out {
        Out::new(self.buffers.take(), self.level)
    }
}
