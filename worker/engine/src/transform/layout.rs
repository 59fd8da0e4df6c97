//! Which columns are read, and what the columns of the output are made of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, NullArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema};
use parquet::file::metadata::ParquetMetaData;

use super::file::{FileColumns, list};
use super::select::select;
use super::{Constant, Transform};
use crate::error::{Error, Place};
use crate::schema::reason;
use crate::validate::{Available, SchemaColumn};

/// How the columns of the output come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The top-level columns of the file to read, in this order; `None` reads
    /// all of them in the file's order.
    roots: Option<Vec<usize>>,
    /// The columns of the output; `None` writes what is read.
    written: Option<Vec<Origin>>,
}

/// Where a column of the output comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// Place among the columns that are read.
    Read(usize),
    /// Nowhere: a column of this name that is always null.
    Null(String),
    Constant(Constant),
}

/// The columns to read, without repetition.
#[derive(Default)]
struct Reads {
    roots: Vec<usize>,
    places: HashMap<usize, usize>,
}

impl Reads {
    /// The place of the file's column `root` among those that are read.
    fn place(&mut self, root: usize) -> usize {
        *self.places.entry(root).or_insert_with(|| {
            self.roots.push(root);
            self.roots.len() - 1
        })
    }
}

impl Layout {
    /// Chooses from the `available` columns of a file. Columns with rules are
    /// read behind those that are written, if they are not among them; the
    /// second part says for each of `expected` where it is read, if its rules
    /// need it.
    pub(crate) fn new(
        file: &FileColumns<'_>,
        available: &[Available<'_>],
        transform: &Transform,
        expected: &[SchemaColumn],
    ) -> Result<(Self, Vec<Option<usize>>), Error> {
        let mut reads = Reads::default();
        let chosen = choose(file, available, transform)?;
        let mut written: Vec<Origin> = chosen
            .iter()
            .map(|column| match column.root {
                Some(root) => Origin::Read(reads.place(root)),
                None => Origin::Null(column.name.to_owned()),
            })
            .collect();
        written.extend(transform.constants.iter().cloned().map(Origin::Constant));
        let ruled = expected.iter().map(|column| {
            let root = match column.has_rules() {
                true => file.find(&column.name)?,
                false => None,
            };
            Ok(root.map(|root| reads.place(root)))
        });
        let ruled = ruled.collect::<Result<_, Error>>()?;

        let roots = reads.roots;
        let as_read = (0..roots.len()).map(Origin::Read);
        let written = (!as_read.eq(written.iter().cloned())).then_some(written);
        let is_whole = roots.iter().copied().eq(0..file.names().count());
        let roots = (!is_whole).then_some(roots);
        Ok((Self { roots, written }, ruled))
    }

    /// Leaves out of a file what is not read.
    pub(crate) fn select(
        &self,
        metadata: Arc<ParquetMetaData>,
    ) -> Result<Arc<ParquetMetaData>, Error> {
        let Some(roots) = &self.roots else {
            return Ok(metadata);
        };
        let selected = select(&metadata, roots);
        selected
            .map(Arc::new)
            .map_err(|error| Error::bad_input(Place::file(), reason(&error)))
    }

    /// Makes rows of the output from rows as they are read.
    pub(crate) fn assemble(&self, read: RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Some(written) = &self.written else {
            return Ok(read);
        };
        let rows = read.num_rows();
        let schema = read.schema();
        let mut fields = Vec::with_capacity(written.len());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(written.len());
        for origin in written {
            let (field, column) = match origin {
                Origin::Read(place) => (
                    Arc::clone(&schema.fields()[*place]),
                    Arc::clone(read.column(*place)),
                ),
                Origin::Null(name) => named(name, Arc::new(NullArray::new(rows)), true),
                Origin::Constant(Constant { name, value }) => {
                    named(name, value.repeat(rows)?, false)
                }
            };
            fields.push(field);
            columns.push(column);
        }
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &count)
    }
}

fn named(name: &str, column: ArrayRef, nullable: bool) -> (Arc<Field>, ArrayRef) {
    let field = Field::new(name, column.data_type().clone(), nullable);
    (Arc::new(field), column)
}

/// The columns that are written and do not come from the transform itself.
fn choose<'a>(
    file: &FileColumns<'_>,
    available: &[Available<'a>],
    transform: &Transform,
) -> Result<Vec<Available<'a>>, Error> {
    let chosen = match transform.columns.as_slice() {
        [] => available.to_vec(),
        names => {
            let by_name: HashMap<&str, Available<'_>> = available
                .iter()
                .map(|column| (column.name, *column))
                .collect();
            let find = |name: &String| {
                // Says so if the name is ambiguous.
                file.find(name)?;
                let column = by_name.get(name.as_str()).copied();
                column.ok_or_else(|| lacks(available, name))
            };
            names.iter().map(find).collect::<Result<_, Error>>()?
        }
    };
    let mut names = HashSet::new();
    if transform.columns.is_empty() {
        names.extend(chosen.iter().map(|column| column.name));
    }
    let constants = transform.constants.iter().map(|constant| &constant.name);
    // Whoever reads the output would take it for the file's own.
    if let Some(name) = constants.clone().find(|name| file.has(name)) {
        let problem = "a constant has the name of a column of the file";
        return Err(Error::schema_mismatch(Place::column(name), problem));
    }
    for name in transform.columns.iter().chain(constants) {
        if !names.insert(name) {
            let problem = "two columns of the output would have this name";
            return Err(Error::schema_mismatch(Place::column(name), problem));
        }
    }
    Ok(chosen)
}

fn lacks(available: &[Available<'_>], name: &str) -> Error {
    let names = list(available.iter().map(|column| column.name));
    let problem = format!("there is no such column to write; there are {names}");
    Error::schema_mismatch(Place::column(name), problem)
}
