//! The columnar encoder: decoded values straight into the output buffer.
//!
//! For each batch every column is looked at once and becomes a kind of values
//! with everything prepared that does not depend on the row. Then rows are
//! written one after the other: for each cell a jump by kind, a copy of the
//! name of fixed size, and the value, without virtual calls and without a place
//! in between.
//!
//! It writes what the reference encoder in `render` writes, byte for byte; the
//! tests hold both against each other. Values that cannot be written at all
//! have been refused before (see `schema` and `check`).

mod buffer;
mod column;
mod digits;
mod float;
mod nested;
mod string;
mod time;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;

use self::buffer::{Buffers, window};
use self::nested::Object;
use crate::compress::CHUNK_BYTES;
use crate::options::{Format, JsonOptions};

/// Renders record batches as rows of one output format.
#[derive(Debug, Clone)]
pub(crate) struct Columnar {
    format: Format,
    json: JsonOptions,
    buffers: Buffers,
}

impl Columnar {
    pub(crate) fn new(format: Format, json: JsonOptions) -> Self {
        let buffers = Buffers::default();
        Self {
            format,
            json,
            buffers,
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
        let rows = Object::of(schema.fields(), batch.columns(), self.json)?;
        let mut out = self.buffers.take();
        let mut at = 0;
        for row in 0..batch.num_rows() {
            at = match self.format {
                Format::JsonLines => {
                    let end = rows.write(row, &mut out, at);
                    *window(&mut out, end) = *b"\n";
                    end + 1
                }
                Format::JsonArray => {
                    *window(&mut out, at) = *b",";
                    let separator = usize::from(first_row > 0 || row > 0);
                    rows.write(row, &mut out, at + separator)
                }
            };
            if at >= CHUNK_BYTES {
                let full = std::mem::replace(&mut out, self.buffers.take());
                emit(self.buffers.chunk(full, at))?;
                at = 0;
            }
        }
        emit(self.buffers.chunk(out, at))
    }
}
