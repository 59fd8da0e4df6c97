//! The top-level columns of a file by name.

use std::collections::HashMap;

use arrow_schema::DataType;
use parquet::arrow::{ProjectionMask, parquet_to_arrow_schema_by_columns};
use parquet::schema::types::SchemaDescriptor;

use crate::error::{Error, Place};
use crate::schema::{TWICE, reason};

/// Names that a message lists before it only counts the rest.
const LISTED_NAMES: usize = 20;

/// The top-level columns of a file.
pub(crate) struct FileColumns<'a> {
    schema: &'a SchemaDescriptor,
    /// `None` for a name that occurs twice.
    by_name: HashMap<&'a str, Option<usize>>,
}

impl<'a> FileColumns<'a> {
    pub(crate) fn new(schema: &'a SchemaDescriptor) -> Self {
        let mut by_name = HashMap::new();
        for (root, field) in schema.root_schema().get_fields().iter().enumerate() {
            by_name
                .entry(field.name())
                .and_modify(|index| *index = None)
                .or_insert(Some(root));
        }
        Self { schema, by_name }
    }

    /// All names, in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let fields = self.schema.root_schema().get_fields();
        fields.iter().map(|field| field.name())
    }

    /// Whether there is a column `name`, or more than one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The index of the column `name`, if there is one.
    pub(crate) fn find(&self, name: &str) -> Result<Option<usize>, Error> {
        match self.by_name.get(name) {
            Some(Some(root)) => Ok(Some(*root)),
            Some(None) => Err(Error::unsupported(Place::column(name), TWICE)),
            None => Ok(None),
        }
    }

    /// The Arrow type that the column of index `root` is read as by default.
    pub(crate) fn data_type(&self, root: usize) -> Result<DataType, Error> {
        let place = || Place::column(self.schema.root_schema().get_fields()[root].name());
        let mask = ProjectionMask::roots(self.schema, [root]);
        let schema = parquet_to_arrow_schema_by_columns(self.schema, mask, None)
            .map_err(|error| Error::unsupported(place(), reason(&error)))?;
        let field = schema.fields().first();
        let field = field.ok_or_else(|| Error::unsupported(place(), "it has no values at all"))?;
        Ok(field.data_type().clone())
    }

    /// What to say of a column `name` that is asked for and not there.
    pub(crate) fn lacks(&self, name: &str) -> Error {
        let problem = format!("the file has no such column; it has {}", list(self.names()));
        Error::schema_mismatch(Place::column(name), problem)
    }
}

/// Names for a message, as many as one can read.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(|name| format!("{name:?}"));
    let listed: Vec<String> = names.by_ref().take(LISTED_NAMES).collect();
    match (listed.as_slice(), names.count()) {
        ([], _) => "none".to_owned(),
        (_, 0) => listed.join(", "),
        (_, rest) => format!("{} and {rest} more", listed.join(", ")),
    }
}
