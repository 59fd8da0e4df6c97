//! Which columns have a rendering, and as which Arrow types they are read.
//!
//! The types come from the parquet schema alone. A schema that a writer has
//! embedded for Arrow is ignored: other readers do not see it, and it would be
//! one more structure to trust.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type, TypePtr};

use crate::error::{Error, Place};
use crate::read::{Stored, as_if_plain};

/// How the columns of a file are read.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// All columns; INT96 timestamps as whole seconds.
    pub(crate) main: ArrowReaderMetadata,
    /// How they are compressed; the metadata says that they are not.
    pub(crate) stored: Stored,
    /// The columns that hold INT96 timestamps a second time, as nanoseconds.
    pub(crate) int96: Option<Int96Columns>,
}

/// See the `int96` module for why these are read twice.
#[derive(Debug, Clone)]
pub(crate) struct Int96Columns {
    pub(crate) reader: ArrowReaderMetadata,
    /// Indices of the top-level columns, ascending.
    pub(crate) roots: Vec<usize>,
}

/// Annotates JSON and ENUM columns as plain strings.
///
/// The reader checks the encoding of strings only where the annotation says
/// UTF8, and hands out unchecked text otherwise.
pub(crate) fn with_checked_text(
    schema: &SchemaDescriptor,
) -> Result<SchemaDescriptor, ParquetError> {
    let root = with_checked_fields(schema.root_schema())?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn with_checked_fields(group: &Type) -> Result<Type, ParquetError> {
    let fields = group
        .get_fields()
        .iter()
        .map(checked)
        .collect::<Result<_, _>>()?;
    let info = group.get_basic_info();
    let builder = Type::group_type_builder(group.name())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_id(info.has_id().then(|| info.id()))
        .with_fields(fields);
    if info.has_repetition() {
        return builder.with_repetition(info.repetition()).build();
    }
    builder.build()
}

fn checked(field: &TypePtr) -> Result<TypePtr, ParquetError> {
    if field.is_group() {
        return Ok(Arc::new(with_checked_fields(field)?));
    }
    let info = field.get_basic_info();
    let is_text = matches!(
        info.logical_type_ref(),
        Some(LogicalType::Json | LogicalType::Enum)
    ) || matches!(
        info.converted_type(),
        ConvertedType::JSON | ConvertedType::ENUM
    );
    if field.get_physical_type() != PhysicalType::BYTE_ARRAY || !is_text {
        return Ok(Arc::clone(field));
    }
    let text = Type::primitive_type_builder(field.name(), PhysicalType::BYTE_ARRAY)
        .with_repetition(info.repetition())
        .with_logical_type(Some(LogicalType::String))
        .with_id(info.has_id().then(|| info.id()))
        .build()?;
    Ok(Arc::new(text))
}

/// Decides how to read every column, or names the first that has no rendering.
pub(crate) fn columns(metadata: ParquetMetaData) -> Result<Columns, Error> {
    let (stored, metadata) =
        as_if_plain(metadata).map_err(|error| Error::bad_input(Place::file(), reason(&error)))?;
    let metadata = &Arc::new(metadata);
    let schema = metadata.file_metadata().schema_descr();
    check_group(schema.root_schema(), "")?;
    let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let inferred = ArrowReaderMetadata::try_new(Arc::clone(metadata), plain)
        .map_err(|error| name_culprit(schema, &error))?;
    let reader = |int96| read_as(metadata, &inferred, int96).map_err(|e| name_culprit(schema, &e));
    let main = reader(TimeUnit::Second)?;
    check_map_keys(main.schema().fields(), "")?;
    let roots = int96_roots(schema);
    let int96 = if roots.is_empty() {
        None
    } else {
        Some(Int96Columns {
            reader: reader(TimeUnit::Nanosecond)?,
            roots,
        })
    };
    Ok(Columns {
        main,
        stored,
        int96,
    })
}

fn is_int96(column: &ColumnDescPtr) -> bool {
    column.physical_type() == PhysicalType::INT96
        && column.logical_type_ref() != Some(&LogicalType::Unknown)
}

fn int96_roots(schema: &SchemaDescriptor) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..schema.num_columns())
        .filter(|&leaf| is_int96(&schema.column(leaf)))
        .map(|leaf| schema.get_column_root_idx(leaf))
        .collect();
    roots.dedup();
    roots
}

/// The same columns, with text and bytes as views (a repeated dictionary value
/// is then held once) and INT96 in the given unit.
fn read_as(
    metadata: &Arc<ParquetMetaData>,
    inferred: &ArrowReaderMetadata,
    int96: TimeUnit,
) -> Result<ArrowReaderMetadata, ParquetError> {
    let mut leaves = metadata.file_metadata().schema_descr().columns().iter();
    let fields = fields_as(inferred.schema().fields(), &mut leaves, int96);
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(Arc::clone(metadata), options)
}

type Leaves<'a> = std::slice::Iter<'a, ColumnDescPtr>;

fn fields_as(fields: &Fields, leaves: &mut Leaves<'_>, int96: TimeUnit) -> Fields {
    fields
        .iter()
        .map(|field| field_as(field, leaves, int96))
        .collect()
}

fn field_as(field: &FieldRef, leaves: &mut Leaves<'_>, int96: TimeUnit) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields_as(fields, leaves, int96)),
        DataType::List(item) => DataType::List(field_as(item, leaves, int96)),
        DataType::Map(entries, sorted) => DataType::Map(field_as(entries, leaves, int96), *sorted),
        leaf => leaf_as(leaf, leaves.next().is_some_and(is_int96), int96),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

fn leaf_as(inferred: &DataType, is_int96: bool, int96: TimeUnit) -> DataType {
    match inferred {
        _ if is_int96 => DataType::Timestamp(int96, None),
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What is wrong with a name that two columns have.
pub(crate) const TWICE: &str = "the name occurs twice, and a JSON object holds a name once";

fn check_group(group: &Type, path: &str) -> Result<(), Error> {
    let mut names = HashSet::new();
    for field in group.get_fields() {
        let path = child(path, field.name());
        if !names.insert(field.name()) {
            return Err(Error::unsupported(Place::column(path), TWICE));
        }
        if let Some(what) = unsupported(field) {
            let what = format!("{what} has no JSON rendering: leave the column out or convert it");
            return Err(Error::unsupported(Place::column(path), what));
        }
        if field.is_group() {
            check_group(field, &path)?;
        }
    }
    Ok(())
}

/// The name of a type that cannot be rendered faithfully.
fn unsupported(field: &Type) -> Option<String> {
    let info = field.get_basic_info();
    match info.logical_type_ref() {
        Some(
            logical @ (LogicalType::Variant(_)
            | LogicalType::Geometry(_)
            | LogicalType::Geography(_)
            | LogicalType::File),
        ) => {
            let debug = format!("{logical:?}");
            let name = debug.split(['(', ' ', '{']).next().unwrap_or(&debug);
            return Some(format!("type {}", name.to_uppercase()));
        }
        Some(LogicalType::_Unknown { field_id }) => {
            return Some(format!(
                "a logical type unknown to this version (number {field_id})"
            ));
        }
        _ => {}
    }
    if info.converted_type() == ConvertedType::INTERVAL {
        return Some("type INTERVAL".to_owned());
    }
    let is_empty = field.is_group() && field.get_fields().is_empty();
    is_empty.then(|| "a struct without fields".to_owned())
}

fn check_map_keys(fields: &Fields, path: &str) -> Result<(), Error> {
    for field in fields {
        let path = child(path, field.name());
        match field.data_type() {
            DataType::Struct(fields) => check_map_keys(fields, &path)?,
            DataType::List(item) => check_map_keys(&Fields::from(vec![Arc::clone(item)]), &path)?,
            DataType::Map(entries, _) => {
                let DataType::Struct(pair) = entries.data_type() else {
                    continue;
                };
                if pair.first().is_some_and(|key| key.data_type().is_nested()) {
                    let what = "a map key that is a struct, list or map has no JSON rendering";
                    return Err(Error::unsupported(Place::column(path), what));
                }
                check_map_keys(pair, &path)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The reader does not say which column it cannot represent: ask one by one.
fn name_culprit(schema: &SchemaDescriptor, error: &ParquetError) -> Error {
    for (root, field) in schema.root_schema().get_fields().iter().enumerate() {
        let mask = ProjectionMask::roots(schema, [root]);
        if let Err(error) = parquet_to_arrow_field_levels(schema, mask, None) {
            return Error::unsupported(Place::column(field.name()), reason(&error));
        }
    }
    Error::unsupported(Place::file(), reason(error))
}

/// The reader's message without its own prefix.
pub(crate) fn reason(error: &ParquetError) -> String {
    match error {
        ParquetError::General(message)
        | ParquetError::NYI(message)
        | ParquetError::EOF(message)
        | ParquetError::ArrowError(message) => message.clone(),
        other => other.to_string(),
    }
}
