//! Some of the columns of one row group as record batches.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::gate::Gate;
use super::pages::Common;
use super::row_group::{Role, RowGroup};
use crate::error::{Error, Place};
use crate::guard::guarded;
use crate::schema::reason;

/// Which columns a part reads, and as what.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Indices of top-level columns, ascending.
    pub(crate) roots: Vec<usize>,
    /// Whether these are the INT96 columns a second time, as nanoseconds.
    pub(crate) nanos: bool,
}

/// Reads the columns of a [`Selection`], batch by batch.
pub(crate) struct Part<'a> {
    row_group: Arc<RowGroup<'a>>,
    batches: Batches,
    common: Arc<Common>,
    rows_read: u64,
}

enum Batches {
    /// A file may have rows without columns.
    NoColumns,
    Columns(ParquetRecordBatchReader),
}

impl<'a> Part<'a> {
    pub(crate) fn open(
        row_group: &Arc<RowGroup<'a>>,
        selection: &Selection,
    ) -> Result<Self, Error> {
        let common = Arc::new(Common::new(row_group.buffers.clone()));
        let batches = if selection.roots.is_empty() {
            Batches::NoColumns
        } else {
            let (metadata, role) = match &row_group.columns.int96 {
                Some(int96) if selection.nanos => (&int96.reader, Role::Second),
                _ => (&row_group.columns.main, Role::Main),
            };
            let roots = selection.roots.iter().copied();
            let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
            let reader = || row_group.reader(metadata, mask, role, &common);
            Batches::Columns(guarded(row_group.place(), reader)?)
        };
        Ok(Self {
            row_group: Arc::clone(row_group),
            batches,
            common,
            rows_read: 0,
        })
    }

    /// Decodes the next batch: as many rows as all batches have but the last.
    /// Not to be called again after it.
    pub(crate) fn next(&mut self) -> Result<RecordBatch, Error> {
        let claimed = self.row_group.rows();
        let left = claimed - self.rows_read;
        let expected = left.min(self.row_group.batch_rows() as u64);
        let batch = self.decode(expected)?;
        let rows = batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        self.rows_read += rows;
        let has_more = rows == left && self.decode(0)?.is_some();
        match batch {
            Some(batch) if rows == expected && !has_more => Ok(batch),
            _ => {
                let read = self.rows_read;
                let or_more = if has_more { " or more" } else { "" };
                let problem =
                    format!("it holds {read} rows{or_more}, and the footer says {claimed}");
                Err(Error::bad_input(self.row_group.place(), problem))
            }
        }
    }

    fn decode(&mut self, rows: u64) -> Result<Option<RecordBatch>, Error> {
        let reader = match &mut self.batches {
            Batches::NoColumns => return rows_without_columns(rows),
            Batches::Columns(reader) => reader,
        };
        let place = self.row_group.place();
        let batch = guarded(place, || {
            reader
                .next()
                .transpose()
                .map_err(|error| arrow_error(self.row_group.place(), error))
        });
        batch.map_err(|error| match self.common.take_fault() {
            Some(fault) => fault,
            None => self.row_group.name_culprit(error),
        })
    }
}

fn rows_without_columns(rows: u64) -> Result<Option<RecordBatch>, Error> {
    let Some(count) = usize::try_from(rows).ok().filter(|&count| count > 0) else {
        return Ok(None);
    };
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    let schema = arrow_schema::Schema::empty().into();
    let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options);
    batch
        .map(Some)
        .map_err(|error| Error::Internal(error.to_string()))
}

impl RowGroup<'_> {
    pub(super) fn parquet_error(&self, error: &ParquetError) -> Error {
        match error {
            ParquetError::NYI(what) => Error::unsupported(self.place(), what),
            other => Error::bad_input(self.place(), reason(other)),
        }
    }

    /// The decoder does not say which column it stumbled over: read them one by
    /// one to find out. Only damaged files pay for it.
    fn name_culprit(&self, error: Error) -> Error {
        let schema = self.columns.main.parquet_schema();
        for leaf in 0..schema.num_columns() {
            let place = self.place().at_column(schema.column(leaf).path().string());
            match guarded(place.clone(), || self.read_leaf(leaf)) {
                Err(Error::BadInput { problem, .. }) => return Error::bad_input(place, problem),
                Err(Error::Unsupported { what, .. }) => return Error::unsupported(place, what),
                _ => {}
            }
        }
        error
    }

    fn read_leaf(&self, leaf: usize) -> Result<(), Error> {
        let metadata = &self.columns.main;
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), [leaf]);
        let common = Arc::new(Common::new(self.buffers.clone()));
        let mut reader = self.reader(metadata, mask, Role::Fault, &common)?;
        reader.try_for_each(|batch| match batch {
            Ok(_) => Ok(()),
            Err(error) => Err(match common.take_fault() {
                Some(fault) => fault,
                None => arrow_error(self.place(), error),
            }),
        })
    }

    fn reader(
        &self,
        metadata: &ArrowReaderMetadata,
        mask: ProjectionMask,
        role: Role,
        common: &Arc<Common>,
    ) -> Result<ParquetRecordBatchReader, Error> {
        let leaves = 0..metadata.parquet_schema().num_columns();
        let chunks = leaves
            .filter(|&leaf| mask.leaf_included(leaf))
            .map(|leaf| self.pages(leaf, common, role))
            .collect::<Result<_, _>>()?;
        let gate = Gate::new(chunks, Arc::clone(common));
        ParquetRecordBatchReaderBuilder::new_with_metadata(gate, metadata.clone())
            .with_row_groups(vec![self.index()])
            .with_batch_size(self.batch_rows())
            .with_projection(mask)
            .build()
            .map_err(|error| self.parquet_error(&error))
    }
}

/// What the decoder says about damaged values, at `place`.
pub(crate) fn arrow_error(place: Place, error: ArrowError) -> Error {
    match error {
        ArrowError::ParquetError(message) => {
            let message = message.strip_prefix("Parquet error: ").unwrap_or(&message);
            Error::bad_input(place, message)
        }
        ArrowError::NotYetImplemented(what) => Error::unsupported(place, what),
        ArrowError::InvalidArgumentError(message) => Error::bad_input(place, message),
        other => Error::bad_input(place, other.to_string()),
    }
}
