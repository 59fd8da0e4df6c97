//! One decoded batch on its way to text: prepared, checked and encoded.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;

use crate::check::check;
use crate::encode::BatchEncoder;
use crate::error::{Error, Place};
use crate::guard::guarded;
use crate::options::{Format, JsonOptions, NonFinite, Options};
use crate::prepare::{Preparation, Prepared};
use crate::validate::{Rejected, Rejection};

/// Decoded rows and where they come from.
pub(crate) struct Batch {
    pub(crate) rows: RecordBatch,
    /// Rows before this batch in the row groups that are converted.
    pub(crate) first_row: u64,
    pub(crate) row_group: usize,
}

/// What becomes of a batch, piece by piece.
#[derive(Debug)]
pub(crate) enum Encoded {
    /// Rows of the output. A row that is not the first of its batch, or whose
    /// batch is not the first, has the format's separator before it.
    Chunk(Bytes),
    /// Rows that break a rule, in the order of the file.
    Rejected(Vec<Rejection>),
    /// Lines that are kept of them.
    Quarantine(Bytes),
}

/// An encoder with what stands before it.
#[derive(Clone)]
pub(crate) struct Encoding<'a> {
    preparation: &'a Preparation,
    /// Rows of the file before those that are converted.
    rows_before: u64,
    written: Checked,
    quarantine: Checked,
}

impl<'a> Encoding<'a> {
    pub(crate) fn new(preparation: &'a Preparation, rows_before: u64, options: &Options) -> Self {
        let json = options.json;
        // A value that would fail the conversion may be why a row is rejected.
        let forgiving = JsonOptions {
            non_finite: match json.non_finite {
                NonFinite::Fail => NonFinite::String,
                other => other,
            },
            ..json
        };
        let lines = Options {
            format: Format::JsonLines,
            json: forgiving,
            encoder: options.encoder,
            ..Options::default()
        };
        Self {
            preparation,
            rows_before,
            written: Checked::new(options),
            quarantine: Checked::new(&lines),
        }
    }

    /// Hands out what becomes of `batch`.
    pub(crate) fn encode<E: From<Error> + From<ArrowError>>(
        &self,
        batch: Batch,
        mut emit: impl FnMut(Encoded) -> Result<(), E>,
    ) -> Result<(), E> {
        let place = Place::row_group(batch.row_group);
        guarded(place.clone(), || {
            let before = self.rows_before + batch.first_row;
            let Prepared { rows, rejected } = self.preparation.prepare(batch.rows, before)?;
            if let Some(Rejected { rows, quarantine }) = rejected {
                emit(Encoded::Rejected(rows))?;
                if let Some(lines) = quarantine {
                    let emit = |chunk| emit(Encoded::Quarantine(chunk));
                    self.quarantine.encode(&lines, 0, &place, emit)?;
                }
            }
            let chunk = |chunk| emit(Encoded::Chunk(chunk));
            self.written.encode(&rows, batch.first_row, &place, chunk)
        })
    }
}

/// An encoder and what it refuses.
#[derive(Clone)]
struct Checked {
    encoder: BatchEncoder,
    non_finite: NonFinite,
}

impl Checked {
    fn new(options: &Options) -> Self {
        Self {
            encoder: BatchEncoder::new(options),
            non_finite: options.json.non_finite,
        }
    }

    fn encode<E: From<Error> + From<ArrowError>>(
        &self,
        rows: &RecordBatch,
        first_row: u64,
        place: &Place,
        emit: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        check(rows, place, self.non_finite)?;
        self.encoder.render(rows, first_row, emit)
    }
}
