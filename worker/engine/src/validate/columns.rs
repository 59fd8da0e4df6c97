//! The columns of a file, held against a schema.

use std::collections::HashSet;

use super::{ColumnType, OnExtraColumn, OnMissingColumn, Schema, SchemaColumn};
use crate::error::{Error, Place};
use crate::transform::{FileColumns, list};

/// A column that the output may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Available<'a> {
    pub(crate) name: &'a str,
    /// Index of the file's top-level column; `None` for one that the file lacks
    /// and that is null in every row.
    pub(crate) root: Option<usize>,
}

/// The columns that are left, in the order of the file, and behind them those
/// that it lacks.
pub(crate) fn available<'a>(
    file: &FileColumns<'a>,
    schema: Option<&'a Schema>,
) -> Result<Vec<Available<'a>>, Error> {
    let Some(schema) = schema else {
        return Ok(all(file).collect());
    };
    let mut missing = Vec::new();
    let mut expected = HashSet::new();
    for column in &schema.columns {
        if !expected.insert(column.name.as_str()) {
            let problem = "the schema names this column twice";
            return Err(Error::schema_mismatch(Place::column(&column.name), problem));
        }
        match file.find(&column.name)? {
            Some(root) => check_type(file, root, column)?,
            None if column.required || schema.on_missing_column == OnMissingColumn::Fail => {
                return Err(file.lacks(&column.name));
            }
            None => missing.push(Available {
                name: &column.name,
                root: None,
            }),
        }
    }
    let is_extra = |column: &Available<'_>| !expected.contains(column.name);
    if schema.on_extra_column == OnExtraColumn::Fail
        && let Some(extra) = all(file).find(is_extra)
    {
        let names = list(all(file).filter(is_extra).map(|column| column.name));
        let problem = format!("the schema does not expect this column; unexpected are {names}");
        return Err(Error::schema_mismatch(Place::column(extra.name), problem));
    }
    let keeps =
        |column: &Available<'_>| schema.on_extra_column != OnExtraColumn::Drop || !is_extra(column);
    Ok(all(file).filter(keeps).chain(missing).collect())
}

fn all<'a>(file: &FileColumns<'a>) -> impl Iterator<Item = Available<'a>> + use<'a> {
    file.names().enumerate().map(|(root, name)| Available {
        name,
        root: Some(root),
    })
}

fn check_type(file: &FileColumns<'_>, root: usize, expected: &SchemaColumn) -> Result<(), Error> {
    let data_type = file.data_type(root)?;
    let asked = expected.column_type;
    let Some(found) = ColumnType::of(&data_type).filter(|found| !found.is_a(asked)) else {
        return Ok(());
    };
    let problem = match data_type.is_nested() {
        true => format!("the schema asks for {asked}, and the file has {found}"),
        false => format!("the schema asks for {asked}, and the file has {found} ({data_type})"),
    };
    Err(Error::schema_mismatch(
        Place::column(&expected.name),
        problem,
    ))
}
