//! The stream as a whole: formats, compression, order, chunks, and the errors
//! of the source and the sink.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use etl_engine::{
    Budget, Compression, Conversion, Error, Format, Options, ReadAt, ReadError, Sink, SinkError,
};
use support::{BUDGET, Stored, convert, convert_with, one_column, write};

/// Four row groups of 20,000 rows.
fn file() -> Vec<u8> {
    let batch = |group: i64| {
        let rows = group * 20_000..(group + 1) * 20_000;
        let number: Int64Array = rows.clone().map(Some).collect();
        let text: StringArray = rows
            .map(|row| Some(format!("row {row} of the file")))
            .collect();
        let columns: [(&str, ArrayRef); 2] =
            [("number", Arc::new(number)), ("text", Arc::new(text))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    write(&(0..4).map(batch).collect::<Vec<_>>())
}

fn options(format: Format, compression: Compression) -> Options {
    Options {
        format,
        compression,
        ..Options::default()
    }
}

#[test]
fn rows_come_out_in_order_and_the_summary_counts_them() {
    let (output, summary) = convert_with(file(), &Options::default(), &BUDGET).unwrap();
    let expected: String = (0..80_000)
        .map(|row| format!("{{\"number\":{row},\"text\":\"row {row} of the file\"}}\n"))
        .collect();
    assert!(
        String::from_utf8(output).unwrap() == expected,
        "every row once and in order"
    );
    assert_eq!((summary.rows, summary.row_groups), (80_000, 4));
    assert_eq!(summary.bytes, summary.json_bytes);
}

fn range_of(file: &Bytes, range: Range<usize>) -> (Vec<u8>, u64) {
    let conversion = open(Arc::new(file.clone()), 2)
        .only_row_groups(range)
        .unwrap();
    let rows = conversion.rows();
    let mut output = Vec::new();
    let summary = conversion.convert(&mut output).unwrap();
    assert_eq!(summary.rows, rows);
    (output, rows)
}

#[test]
fn ranges_of_row_groups_add_up_to_the_whole() {
    let file = Bytes::from(file());
    let (whole, _) = convert_with(file.clone(), &Options::default(), &BUDGET).unwrap();
    for cuts in [[0, 0, 4], [0, 1, 4], [0, 3, 4]] {
        let parts = cuts.windows(2).map(|cut| range_of(&file, cut[0]..cut[1]));
        let (bytes, rows): (Vec<_>, Vec<_>) = parts.unzip();
        assert!(bytes.concat() == whole, "{cuts:?}");
        assert_eq!(rows[0], 20_000 * cuts[1] as u64);
    }
    assert_eq!(range_of(&file, 2..2), (vec![], 0));
}

#[test]
fn a_range_beyond_the_file_is_refused() {
    let conversion = open(Arc::new(Bytes::from(file())), 1);
    let error = conversion.only_row_groups(3..5).unwrap_err();
    let message = "row groups 3..5 were asked for, and the file has 4";
    assert_eq!(error.to_string(), message);
}

#[test]
fn row_group_sizes_are_those_of_the_footer() {
    let file = file();
    let length = file.len() as u64;
    let sizes = open(Arc::new(Bytes::from(file)), 1).row_group_sizes();
    assert_eq!(sizes.len(), 4);
    assert!(sizes.iter().all(|size| size.rows == 20_000));
    assert!(
        sizes
            .iter()
            .all(|size| size.uncompressed_bytes > 20_000 * 8)
    );
    let stored: u64 = sizes.iter().map(|size| size.compressed_bytes).sum();
    assert!(
        (length / 2..length).contains(&stored),
        "{stored} of {length}"
    );
}

#[test]
fn the_bytes_do_not_depend_on_threads_memory_or_chance() {
    let file = Bytes::from(file());
    for format in [Format::JsonLines, Format::JsonArray] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let options = options(format, compression);
            let run = |threads, memory_bytes| {
                let budget = Budget {
                    memory_bytes,
                    threads,
                };
                convert_with(file.clone(), &options, &budget).unwrap()
            };
            let first = run(1, 1 << 30);
            for (threads, memory_bytes) in [(0, 1 << 30), (1, 32 << 20), (2, 1 << 28), (5, 1 << 30)]
            {
                assert!(
                    run(threads, memory_bytes) == first,
                    "{options:?} with {threads} threads"
                );
            }
        }
    }
}

#[test]
fn compressed_streams_hold_the_plain_ones() {
    let file = Bytes::from(file());
    let plain = |compression| {
        let options = options(Format::JsonArray, compression);
        convert_with(file.clone(), &options, &BUDGET).unwrap()
    };
    let (expected, plain_summary) = plain(Compression::None);
    let (gzip, summary) = plain(Compression::Gzip);
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(&gzip[..])
        .read_to_end(&mut text)
        .unwrap();
    assert!(text == expected);
    assert_eq!(summary.json_bytes, plain_summary.bytes);
    assert!(summary.bytes < summary.json_bytes);
    let modified = u32::from_le_bytes(gzip[4..8].try_into().unwrap());
    assert_eq!(
        modified, 0,
        "a time would make the same input give other bytes"
    );
    let (zstd, _) = plain(Compression::Zstd);
    assert!(zstd::stream::decode_all(&zstd[..]).unwrap() == expected);
}

#[test]
fn an_array_is_one_json_document() {
    let array = options(Format::JsonArray, Compression::None);
    let two = one_column("int32 v", &Stored::I32(vec![1, 2]));
    assert_eq!(convert(two, &array).unwrap(), r#"[{"v":1},{"v":2}]"#);
    let text = convert(file(), &array).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows.len(), 80_000);
}

#[test]
fn no_rows_give_no_lines_or_an_empty_array() {
    let empty = || one_column("int32 v", &Stored::I32(vec![]));
    let lines = options(Format::JsonLines, Compression::None);
    assert_eq!(convert(empty(), &lines).unwrap(), "");
    let array = options(Format::JsonArray, Compression::None);
    assert_eq!(convert(empty(), &array).unwrap(), "[]");
    let gzip = options(Format::JsonLines, Compression::Gzip);
    let (stream, summary) = convert_with(empty(), &gzip, &BUDGET).unwrap();
    assert_eq!((summary.rows, summary.json_bytes), (0, 0));
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&stream[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "", "an empty gzip member is still a gzip member");
}

/// Remembers chunks and refuses one of them.
struct Chunks {
    lengths: Vec<usize>,
    ends_with_row: bool,
    refuse: Option<usize>,
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("the disk is full")]
struct DiskFull;

impl Sink for Chunks {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        if self.refuse == Some(self.lengths.len()) {
            return Err(SinkError::new(DiskFull));
        }
        self.ends_with_row &= chunk.ends_with(b"\n");
        self.lengths.push(chunk.len());
        Ok(())
    }
}

fn open(source: Arc<dyn ReadAt>, threads: usize) -> Conversion {
    let budget = Budget { threads, ..BUDGET };
    Conversion::open(source, &Options::default(), &budget).unwrap()
}

#[test]
fn chunks_are_bounded_and_end_with_a_row() {
    let mut sink = Chunks {
        lengths: vec![],
        ends_with_row: true,
        refuse: None,
    };
    open(Arc::new(Bytes::from(file())), 2)
        .convert(&mut sink)
        .unwrap();
    assert!(sink.ends_with_row);
    assert!(
        sink.lengths
            .iter()
            .all(|&length| length > 0 && length < 300 << 10)
    );
}

#[test]
fn the_sinks_own_error_comes_back_and_all_threads_end() {
    for threads in [1, 2, 4] {
        for refuse in [0, 1, 5] {
            let mut sink = Chunks {
                lengths: vec![],
                ends_with_row: true,
                refuse: Some(refuse),
            };
            let error = open(Arc::new(Bytes::from(file())), threads).convert(&mut sink);
            let Err(Error::Sink(error)) = error else {
                panic!("{error:?}")
            };
            assert_eq!(error.downcast::<DiskFull>().unwrap(), DiskFull);
            assert_eq!(sink.lengths.len(), refuse);
        }
    }
}

/// Fails at the n-th call, and counts calls and ranges.
struct Flaky {
    bytes: Bytes,
    fail_at: Option<usize>,
    short_at: Option<usize>,
    calls: AtomicUsize,
}

#[derive(Debug, thiserror::Error)]
#[error("connection reset")]
struct Reset;

impl ReadAt for Flaky {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fail_at == Some(call) {
            return Err(ReadError::new(Reset));
        }
        let mut parts = self.bytes.read_ranges(ranges)?;
        if self.short_at == Some(call) {
            parts[0].truncate(1);
        }
        Ok(parts)
    }
}

fn flaky(fail_at: Option<usize>, short_at: Option<usize>) -> Arc<Flaky> {
    Arc::new(Flaky {
        bytes: file().into(),
        fail_at,
        short_at,
        calls: AtomicUsize::new(0),
    })
}

#[test]
fn the_sources_own_error_comes_back_whenever_it_fails() {
    let calls = {
        let source = flaky(None, None);
        open(source.clone(), 2).convert(&mut Vec::new()).unwrap();
        source.calls.load(Ordering::Relaxed)
    };
    assert_eq!(calls, 5, "the footer and one call per row group");
    for memory_bytes in [32 << 20, 512 << 20] {
        for fail_at in 0..calls {
            let source = flaky(Some(fail_at), None);
            let budget = Budget {
                memory_bytes,
                threads: 2,
            };
            let result = Conversion::open(source, &Options::default(), &budget)
                .and_then(|conversion| conversion.convert(&mut Vec::new()));
            let Err(Error::Read(error)) = result else {
                panic!("call {fail_at}: {result:?}")
            };
            assert!(error.downcast::<Reset>().is_ok());
        }
    }
}

#[test]
fn a_source_that_returns_too_little_is_found_out() {
    for short_at in 0..5 {
        let result = Conversion::open(flaky(None, Some(short_at)), &Options::default(), &BUDGET)
            .and_then(|conversion| conversion.convert(&mut Vec::new()));
        let Err(Error::Read(error)) = result else {
            panic!("call {short_at}: {result:?}")
        };
        assert!(
            error
                .to_string()
                .starts_with("the source returned 1 bytes for bytes "),
            "{error}"
        );
    }
}

/// Panics at the n-th call after the file has been opened.
struct Panicking {
    bytes: Bytes,
    calls_left: AtomicUsize,
}

impl Panicking {
    fn call(&self) {
        let left = self.calls_left.load(Ordering::Relaxed);
        if left > 0 && self.calls_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            panic!("a bug of the source");
        }
    }
}

impl ReadAt for Panicking {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        self.call();
        self.bytes.read_ranges(ranges)
    }

    fn will_read(&self, _: &[Range<u64>]) {
        self.call();
    }
}

/// So slow that threads wait for room and help each other meanwhile.
struct Slow;

impl Sink for Slow {
    fn write(&mut self, _: Bytes) -> Result<(), SinkError> {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }
}

#[test]
fn a_panic_of_the_source_ends_the_conversion_wherever_it_happens() {
    let text = "x".repeat(16 << 10);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); 32]));
    let group = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let bytes = Bytes::from(write(&vec![group; 100]));
    for threads in 1..=4 {
        for call in [1, 2, 30, 80, 120, 160, 180] {
            let source = Arc::new(Panicking {
                bytes: bytes.clone(),
                calls_left: AtomicUsize::new(0),
            });
            let conversion = open(Arc::<Panicking>::clone(&source), threads);
            source.calls_left.store(call, Ordering::Relaxed);
            let (done, outcome) = mpsc::channel();
            std::thread::spawn(move || done.send(conversion.convert(&mut Slow)));
            let result = outcome
                .recv_timeout(Duration::from_secs(60))
                .unwrap_or_else(|_| panic!("{threads} threads hang after call {call}"));
            assert!(
                matches!(result, Err(Error::Internal(_))),
                "{threads} threads, call {call}: {result:?}"
            );
        }
    }
}
