//! Files in memory and their conversion.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod decoded;
pub(crate) mod defects;
pub(crate) mod dissect;
pub(crate) mod draw;
pub(crate) mod expected;
pub(crate) mod generate;
pub(crate) mod mutate;
pub(crate) mod thrift;

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use etl_engine::{Budget, Conversion, Encoder, Error, Options, Outputs, Summary};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
    FixedLenByteArrayType, FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescriptor, Type};

pub(crate) const BUDGET: Budget = Budget {
    memory_bytes: 512 << 20,
    threads: 2,
};

/// What a conversion has given to its sinks, and says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Converted {
    pub(crate) rows: Vec<u8>,
    pub(crate) rejected: Vec<u8>,
    pub(crate) summary: Summary,
}

/// Converts with both encoders, which have to agree on every byte, on the
/// summary and on the error; returns what both say.
pub(crate) fn convert_with(
    file: impl Into<Bytes>,
    options: &Options,
    budget: &Budget,
) -> Result<(Vec<u8>, Summary), Error> {
    let converted = convert_and_reject(file, options, budget)?;
    Ok((converted.rows, converted.summary))
}

/// As [`convert_with`], with the lines of rejected rows.
pub(crate) fn convert_and_reject(
    file: impl Into<Bytes>,
    options: &Options,
    budget: &Budget,
) -> Result<Converted, Error> {
    let file = file.into();
    let by = |encoder| {
        let options = Options {
            encoder,
            ..options.clone()
        };
        convert_once(file.clone(), &options, budget)
    };
    let (columnar, reference) = (by(Encoder::Columnar), by(Encoder::Reference));
    match (&columnar, &reference) {
        (Ok(ours), Ok(theirs)) => {
            for (ours, theirs) in [
                (&ours.rows, &theirs.rows),
                (&ours.rejected, &theirs.rejected),
            ] {
                assert!(ours == theirs, "{}", difference(ours, theirs));
            }
            assert_eq!(ours.summary, theirs.summary);
        }
        (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
        (ours, theirs) => panic!("columnar: {ours:?}, reference: {theirs:?}"),
    }
    columnar
}

fn convert_once(file: Bytes, options: &Options, budget: &Budget) -> Result<Converted, Error> {
    let conversion = Conversion::open(Arc::new(file), options, budget)?;
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    let summary = conversion.convert(Outputs {
        rows: &mut rows,
        rejected: Some(&mut rejected),
    })?;
    assert_eq!(
        summary.bytes,
        rows.len() as u64,
        "the summary counts what the sink got"
    );
    Ok(Converted {
        rows,
        rejected,
        summary,
    })
}

/// The surroundings of the first byte that differs.
pub(crate) fn difference(output: &[u8], expected: &[u8]) -> String {
    let same = output.iter().zip(expected).take_while(|(a, b)| a == b);
    let first = same.count();
    let part = |text: &[u8]| {
        let around = first.saturating_sub(60)..text.len().min(first + 60);
        String::from_utf8_lossy(&text[around]).into_owned()
    };
    let (output, expected) = (part(output), part(expected));
    format!("at byte {first}\noutput:   {output}\nexpected: {expected}")
}

/// The output as text.
pub(crate) fn convert(file: impl Into<Bytes>, options: &Options) -> Result<String, Error> {
    let (output, _) = convert_with(file, options, &BUDGET)?;
    Ok(String::from_utf8(output).expect("JSON is UTF-8"))
}

/// The output with default options, as lines.
pub(crate) fn lines(file: impl Into<Bytes>) -> Vec<String> {
    let text = convert(file, &Options::default()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

/// The error of a conversion with default options, as text with its causes.
pub(crate) fn failure(file: impl Into<Bytes>) -> Error {
    convert(file, &Options::default()).expect_err("the file should be refused")
}

/// One file with one row group per batch.
pub(crate) fn write(batches: &[RecordBatch]) -> Vec<u8> {
    write_with(batches, WriterProperties::builder().build())
}

pub(crate) fn write_with(batches: &[RecordBatch], properties: WriterProperties) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut file, batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file
}

/// The values of one leaf column, as the format stores them.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// Days since 1970-01-01 and nanoseconds of the day.
    I96(Vec<(i32, u64)>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<Vec<u8>>),
    Fixed(Vec<Vec<u8>>),
}

impl Stored {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::I96(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bytes(values) | Self::Fixed(values) => values.len(),
        }
    }
}

/// Levels of a leaf column, for those that are not required at the top.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels {
    pub(crate) definition: Option<Vec<i16>>,
    pub(crate) repetition: Option<Vec<i16>>,
}

/// One file, uncompressed, with one row group: the leaf columns of `schema`
/// (`message m { required int32 a; }`) in order.
pub(crate) fn write_leaves(schema: &str, leaves: &[(Stored, Levels)]) -> Vec<u8> {
    write_leaves_with(schema, leaves, Compression::UNCOMPRESSED)
}

pub(crate) fn write_leaves_with(
    schema: &str,
    leaves: &[(Stored, Levels)],
    compression: Compression,
) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(compression);
    write_leaves_as(schema, leaves, properties.build())
}

pub(crate) fn write_leaves_as(
    schema: &str,
    leaves: &[(Stored, Levels)],
    properties: WriterProperties,
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::new(properties)).unwrap();
    let mut row_group = writer.next_row_group().unwrap();
    for (values, levels) in leaves {
        write_leaf(&mut row_group, values, levels);
    }
    row_group.close().unwrap();
    writer.close().unwrap();
    file
}

fn write_leaf(
    row_group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &Stored,
    levels: &Levels,
) {
    match values {
        Stored::Bool(values) => typed::<BoolType>(row_group, values, levels),
        Stored::I32(values) => typed::<Int32Type>(row_group, values, levels),
        Stored::I64(values) => typed::<Int64Type>(row_group, values, levels),
        Stored::F32(values) => typed::<FloatType>(row_group, values, levels),
        Stored::F64(values) => typed::<DoubleType>(row_group, values, levels),
        Stored::I96(values) => {
            let values: Vec<Int96> = values
                .iter()
                .map(|&(days, nanos)| int96(days, nanos))
                .collect();
            typed::<Int96Type>(row_group, &values, levels);
        }
        Stored::Bytes(values) => {
            let values: Vec<ByteArray> = values.iter().cloned().map(ByteArray::from).collect();
            typed::<ByteArrayType>(row_group, &values, levels);
        }
        Stored::Fixed(values) => {
            let values: Vec<FixedLenByteArray> = values
                .iter()
                .cloned()
                .map(FixedLenByteArray::from)
                .collect();
            typed::<FixedLenByteArrayType>(row_group, &values, levels);
        }
    }
}

fn typed<T: DataType>(
    row_group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    levels: &Levels,
) {
    let mut column = row_group
        .next_column()
        .unwrap()
        .expect("the schema has this column");
    let (definition, repetition) = (levels.definition.as_deref(), levels.repetition.as_deref());
    column
        .typed::<T>()
        .write_batch(values, definition, repetition)
        .unwrap();
    column.close().unwrap();
}

/// `days` since 1970-01-01.
pub(crate) fn int96(days: i32, nanos_of_day: u64) -> Int96 {
    const JULIAN_DAY_OF_EPOCH: i32 = 2_440_588;

    let mut value = Int96::new();
    let [low, high] = [nanos_of_day, nanos_of_day >> 32].map(|half| (half & 0xffff_ffff) as u32);
    value.set_data(low, high, (days + JULIAN_DAY_OF_EPOCH).cast_unsigned());
    value
}

/// A file with one required column `v`, declared as `int32 v (DATE)`.
pub(crate) fn one_column(declaration: &str, values: &Stored) -> Vec<u8> {
    let schema = format!("message m {{ required {declaration}; }}");
    write_leaves(&schema, &[(values.clone(), Levels::default())])
}

/// The rendered values of column `v`, one per row.
pub(crate) fn values(file: Vec<u8>, options: &Options) -> Vec<String> {
    let text = convert(file, options).unwrap();
    text.lines()
        .map(|line| {
            let value = line
                .strip_prefix("{\"v\":")
                .and_then(|rest| rest.strip_suffix('}'));
            value
                .unwrap_or_else(|| panic!("not a row with v: {line}"))
                .to_owned()
        })
        .collect()
}

/// A file with `rows` rows of no columns. No writer makes such a file any more,
/// so only its footer is written.
pub(crate) fn without_columns(rows: i64) -> Vec<u8> {
    let root = Type::group_type_builder("m").build().unwrap();
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let row_group = RowGroupMetaData::builder(Arc::clone(&schema))
        .set_num_rows(rows)
        .build()
        .unwrap();
    let metadata = ParquetMetaData::new(
        FileMetaData::new(2, rows, None, None, schema, None),
        vec![row_group],
    );
    let mut file = b"PAR1".to_vec();
    ParquetMetaDataWriter::new(&mut file, &metadata)
        .finish()
        .unwrap();
    file
}
