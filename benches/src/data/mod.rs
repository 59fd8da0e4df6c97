//! The inputs: generated once, always the same, kept in the cache.

mod shapes;
mod table;
mod taxi;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use fastrand::Rng;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::place::repository;
use table::Table;
use taxi::Trips;

/// Changes with what is generated, so that no old file passes for a new one.
const VERSION: u32 = 1;
/// Rows generated at a time.
const BATCH_ROWS: usize = 50_000;
const ROW_GROUP_ROWS: usize = 250_000;
/// How much smaller everything is with `--quick`.
const QUICK: usize = 20;

/// One of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// What is in it, for the report.
    pub(crate) about: &'static str,
    rows: usize,
    files: usize,
    row_group_rows: usize,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Mixed,
    Events,
    Numbers,
    Text,
    Taxi,
    Nested,
    Wide,
    Columns(usize),
    TextOfLength(usize),
}

/// The shapes of the report, in its order.
pub(crate) const SHAPES: &[Shape] = &[
    Shape::of(
        "mixed",
        "order lines: 16 columns of keys, amounts, flags, dates and comments",
        4_000_000,
        Content::Mixed,
    ),
    Shape::of(
        "events",
        "web events: 13 columns of identifiers, times, addresses, nulls",
        3_000_000,
        Content::Events,
    ),
    Shape::of(
        "numbers",
        "16 columns of 64-bit integers and floats of every length",
        3_000_000,
        Content::Numbers,
    ),
    Shape::of(
        "text",
        "4 columns of free text of 40 to 220 bytes",
        1_500_000,
        Content::Text,
    ),
    Shape {
        name: "taxi",
        about: "yellow taxi trips of one month in ONE row group: 19 columns, drawn from the first 22,791 published rows and varied",
        rows: taxi::ROWS,
        files: 1,
        row_group_rows: usize::MAX,
        content: Content::Taxi,
    },
    Shape::of(
        "nested",
        "orders: a struct, a list of structs, a list of floats",
        1_500_000,
        Content::Nested,
    ),
    Shape {
        name: "wide",
        about: "1,000 columns of integers, amounts and short texts",
        rows: 40_000,
        files: 1,
        row_group_rows: 10_000,
        content: Content::Wide,
    },
    Shape {
        name: "files",
        about: "10,000 files of 200 order lines each",
        rows: 2_000_000,
        files: 10_000,
        row_group_rows: ROW_GROUP_ROWS,
        content: Content::Mixed,
    },
];

impl Shape {
    const fn of(name: &'static str, about: &'static str, rows: usize, content: Content) -> Self {
        Self {
            name,
            about,
            rows,
            files: 1,
            row_group_rows: ROW_GROUP_ROWS,
            content,
        }
    }

    /// `cells` cells in `columns` columns.
    pub(crate) fn of_columns(columns: usize, cells: usize) -> Self {
        let content = Content::Columns(columns);
        Self::of("columns", "", cells / columns, content)
    }

    /// One column of texts of `bytes` bytes.
    pub(crate) fn of_text_length(bytes: usize, rows: usize) -> Self {
        Self::of("length", "", rows, Content::TextOfLength(bytes))
    }

    /// The mixed shape in row groups of `row_group_rows`.
    pub(crate) fn of_row_groups(row_group_rows: usize, rows: usize) -> Self {
        let shape = Self::of("groups", "", rows, Content::Mixed);
        Self {
            row_group_rows,
            ..shape
        }
    }

    /// The same in small, for a look at whether everything works.
    pub(crate) fn quick(self) -> Self {
        Self {
            rows: self.rows / QUICK,
            files: self.files.div_ceil(QUICK),
            ..self
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.files > 1
    }

    /// The file or folder of this shape, made now if the cache lacks it.
    pub(crate) fn input(&self, cache: &Path) -> Result<PathBuf> {
        let folder = cache.join(format!("data-{VERSION}"));
        let suffix = if self.is_folder() { "" } else { ".parquet" };
        let Self { name, rows, .. } = self;
        let variant = match self.content {
            Content::Columns(count) => format!("-{count}"),
            Content::TextOfLength(bytes) => format!("-{bytes}"),
            _ if self.row_group_rows != ROW_GROUP_ROWS => format!("-by-{}", self.row_group_rows),
            _ => String::new(),
        };
        let path = folder.join(format!("{name}{variant}-{rows}{suffix}"));
        if !path.exists() {
            eprintln!("bench: making {}", path.display());
            fs::create_dir_all(&folder)?;
            // Renamed when it is complete, so that no half of it is ever used.
            let partial = folder.join(format!("partial-{}", std::process::id()));
            self.generate(&partial)
                .with_context(|| format!("cannot make {}", path.display()))?;
            fs::rename(&partial, &path)?;
        }
        Ok(path)
    }

    fn generate(&self, path: &Path) -> Result<()> {
        let mut rows = Rows::new(self)?;
        if !self.is_folder() {
            return self.write(path, &mut rows, self.rows);
        }
        fs::create_dir(path)?;
        for file in 0..self.files {
            let path = path.join(format!("part-{file:05}.parquet"));
            self.write(&path, &mut rows, self.rows / self.files)?;
        }
        Ok(())
    }

    /// Writes one file: snappy, with dictionaries, as most writers do.
    fn write(&self, path: &Path, rows: &mut Rows, count: usize) -> Result<()> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .build();
        let file = File::create_new(path)?;
        let mut writer = ArrowWriter::try_new(file, rows.schema()?, Some(properties))?;
        let mut left = count;
        while left > 0 {
            let batch = rows.next(left.min(BATCH_ROWS))?;
            left -= batch.num_rows();
            writer.write(&batch)?;
        }
        writer.close()?;
        Ok(())
    }
}

/// An endless supply of a shape's rows.
struct Rows {
    rng: Rng,
    content: Content,
    trips: Option<Trips>,
}

impl Rows {
    fn new(shape: &Shape) -> Result<Self> {
        let sample = repository().join("tests/data/yellow_tripdata_2021-01.first-22k.parquet");
        let trips = (shape.content == Content::Taxi)
            .then(|| Trips::read(&sample, shape.rows))
            .transpose()?;
        Ok(Self {
            rng: Rng::with_seed(42),
            content: shape.content,
            trips,
        })
    }

    fn schema(&self) -> Result<SchemaRef> {
        match &self.trips {
            Some(trips) => Ok(trips.schema()),
            None => {
                let mut rng = Rng::with_seed(0);
                Ok(batch(self.content, &mut rng, 1)?.schema())
            }
        }
    }

    fn next(&mut self, count: usize) -> Result<RecordBatch> {
        match &mut self.trips {
            Some(trips) => trips.next(&mut self.rng, count),
            None => batch(self.content, &mut self.rng, count),
        }
    }
}

fn batch(content: Content, rng: &mut Rng, rows: usize) -> Result<RecordBatch> {
    let mut table = Table::new(rng, rows);
    match content {
        Content::Mixed => shapes::mixed(&mut table),
        Content::Events => shapes::events(&mut table),
        Content::Numbers => shapes::numbers(&mut table),
        Content::Text => shapes::text(&mut table),
        Content::Nested => shapes::nested(&mut table),
        Content::Wide => shapes::wide(&mut table),
        Content::Columns(count) => shapes::columns(&mut table, count),
        Content::TextOfLength(bytes) => shapes::text_of_length(&mut table, bytes),
        Content::Taxi => anyhow::bail!("trips are drawn from the sample"),
    }
    let (fields, columns): (Vec<_>, Vec<_>) = table
        .into_columns()
        .into_iter()
        .map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column))
        .unzip();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}
