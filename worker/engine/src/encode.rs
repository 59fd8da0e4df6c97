//! Decoded rows to JSON text, whichever encoder does it.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;

use crate::check::check;
use crate::columnar::Columnar;
use crate::compress::CHUNK_BYTES;
use crate::error::{Error, Place};
use crate::options::{Encoder, NonFinite, Options};
use crate::render::Renderer;
use crate::sink::Sink;

/// Encodes record batches as a [`Conversion`](crate::Conversion) does, for rows
/// that come from elsewhere than a parquet file.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{Int64Array, RecordBatch};
/// use etl_engine::{BatchEncoder, Options};
///
/// let ids = Arc::new(Int64Array::from(vec![Some(7), None]));
/// let batch = RecordBatch::try_from_iter([("id", ids as _)]).unwrap();
/// let mut json = Vec::new();
/// BatchEncoder::new(&Options::default()).encode(&batch, 0, &mut json).unwrap();
/// assert_eq!(json, b"{\"id\":7}\n{}\n");
/// ```
#[derive(Debug, Clone)]
pub struct BatchEncoder {
    encoder: AnyEncoder,
    non_finite: NonFinite,
}

#[derive(Debug, Clone)]
enum AnyEncoder {
    Columnar(Columnar),
    Reference(Renderer),
}

impl BatchEncoder {
    /// Takes format, rendering and encoder from `options`; compression is not
    /// for single batches.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let encoder = match options.encoder {
            Encoder::Columnar => AnyEncoder::Columnar(Columnar::new(options.format, options.json)),
            Encoder::Reference => {
                AnyEncoder::Reference(Renderer::new(options.format, options.json))
            }
        };
        Self {
            encoder,
            non_finite: options.json.non_finite,
        }
    }

    /// Writes all rows of `batch` to `sink`, whole rows per chunk. What stands
    /// before the first and after the last row of an array is not written.
    ///
    /// `first_row` is the number of rows written before.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a value that has no JSON text,
    /// [`Error::Unsupported`] for a type that parquet columns never are read
    /// as, [`Error::Sink`] with the sink's own error.
    pub fn encode(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        enum Stop {
            Arrow(ArrowError),
            Engine(Error),
        }
        impl From<ArrowError> for Stop {
            fn from(error: ArrowError) -> Self {
                Self::Arrow(error)
            }
        }
        check(batch, &Place::file(), self.non_finite)?;
        let emit = |chunk: Bytes| match chunk.is_empty() {
            true => Ok(()),
            false => sink
                .write(chunk)
                .map_err(|error| Stop::Engine(error.into())),
        };
        self.render(batch, first_row, emit)
            .map_err(|stop| match stop {
                Stop::Arrow(error) => Error::unsupported(Place::file(), error.to_string()),
                Stop::Engine(error) => error,
            })
    }

    /// Hands out all rows of `batch`, whose values have been checked, in chunks
    /// that end with a row; the last one may be empty.
    pub(crate) fn render<E: From<ArrowError>>(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        mut emit: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let renderer = match &self.encoder {
            AnyEncoder::Columnar(encoder) => return encoder.render(batch, first_row, emit),
            AnyEncoder::Reference(renderer) => renderer,
        };
        let mut buffer = Vec::with_capacity(CHUNK_BYTES);
        renderer.render::<E>(batch, first_row, &mut buffer, |buffer| {
            if buffer.len() < CHUNK_BYTES {
                return Ok(());
            }
            let full = std::mem::replace(buffer, Vec::with_capacity(CHUNK_BYTES));
            emit(full.into())
        })?;
        emit(buffer.into())
    }
}
