//! How column chunks are compressed, taken out of the footer: the decoder gets
//! pages that are decompressed already, see the `gate` module.

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// The compression of each column chunk of a file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    columns: usize,
    codecs: Vec<Compression>,
}

impl Stored {
    pub(super) fn codec(&self, row_group: usize, leaf: usize) -> Compression {
        self.codecs[row_group * self.columns + leaf]
    }
}

/// The same file as if nothing in it were compressed, and what is.
pub(crate) fn as_if_plain(
    metadata: ParquetMetaData,
) -> Result<(Stored, ParquetMetaData), ParquetError> {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    let mut builder = metadata.into_builder();
    let row_groups = builder.take_row_groups();
    let chunks = row_groups.iter().flat_map(RowGroupMetaData::columns);
    let stored = Stored {
        columns,
        codecs: chunks.map(ColumnChunkMetaData::compression).collect(),
    };
    let row_groups = row_groups
        .into_iter()
        .map(plain_row_group)
        .collect::<Result<_, _>>()?;
    Ok((stored, builder.set_row_groups(row_groups).build()))
}

fn plain_row_group(row_group: RowGroupMetaData) -> Result<RowGroupMetaData, ParquetError> {
    let mut builder = row_group.into_builder();
    let columns = builder.take_columns().into_iter().map(|column| {
        let builder = column.into_builder();
        builder.set_compression(Compression::UNCOMPRESSED).build()
    });
    let columns = columns.collect::<Result<_, _>>()?;
    builder.set_column_metadata(columns).build()
}
