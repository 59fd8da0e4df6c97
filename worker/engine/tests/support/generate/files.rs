//! How values are rendered, and how files are laid out.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use etl_engine::{
    Binary, Decimals, Format, Int64, JsonOptions, LocalTimestamps, NonFinite, Nulls, Timestamps,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::super::draw::Draw;

pub(crate) fn json_options(draw: &mut Draw<'_>) -> JsonOptions {
    use NonFinite as N;
    JsonOptions {
        nulls: draw.choose(&[Nulls::Omit, Nulls::Explicit]),
        local_timestamps: draw.choose(&[LocalTimestamps::Utc, LocalTimestamps::NoZone]),
        timestamps: draw.choose(&[Timestamps::Iso, Timestamps::EpochMillis]),
        int64: draw.choose(&[Int64::Number, Int64::String]),
        decimals: draw.choose(&[Decimals::Number, Decimals::String]),
        binary: draw.choose(&[Binary::Base64, Binary::Hex]),
        non_finite: draw.choose(&[N::String, N::String, N::Null, N::Fail]),
    }
}

pub(crate) fn format(draw: &mut Draw<'_>) -> Format {
    draw.choose(&[Format::JsonLines, Format::JsonArray])
}

/// How a file is laid out; what it holds does not depend on it.
pub(crate) fn properties(draw: &mut Draw<'_>, schema: &Schema) -> WriterProperties {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
    let statistics = [
        EnabledStatistics::None,
        EnabledStatistics::Chunk,
        EnabledStatistics::Page,
    ];
    let mut properties = WriterProperties::builder()
        .set_compression(draw.choose(&codecs))
        .set_writer_version(draw.choose(&versions))
        .set_statistics_enabled(draw.choose(&statistics))
        .set_dictionary_enabled(draw.bool())
        .set_dictionary_page_size_limit(draw.choose(&[16, 256, 1 << 20]))
        .set_data_page_size_limit(draw.choose(&[1, 256, 1 << 20]))
        .set_data_page_row_count_limit(draw.choose(&[1, 7, 50, 20_000]))
        .set_write_batch_size(draw.choose(&[1, 16, 1024]))
        .set_max_row_group_row_count(Some(draw.choose(&[3, 64, 1 << 20])));
    for field in schema.fields() {
        if let Some(encoding) = encoding(draw, field.data_type()) {
            let column = ColumnPath::from(vec![field.name().clone()]);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, encoding);
        }
    }
    properties.build()
}

/// One of the encodings that are not the writer's own choice.
fn encoding(draw: &mut Draw<'_>, data_type: &DataType) -> Option<Encoding> {
    use DataType as T;
    if draw.bool() {
        return None;
    }
    Some(match data_type {
        T::Int32 | T::Int64 | T::UInt32 | T::UInt64 | T::Date32 | T::Timestamp(..) => {
            draw.choose(&[Encoding::DELTA_BINARY_PACKED, Encoding::BYTE_STREAM_SPLIT])
        }
        T::Float32 | T::Float64 | T::Float16 | T::FixedSizeBinary(_) => Encoding::BYTE_STREAM_SPLIT,
        T::Utf8View | T::BinaryView => draw.choose(&[
            Encoding::DELTA_BYTE_ARRAY,
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
        ]),
        T::Boolean => Encoding::RLE,
        _ => return None,
    })
}

/// A file with the rows of `batches`.
pub(crate) fn file(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    properties: WriterProperties,
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(schema), Some(properties))
        .expect("every generated schema can be written");
    for batch in batches {
        writer.write(batch).expect("writing to memory cannot fail");
    }
    writer.close().expect("writing to memory cannot fail");
    file
}
