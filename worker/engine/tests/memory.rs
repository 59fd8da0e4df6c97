//! What a conversion really takes from the allocator, against its budget.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use etl_engine::{
    Budget, Compression, Conversion, Error, Options, ReadAt, ReadError, Sink, SinkError, Summary,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression as Codec;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One measurement at a time.
static MEASURING: Mutex<()> = Mutex::new(());

struct FileSource {
    file: File,
    size: u64,
}

impl ReadAt for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let read = |range: &Range<u64>| {
            let mut buffer = vec![0; (range.end - range.start) as usize];
            self.file
                .read_exact_at(&mut buffer, range.start)
                .map_err(ReadError::new)?;
            Ok(buffer.into())
        };
        ranges.iter().map(read).collect()
    }
}

/// Keeps nothing but a checksum.
#[derive(Default)]
struct Checksum(crc32fast::Hasher);

impl Sink for Checksum {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.0.update(&chunk);
        Ok(())
    }
}

/// Writes one row group of `batches`, one after the other.
fn write(codec: Codec, batches: impl IntoIterator<Item = RecordBatch>) -> File {
    let file = tempfile::tempfile().unwrap();
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(None)
        .build();
    let mut batches = batches.into_iter().peekable();
    let schema = batches.peek().unwrap().schema();
    let mut out = BufWriter::new(file.try_clone().unwrap());
    let mut writer = ArrowWriter::try_new(&mut out, schema, Some(properties)).unwrap();
    for batch in batches {
        writer.write(&batch).unwrap();
    }
    writer.close().unwrap();
    out.flush().unwrap();
    drop(out);
    file
}

struct Measured {
    summary: Summary,
    checksum: u32,
    /// More than before, at any time of the conversion.
    peak_bytes: usize,
    needed_bytes: u64,
}

fn convert(file: &File, options: &Options, threads: usize, memory_bytes: u64) -> Measured {
    let budget = Budget {
        memory_bytes,
        threads,
    };
    let file = file.try_clone().unwrap();
    let size = file.metadata().unwrap().len();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let conversion =
        Conversion::open(Arc::new(FileSource { file, size }), options, &budget).unwrap();
    let needed_bytes = conversion.memory_needed();
    let mut sink = Checksum::default();
    let summary = conversion.convert(&mut sink).unwrap();
    Measured {
        summary,
        checksum: sink.0.finalize(),
        peak_bytes: MEMORY.peak_usage() - before,
        needed_bytes,
    }
}

fn options(compression: Compression) -> Options {
    Options {
        compression,
        ..Options::default()
    }
}

fn assert_within(measured: &Measured, budget: u64, what: &str) {
    let (peak, needed) = (measured.peak_bytes >> 20, measured.needed_bytes >> 20);
    println!(
        "{what}: peak {peak} MiB of {} MiB, {needed} MiB needed",
        budget >> 20
    );
    assert!(measured.peak_bytes as u64 <= budget, "{what}: {peak} MiB");
}

/// Numbers, text and bytes that do not compress: 330 bytes a row.
fn noise(rows: usize) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(rows as u64);
    let numbers: Int64Array = (0..rows).map(|_| Some(random.i64(..))).collect();
    let texts: StringArray = (0..rows)
        .map(|_| Some(format!("{:032x}{:032x}", random.u128(..), random.u128(..))))
        .collect();
    let mut bytes = vec![0; 256];
    let binaries: BinaryArray = (0..rows)
        .map(|_| {
            random.fill(&mut bytes);
            Some(bytes.clone())
        })
        .collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("number", Arc::new(numbers)),
        ("text", Arc::new(texts)),
        ("bytes", Arc::new(binaries)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn a_row_group_of_many_times_the_budget_is_converted_within_it() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    const BUDGET: u64 = 48 << 20;

    let batch = noise(10_000);
    let file = write(Codec::SNAPPY, std::iter::repeat_n(batch, 60));
    assert!(file.metadata().unwrap().len() > 3 * BUDGET);
    let ample = convert(&file, &Options::default(), 2, 2 << 30);
    assert_eq!(ample.summary.rows, 600_000);
    for compression in [Compression::None, Compression::Zstd] {
        for threads in [1, 2] {
            let options = options(compression);
            let measured = convert(&file, &options, threads, BUDGET);
            assert_within(
                &measured,
                BUDGET,
                &format!("{compression:?}, {threads} threads"),
            );
            assert_eq!(measured.summary.json_bytes, ample.summary.json_bytes);
            if compression == Compression::None {
                assert_eq!(measured.checksum, ample.checksum);
            }
        }
    }
}

#[test]
fn a_thousand_columns_are_converted_within_the_default_budget() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    const BUDGET: u64 = 256 << 20;
    const ROWS: usize = 10_000;

    let mut random = fastrand::Rng::with_seed(1);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (0..ROWS).map(|_| random.i64(..)),
    ));
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(
        (0..ROWS).map(|_| random.f64()),
    ));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..ROWS).map(|_| format!("{:x}", random.u64(..))),
    ));
    let columns = (0..1000).map(|column| {
        let values = [&numbers, &floats, &texts][column % 3];
        (format!("column_{column:03}"), Arc::clone(values))
    });
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = write(Codec::SNAPPY, [batch]);
    let measured = convert(&file, &Options::default(), 2, BUDGET);
    assert_eq!(measured.summary.rows, ROWS as u64);
    assert_within(&measured, BUDGET, "1,000 columns");
    let least = convert(&file, &Options::default(), 2, measured.needed_bytes);
    assert_within(
        &least,
        measured.needed_bytes,
        "1,000 columns, the least memory",
    );
    assert_eq!(least.checksum, measured.checksum);
}

/// Strings of a dictionary are stored once and written out for every row.
#[test]
fn rows_that_grow_a_thousandfold_wait_for_the_sink() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    const BUDGET: u64 = 48 << 20;

    let text = "x".repeat(60_000);
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..20_000).map(|row| if row % 2 == 0 { text.as_str() } else { "" }),
    ));
    let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    drop(batch);
    for threads in [1, 4] {
        let measured = convert(&file, &Options::default(), threads, BUDGET);
        assert!(measured.summary.json_bytes > 11 * BUDGET);
        assert_within(
            &measured,
            BUDGET,
            &format!("large strings, {threads} threads"),
        );
    }
}

/// To name the column that cannot be decoded, all are read a second time.
#[test]
fn looking_for_a_damaged_column_takes_no_more_than_the_budget() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    const BUDGET: u64 = 48 << 20;
    const ROWS: usize = 60_000;
    const VALUE: &str = "0123456789abcdef";

    let large = "x".repeat(128 << 20);
    let texts = (0..ROWS).map(|row| if row + 1 == ROWS { &large[..] } else { "" });
    let columns: [(&str, ArrayRef); 2] = [
        ("large", Arc::new(StringArray::from_iter_values(texts))),
        ("damaged", Arc::new(StringArray::from(vec![VALUE; ROWS]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Codec::UNCOMPRESSED)
        .set_column_compression(ColumnPath::from("large"), Codec::ZSTD(Default::default()))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    drop((batch, large));
    let value = file
        .windows(VALUE.len())
        .position(|bytes| bytes == VALUE.as_bytes());
    file[value.unwrap()] = 0xff;

    let budget = Budget {
        memory_bytes: BUDGET,
        threads: 1,
    };
    let file = Bytes::from(file);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let conversion = Conversion::open(Arc::new(file), &Options::default(), &budget).unwrap();
    let error = conversion.convert(&mut Checksum::default()).unwrap_err();
    let peak = (MEMORY.peak_usage() - before) as u64;
    assert!(matches!(error, Error::BadInput { .. }), "{error:?}");
    assert!(error.to_string().contains("column \"damaged\""), "{error}");
    assert!(peak <= BUDGET, "{} MiB", peak >> 20);
}
