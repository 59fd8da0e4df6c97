//! Leaving columns out of a file before anything else looks at it.
//!
//! The footer is rewritten as if the file had the chosen columns alone, in the
//! order asked for. So whatever plans reads, counts memory or decodes needs no
//! notion of a projection.

use std::ops::Range;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData,
};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};

/// The file as if it had the top-level columns `roots` alone, in that order.
pub(super) fn select(
    metadata: &ParquetMetaData,
    roots: &[usize],
) -> Result<ParquetMetaData, ParquetError> {
    let file = metadata.file_metadata();
    let leaves = leaves_of_roots(file.schema_descr());
    let schema = Arc::new(select_roots(file.schema_descr(), roots)?);
    let row_groups = metadata
        .row_groups()
        .iter()
        .map(|row_group| {
            let leaves = roots.iter().flat_map(|&root| leaves[root].clone());
            select_chunks(row_group, leaves, &schema)
        })
        .collect::<Result<_, _>>()?;
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        None,
        schema,
        None,
    );
    Ok(ParquetMetaDataBuilder::new(file)
        .set_row_groups(row_groups)
        .build())
}

/// The leaf columns below each top-level column.
fn leaves_of_roots(schema: &SchemaDescriptor) -> Vec<Range<usize>> {
    let mut ranges = vec![0..0; schema.root_schema().get_fields().len()];
    for leaf in 0..schema.num_columns() {
        let range: &mut Range<usize> = &mut ranges[schema.get_column_root_idx(leaf)];
        let start = if range.end == 0 { leaf } else { range.start };
        *range = start..leaf + 1;
    }
    ranges
}

fn select_roots(
    schema: &SchemaDescriptor,
    roots: &[usize],
) -> Result<SchemaDescriptor, ParquetError> {
    let all = schema.root_schema();
    let fields = roots
        .iter()
        .map(|&root| Arc::clone(&all.get_fields()[root]));
    let chosen = Type::group_type_builder(all.name())
        .with_fields(fields.collect())
        .build()?;
    Ok(SchemaDescriptor::new(Arc::new(chosen)))
}

fn select_chunks(
    row_group: &RowGroupMetaData,
    leaves: impl Iterator<Item = usize>,
    schema: &SchemaDescPtr,
) -> Result<RowGroupMetaData, ParquetError> {
    let mut chosen = RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(row_group.num_rows())
        .set_total_byte_size(row_group.total_byte_size());
    for leaf in leaves {
        chosen = chosen.add_column_metadata(row_group.column(leaf).clone());
    }
    chosen.build()
}
