//! Row groups that are read while they are decoded: what is asked of the source,
//! and that the output is the same.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch};
use arrow_array::{StringArray, StructArray};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use etl_engine::{Budget, Conversion, Encoder, Options, ReadAt, ReadError};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use support::{Levels, Stored, write_leaves_with, write_with};

/// Remembers what has been announced and read.
struct Watched {
    bytes: Bytes,
    /// How often a range has been announced and not been read.
    announced: Mutex<HashMap<Range<u64>, u32>>,
    reads: Mutex<Vec<(Range<u64>, bool)>>,
}

impl Watched {
    fn new(bytes: Bytes) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            announced: Mutex::default(),
            reads: Mutex::default(),
        })
    }
}

impl ReadAt for Watched {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        for range in ranges {
            let mut announced = self.announced.lock().unwrap();
            let was_announced = match announced.get_mut(range) {
                Some(times) => {
                    *times -= 1;
                    if *times == 0 {
                        announced.remove(range);
                    }
                    true
                }
                None => false,
            };
            self.reads
                .lock()
                .unwrap()
                .push((range.clone(), was_announced));
        }
        self.bytes.read_ranges(ranges)
    }

    fn will_read(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            *self
                .announced
                .lock()
                .unwrap()
                .entry(range.clone())
                .or_default() += 1;
        }
    }
}

fn batch(rows: usize, seed: u64) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(seed);
    let numbers: Int64Array = (0..rows)
        .map(|row| (row % 7 > 0).then(|| random.i64(..)))
        .collect();
    let few: StringArray = (0..rows)
        .map(|row| Some(["red", "green", "blue"][row % 3]))
        .collect();
    let texts: StringArray = (0..rows)
        .map(|row| (row % 11 > 0).then(|| format!("{:032x}", random.u128(..))))
        .collect();
    let floats: Float64Array = (0..rows).map(|_| Some(random.f64())).collect();
    let flags: BooleanArray = (0..rows).map(|row| Some(row % 5 == 0)).collect();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>((0..rows).map(|row| {
        (row % 13 > 0).then(|| {
            (0..row % 9)
                .map(|item| Some(item as i32))
                .collect::<Vec<_>>()
        })
    }));
    let nested = StructArray::from(vec![
        (
            Arc::new(Field::new("flag", DataType::Boolean, true)),
            Arc::new(flags) as ArrayRef,
        ),
        (
            Arc::new(Field::new("list", lists.data_type().clone(), true)),
            Arc::new(lists) as ArrayRef,
        ),
    ]);
    let columns: [(&str, ArrayRef); 5] = [
        ("number", Arc::new(numbers)),
        ("few", Arc::new(few)),
        ("text", Arc::new(texts)),
        ("float", Arc::new(floats)),
        ("nested", Arc::new(nested)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

use arrow_array::Array as _;

fn convert(source: Arc<Watched>, memory_bytes: u64, threads: usize) -> Vec<u8> {
    let options = Options {
        encoder: Encoder::Columnar,
        ..Options::default()
    };
    let budget = Budget {
        memory_bytes,
        threads,
    };
    let conversion = Conversion::open(source, &options, &budget).unwrap();
    let mut output = Vec::new();
    conversion.convert(&mut output).unwrap();
    output
}

/// Enough for the threads and hardly anything to read ahead.
fn least(file: &Bytes, threads: usize) -> u64 {
    let budget = Budget {
        memory_bytes: 1 << 30,
        threads,
    };
    let source = Arc::new(file.clone());
    let conversion = Conversion::open(source, &Options::default(), &budget).unwrap();
    conversion.memory_needed() + (2 << 20)
}

/// Returns the reads of the row groups.
fn assert_same_in_windows(file: Vec<u8>, what: &str) -> Vec<(Range<u64>, bool)> {
    let file = Bytes::from(file);
    let whole = Watched::new(file.clone());
    let expected = convert(Arc::clone(&whole), 1 << 30, 2);
    let mut last = Vec::new();
    for threads in 1..=4 {
        let source = Watched::new(file.clone());
        let output = convert(Arc::clone(&source), least(&file, threads), threads);
        assert!(output == expected, "{what} with {threads} threads");
        let left = source.announced.lock().unwrap();
        assert!(
            left.is_empty(),
            "{what}: announced and never read: {left:?}"
        );
        last = source.reads.lock().unwrap().split_off(2);
    }
    let few = whole.reads.lock().unwrap().len();
    assert!(
        last.len() > 2 * few,
        "{what}: {} reads in windows, {few} else",
        last.len()
    );
    last
}

#[test]
fn every_codec_and_page_version_is_the_same_in_windows() {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::try_new(1).unwrap()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let batches = [batch(60_000, 1), batch(60_000, 2), batch(1_000, 3)];
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for codec in codecs {
            let properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_compression(codec)
                .build();
            let what = format!("{codec:?} {version:?}");
            assert_same_in_windows(write_with(&batches, properties), &what);
        }
    }
}

#[test]
fn what_is_read_in_windows_has_been_announced() {
    let batches = [batch(80_000, 1), batch(80_000, 2)];
    let file = write_with(&batches, WriterProperties::builder().build());
    let reads = assert_same_in_windows(file, "two row groups");
    let surprises = reads.iter().filter(|(_, announced)| !announced).count();
    assert_eq!(surprises, 0, "of {} reads", reads.len());
}

#[test]
fn int96_columns_are_read_twice_and_come_out_once() {
    let stamps = (0..400_000).map(|row| {
        (
            row / 100 - 500_000,
            row as u64 * 1_000_000_007 % 86_400_000_000_000,
        )
    });
    let file = write_leaves_with(
        "message m { required int96 at; required int64 n; }",
        &[
            (Stored::I96(stamps.collect()), Levels::default()),
            (Stored::I64((0..400_000).collect()), Levels::default()),
        ],
        Compression::SNAPPY,
    );
    assert_same_in_windows(file, "INT96");
}
