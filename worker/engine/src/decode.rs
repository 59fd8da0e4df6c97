//! Row groups to record batches.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use crate::error::{Error, Place};
use crate::guard::guarded;
use crate::int96;
use crate::memory::batch_rows;
use crate::pages::{BadPage, working_bytes};
use crate::row_group::{RowGroupBytes, fetched_bytes};
use crate::schema::{Columns, reason};

/// One row group with its bytes at hand.
pub(crate) struct RowGroup<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) index: usize,
    pub(crate) bytes: RowGroupBytes,
}

impl RowGroup<'_> {
    /// Decodes all rows, batch by batch, and checks that there are as many as
    /// the footer says.
    pub(crate) fn decode<E: From<Error>>(
        &self,
        mut each: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let claimed = self.rows();
        let mut rows = 0;
        let mut batches = guarded(self.place(), || self.batches())?;
        while let Some(batch) = guarded(self.place(), || batches.next().transpose())
            .map_err(|error| self.name_culprit(error))?
        {
            rows += batch.num_rows() as u64;
            if rows > claimed {
                break;
            }
            each(batch)?;
        }
        if rows == claimed {
            return Ok(());
        }
        let problem = format!("it holds {rows} rows or more, and the footer says {claimed}");
        let problem = if rows < claimed {
            problem.replace(" or more", "")
        } else {
            problem
        };
        Err(Error::bad_input(self.place(), problem).into())
    }

    /// Checks the page headers, and that decoding the row group beside
    /// `beside` bytes of other memory stays within `budget`; returns the sum.
    pub(crate) fn check_pages(&self, beside: u64, budget: u64) -> Result<u64, Error> {
        let metadata = self.columns.main.metadata().row_group(self.index);
        let mut working = 0_u64;
        for column in metadata.columns() {
            let (start, length) = column.byte_range();
            if length == 0 {
                continue;
            }
            let path = column.column_path().string();
            let length = usize::try_from(length).expect("it has been fetched into memory");
            let chunk = self
                .bytes
                .get_bytes(start, length)
                .map_err(|e| self.parquet_error(&e))?;
            let values = u64::try_from(column.num_values()).expect("validated with the footer");
            let bytes = working_bytes(&chunk, values).map_err(|BadPage { offset, problem }| {
                let place = self.place().at_column(&path).at_offset(start + offset);
                Error::bad_input(place, problem)
            })?;
            // INT96 columns are decoded twice at once.
            let readings = if column.column_type() == PhysicalType::INT96 {
                2
            } else {
                1
            };
            working = working.saturating_add(bytes.saturating_mul(readings));
        }
        let needed = beside
            .saturating_add(fetched_bytes(metadata))
            .saturating_add(working);
        if needed > budget {
            return Err(Error::NotEnoughMemory {
                place: self.place(),
                needed,
                budget,
            });
        }
        Ok(needed)
    }

    fn place(&self) -> Place {
        Place::row_group(self.index)
    }

    fn rows(&self) -> u64 {
        let rows = self
            .columns
            .main
            .metadata()
            .row_group(self.index)
            .num_rows();
        u64::try_from(rows).expect("validated with the footer")
    }

    fn batches(&self) -> Result<Batches<'_>, Error> {
        if self.columns.main.schema().fields().is_empty() {
            return Ok(Batches::NoColumns { rows: self.rows() });
        }
        let main = self.reader(&self.columns.main, ProjectionMask::all())?;
        let Some(columns) = &self.columns.int96 else {
            return Ok(Batches::Plain {
                row_group: self,
                main,
            });
        };
        let nanos = self.reader(&columns.reader, columns.projection())?;
        Ok(Batches::Int96 {
            row_group: self,
            main,
            nanos,
            roots: &columns.roots,
        })
    }

    fn reader(
        &self,
        metadata: &ArrowReaderMetadata,
        projection: ProjectionMask,
    ) -> Result<ParquetRecordBatchReader, Error> {
        let batch_rows = batch_rows(metadata.metadata().row_group(self.index));
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), metadata.clone())
            .with_row_groups(vec![self.index])
            .with_batch_size(batch_rows)
            .with_projection(projection)
            .build()
            .map_err(|error| self.parquet_error(&error))
    }

    fn parquet_error(&self, error: &ParquetError) -> Error {
        match error {
            ParquetError::NYI(what) => Error::unsupported(self.place(), what),
            other => Error::bad_input(self.place(), reason(other)),
        }
    }

    fn arrow_error(&self, error: ArrowError) -> Error {
        match error {
            ArrowError::ParquetError(message) => {
                let message = message.strip_prefix("Parquet error: ").unwrap_or(&message);
                Error::bad_input(self.place(), message)
            }
            ArrowError::NotYetImplemented(what) => Error::unsupported(self.place(), what),
            ArrowError::InvalidArgumentError(message) => Error::bad_input(self.place(), message),
            other => Error::bad_input(self.place(), other.to_string()),
        }
    }

    /// The reader does not say which column it stumbled over: read them one by
    /// one to find out. Only damaged files pay for it.
    fn name_culprit(&self, error: Error) -> Error {
        let metadata = &self.columns.main;
        let schema = metadata.parquet_schema();
        for leaf in 0..schema.num_columns() {
            let place = self.place().at_column(schema.column(leaf).path().string());
            let result = guarded(place.clone(), || {
                let mut reader = self.reader(metadata, ProjectionMask::leaves(schema, [leaf]))?;
                reader.try_for_each(|batch| match batch {
                    Ok(_) => Ok(()),
                    Err(error) => Err(self.arrow_error(error)),
                })
            });
            match result {
                Err(Error::BadInput { problem, .. }) => return Error::bad_input(place, problem),
                Err(Error::Unsupported { what, .. }) => return Error::unsupported(place, what),
                _ => {}
            }
        }
        error
    }
}

/// The batches of one row group.
enum Batches<'a> {
    /// A file may have rows without columns.
    NoColumns { rows: u64 },
    Plain {
        row_group: &'a RowGroup<'a>,
        main: ParquetRecordBatchReader,
    },
    Int96 {
        row_group: &'a RowGroup<'a>,
        main: ParquetRecordBatchReader,
        nanos: ParquetRecordBatchReader,
        roots: &'a [usize],
    },
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::NoColumns { rows } => rows_without_columns(rows),
            Self::Plain { row_group, main } => {
                Some(main.next()?.map_err(|error| row_group.arrow_error(error)))
            }
            Self::Int96 {
                row_group,
                main,
                nanos,
                roots,
            } => {
                let merged = match (main.next(), nanos.next()) {
                    (None, None) => return None,
                    (Some(Ok(batch)), Some(Ok(nanos))) => int96::merge(&batch, &nanos, roots),
                    (Some(Err(error)), _) | (_, Some(Err(error))) => Err(error),
                    (None, Some(_)) | (Some(_), None) => Err(int96::differ()),
                };
                Some(merged.map_err(|error| row_group.arrow_error(error)))
            }
        }
    }
}

fn rows_without_columns(rows: &mut u64) -> Option<Result<RecordBatch, Error>> {
    const BATCH_ROWS: u64 = 8192;

    let batch = (*rows).min(BATCH_ROWS);
    *rows -= batch;
    let count = usize::try_from(batch).ok().filter(|&count| count > 0)?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    let schema = arrow_schema::Schema::empty().into();
    let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options);
    Some(batch.map_err(|error| Error::Internal(error.to_string())))
}
