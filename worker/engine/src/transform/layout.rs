//! Which columns are read, and what the columns of the output are made of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, TimeUnit};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::SchemaDescriptor;

use super::select::select;
use super::{Constant, Transform, Value};
use crate::error::{Error, Place};
use crate::schema::{TWICE, reason};

/// Names that a message lists before it only counts the rest.
const LISTED_NAMES: usize = 20;

/// How the columns of the output come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The top-level columns of the file to read, in this order; `None` reads
    /// all of them in the file's order.
    roots: Option<Vec<usize>>,
    constants: Vec<Constant>,
}

impl Layout {
    /// Holds `transform` against the columns of a file.
    pub(crate) fn new(schema: &SchemaDescriptor, transform: &Transform) -> Result<Self, Error> {
        let file = FileColumns::new(schema);
        let roots = match transform.columns.as_slice() {
            [] => None,
            names => Some(
                names
                    .iter()
                    .map(|name| file.get(name))
                    .collect::<Result<_, _>>()?,
            ),
        };
        let mut written: HashSet<&str> = match &roots {
            None => file.names().collect(),
            Some(_) => HashSet::new(),
        };
        let chosen = transform.columns.iter();
        let added = transform.constants.iter().map(|constant| &constant.name);
        for name in chosen.chain(added) {
            if !written.insert(name) {
                let problem = "two columns of the output would have this name";
                return Err(Error::schema_mismatch(Place::column(name), problem));
            }
        }
        Ok(Self {
            roots,
            constants: transform.constants.clone(),
        })
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

    /// Makes rows of the output from rows of the file.
    pub(crate) fn assemble(&self, read: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.constants.is_empty() {
            return Ok(read);
        }
        let rows = read.num_rows();
        let mut fields = read.schema().fields().to_vec();
        let mut columns = read.columns().to_vec();
        for Constant { name, value } in &self.constants {
            let (field, column) = repeat(name, value, rows)?;
            fields.push(field);
            columns.push(column);
        }
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &count)
    }
}

/// A column of `rows` times the same value.
fn repeat(name: &str, value: &Value, rows: usize) -> Result<(FieldRef, ArrayRef), ArrowError> {
    let (data_type, column): (DataType, ArrayRef) = match value {
        Value::Text(text) => {
            // A view is a reference: the text itself is held once.
            let once = StringViewArray::from_iter_values([text]);
            let views = vec![once.views()[0]; rows];
            let buffers = once.data_buffers().to_vec();
            let column = StringViewArray::try_new(views.into(), buffers, None)?;
            (DataType::Utf8View, Arc::new(column))
        }
        Value::Timestamp(micros) => {
            let column = TimestampMicrosecondArray::from_value(*micros, rows).with_timezone("UTC");
            let utc = Some("UTC".into());
            (
                DataType::Timestamp(TimeUnit::Microsecond, utc),
                Arc::new(column),
            )
        }
    };
    Ok((Arc::new(Field::new(name, data_type, false)), column))
}

/// The top-level columns of a file by name.
struct FileColumns<'a> {
    schema: &'a SchemaDescriptor,
    /// `None` for a name that occurs twice.
    by_name: HashMap<&'a str, Option<usize>>,
}

impl<'a> FileColumns<'a> {
    fn new(schema: &'a SchemaDescriptor) -> Self {
        let mut by_name = HashMap::new();
        for (root, field) in schema.root_schema().get_fields().iter().enumerate() {
            by_name
                .entry(field.name())
                .and_modify(|index| *index = None)
                .or_insert(Some(root));
        }
        Self { schema, by_name }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        let fields = self.schema.root_schema().get_fields();
        fields.iter().map(|field| field.name())
    }

    fn get(&self, name: &str) -> Result<usize, Error> {
        match self.by_name.get(name) {
            Some(Some(root)) => Ok(*root),
            Some(None) => Err(Error::unsupported(Place::column(name), TWICE)),
            None => {
                let problem = format!("the file has no such column; it has {}", self.list());
                Err(Error::schema_mismatch(Place::column(name), problem))
            }
        }
    }

    /// The names for a message, as many as one can read.
    fn list(&self) -> String {
        let quoted: Vec<String> = self
            .names()
            .take(LISTED_NAMES)
            .map(|name| format!("{name:?}"))
            .collect();
        let rest = self.names().count() - quoted.len();
        match (quoted.as_slice(), rest) {
            ([], _) => "none".to_owned(),
            (_, 0) => quoted.join(", "),
            _ => format!("{} and {rest} more", quoted.join(", ")),
        }
    }
}
