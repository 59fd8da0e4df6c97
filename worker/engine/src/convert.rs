//! The engine's one entry point.

use std::ops::Range;
use std::sync::Arc;

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use crate::error::{Error, Place};
use crate::footer::{self, Footer};
use crate::guard::{Depth, with_stack};
use crate::memory::{self, Needs};
use crate::options::{Budget, Options};
use crate::pipeline::{Job, run};
use crate::prepare::Preparation;
use crate::schema::{Columns, columns};
use crate::sink::Sink;
use crate::source::ReadAt;
use crate::validate::Tally;

/// An opened and checked input, ready to be converted.
///
/// ```
/// use std::sync::Arc;
/// use etl_engine::{Budget, Conversion, ErrorKind, Options};
///
/// let source = Arc::new(bytes::Bytes::from_static(b"PAR1 and then the upload broke off"));
/// let budget = Budget { memory_bytes: 256 << 20, threads: 2 };
/// let error = Conversion::open(source, &Options::default(), &budget).err().unwrap();
/// assert_eq!(error.kind(), ErrorKind::BadInput);
/// assert_eq!(
///     error.to_string(),
///     "file ends at byte 34; footer magic missing: truncated upload?",
/// );
/// ```
pub struct Conversion {
    source: Arc<dyn ReadAt>,
    columns: Columns,
    preparation: Preparation,
    options: Options,
    budget: Budget,
    /// How deep the schema of the file is.
    depth: Depth,
    /// The row groups to convert.
    row_groups: Range<usize>,
}

/// How large one row group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowGroupSize {
    /// Rows.
    pub rows: u64,
    /// Bytes that its column chunks take in the file.
    pub compressed_bytes: u64,
    /// Bytes of its pages once they are decompressed, still in parquet's
    /// encodings.
    pub uncompressed_bytes: u64,
}

/// What a finished conversion has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows written. With those rejected, always as many as the file says there
    /// are.
    pub rows: u64,
    /// Rows left out because they break a rule of the schema.
    pub rejected: u64,
    /// Bytes given to the sink.
    pub bytes: u64,
    /// Bytes of JSON before compression.
    pub json_bytes: u64,
    /// Row groups read.
    pub row_groups: usize,
}

/// Where a conversion writes to. Made from the sink of the rows alone, if
/// rejected rows are not kept.
pub struct Outputs<'s> {
    /// Takes the output.
    pub rows: &'s mut dyn Sink,
    /// Takes a line for every rejected row, always uncompressed JSON Lines; see
    /// [`OnInvalidRecord::Quarantine`](crate::OnInvalidRecord::Quarantine),
    /// which needs it.
    pub rejected: Option<&'s mut dyn Sink>,
}

impl<'s> From<&'s mut (dyn Sink + 's)> for Outputs<'s> {
    fn from(rows: &'s mut (dyn Sink + 's)) -> Self {
        let rejected = None;
        Self { rows, rejected }
    }
}

impl<'s, S: Sink> From<&'s mut S> for Outputs<'s> {
    fn from(rows: &'s mut S) -> Self {
        let rejected = None;
        Self { rows, rejected }
    }
}

impl Conversion {
    /// Reads the footer of `source` and checks that the whole file can be
    /// rendered with `options` within `budget`. Reads no data yet.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a damaged file, [`Error::Unsupported`] naming
    /// the first column without a rendering, [`Error::SchemaMismatch`] naming
    /// a column that the options ask for in vain, [`Error::NotEnoughMemory`] with
    /// the memory to give, [`Error::Read`] with the source's own error.
    pub fn open(
        source: Arc<dyn ReadAt>,
        options: &Options,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let conversion = Self::look(source, options, budget)?;
        let needed = conversion.memory_needed();
        if needed > budget.memory_bytes {
            let place = Place::file();
            return Err(Error::NotEnoughMemory {
                place,
                needed,
                budget: budget.memory_bytes,
            });
        }
        Ok(conversion)
    }

    /// The sizes of all row groups of a file that can be rendered with `options`,
    /// however much memory its conversion would take: of `budget` there need be
    /// enough for the footer alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn sizes(
        source: Arc<dyn ReadAt>,
        options: &Options,
        budget: &Budget,
    ) -> Result<Vec<RowGroupSize>, Error> {
        Ok(Self::look(source, options, budget)?.row_group_sizes())
    }

    /// Reads and checks the footer, and does not ask what a conversion takes.
    fn look(source: Arc<dyn ReadAt>, options: &Options, budget: &Budget) -> Result<Self, Error> {
        let Footer { metadata, depth } = footer::read(&*source, budget.memory_bytes)?;
        let row_groups = 0..metadata.num_row_groups();
        let (preparation, columns) = with_stack(depth, Place::file(), || {
            let (preparation, selected) = Preparation::new(metadata, options)?;
            Ok((preparation, columns(Arc::unwrap_or_clone(selected))?))
        })?;
        Ok(Self {
            source,
            columns,
            preparation,
            options: options.clone(),
            budget: *budget,
            depth,
            row_groups,
        })
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.columns.main.metadata()
    }

    /// Leaves out all row groups but those of `range`, which counts the row
    /// groups of the file from 0. The outputs of neighbouring ranges as
    /// [`JsonLines`](crate::Format::JsonLines), one after the other, are the
    /// output of all of them.
    ///
    /// # Errors
    /// [`Error::Internal`] for a range that does not lie within the file: it
    /// was made for another one.
    pub fn only_row_groups(self, range: Range<usize>) -> Result<Self, Error> {
        let there_are = self.metadata().num_row_groups();
        if range.start > range.end || range.end > there_are {
            let Range { start, end } = range;
            return Err(Error::Internal(format!(
                "row groups {start}..{end} were asked for, and the file has {there_are}"
            )));
        }
        Ok(Self {
            row_groups: range,
            ..self
        })
    }

    /// Number of rows that will be read, and written unless they break a rule
    /// of the schema.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows_of(self.row_groups.clone())
    }

    fn rows_of(&self, range: Range<usize>) -> u64 {
        let row_groups = &self.metadata().row_groups()[range];
        row_groups.iter().map(|group| count(group.num_rows())).sum()
    }

    /// Number of row groups that will be read.
    #[must_use]
    pub fn row_groups(&self) -> usize {
        self.row_groups.len()
    }

    /// The sizes of all row groups of the file, in order; what
    /// [`only_row_groups`](Self::only_row_groups) leaves out is among them.
    #[must_use]
    pub fn row_group_sizes(&self) -> Vec<RowGroupSize> {
        let size = |group: &RowGroupMetaData| RowGroupSize {
            rows: count(group.num_rows()),
            compressed_bytes: sum(group, ColumnChunkMetaData::compressed_size),
            uncompressed_bytes: sum(group, ColumnChunkMetaData::uncompressed_size),
        };
        self.metadata().row_groups().iter().map(size).collect()
    }

    /// Memory in bytes that the conversion needs with the threads of its
    /// budget. With more it reads further ahead, and in larger pieces.
    ///
    /// # Caveats
    /// The footer does not say how large pages are; they are counted as large as
    /// writers make them. What they really take is counted while they are read,
    /// so a file with larger ones may still end in [`Error::NotEnoughMemory`],
    /// which then has the number to give.
    #[must_use]
    pub fn memory_needed(&self) -> u64 {
        let row_groups = &self.metadata().row_groups()[self.row_groups.clone()];
        let least = |row_group| Needs::of(row_group, self.budget.threads).least();
        let least = row_groups.iter().map(least).max();
        self.beside_bytes().saturating_add(least.unwrap_or(0))
    }

    /// Memory in bytes for everything but row groups.
    fn beside_bytes(&self) -> u64 {
        let row_groups = &self.metadata().row_groups()[self.row_groups.clone()];
        memory::beside(
            self.metadata(),
            row_groups,
            &self.options,
            self.budget.threads,
        )
    }

    /// Converts every row and gives the output to the sinks, in order. This
    /// thread takes part in the work. Others are started if the budget has more
    /// than one and there is enough to do for them.
    ///
    /// # Guarantees
    /// The bytes depend on the input, the options and
    /// [`ENGINE_VERSION`](crate::ENGINE_VERSION) alone. `Ok` means that each of
    /// the [`rows`](Self::rows) has been written or counted as rejected.
    ///
    /// # Errors
    /// As [`open`](Self::open), [`Error::InvalidRecords`] if more rows break
    /// rules of the schema than may, and [`Error::Sink`] with the sink's own
    /// error. The sinks may have got a part of the output by then.
    pub fn convert<'s>(self, outputs: impl Into<Outputs<'s>>) -> Result<Summary, Error> {
        let outputs = outputs.into();
        let rejected = Tally::new(self.options.schema.as_ref(), outputs.rejected)?;
        let job = Job {
            source: &self.source,
            columns: &self.columns,
            preparation: &self.preparation,
            options: &self.options,
            budget: self.budget,
            row_groups: self.row_groups.clone(),
            rows_before: self.rows_of(0..self.row_groups.start),
            beside_bytes: self.beside_bytes(),
            depth: self.depth,
        };
        let totals = run(&job, outputs.rows, rejected)?;
        let (read, claimed) = (totals.rows_read, self.rows());
        let written = read.checked_sub(totals.rows_rejected);
        let Some(rows) = written.filter(|_| read == claimed) else {
            return Err(Error::Internal(format!(
                "{read} rows were read of {claimed}, and {} rejected",
                totals.rows_rejected
            )));
        };
        Ok(Summary {
            rows,
            rejected: totals.rows_rejected,
            bytes: totals.bytes,
            json_bytes: totals.json_bytes,
            row_groups: self.row_groups(),
        })
    }
}

fn sum(group: &RowGroupMetaData, bytes: impl Fn(&ColumnChunkMetaData) -> i64) -> u64 {
    let columns = group.columns().iter();
    columns
        .map(|column| count(bytes(column)))
        .fold(0, u64::saturating_add)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).expect("validated with the footer")
}

impl std::fmt::Debug for Conversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversion")
            .field("rows", &self.rows())
            .field("row_groups", &self.row_groups())
            .field("options", &self.options)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
