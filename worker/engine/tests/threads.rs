//! Which threads do the work, and what becomes of a sink's panic.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread::{ThreadId, current};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StructArray};
use arrow_schema::Field;
use bytes::Bytes;
use etl_engine::{
    Budget, Conversion, Error, Options, ReadAt, ReadError, Sink, SinkError, handles_values,
};
use support::{BUDGET, write};

/// Remembers by which threads it is read.
struct Source {
    bytes: Bytes,
    readers: Mutex<HashSet<ThreadId>>,
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        self.readers.lock().unwrap().insert(current().id());
        self.bytes.read_ranges(ranges)
    }
}

/// Remembers by which threads it is written.
#[derive(Default)]
struct Output {
    text: Vec<u8>,
    writers: HashSet<ThreadId>,
}

impl Sink for Output {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        assert!(handles_values(), "a panic's text would get into a log");
        self.writers.insert(current().id());
        self.text.extend(chunk);
        Ok(())
    }
}

struct Panicking;

impl Sink for Panicking {
    fn write(&mut self, _: Bytes) -> Result<(), SinkError> {
        panic!("a bug of the sink");
    }
}

fn column(rows: i64) -> ArrayRef {
    Arc::new((0..rows).map(Some).collect::<Int64Array>())
}

fn file(column: ArrayRef) -> Bytes {
    write(&[RecordBatch::try_from_iter([("a", column)]).unwrap()]).into()
}

/// One integer below so many structs.
fn nested(column: ArrayRef, levels: usize) -> ArrayRef {
    (0..levels).fold(column, |inner, _| {
        let field = Arc::new(Field::new("a", inner.data_type().clone(), true));
        Arc::new(StructArray::from(vec![(field, inner)]))
    })
}

/// Converts with four threads; the output, and who has read and written.
fn convert(file: Bytes) -> (String, HashSet<ThreadId>) {
    let source = Arc::new(Source {
        bytes: file,
        readers: Mutex::default(),
    });
    let budget = Budget {
        threads: 4,
        ..BUDGET
    };
    let options = Options::default();
    let conversion = Conversion::open(Arc::<Source>::clone(&source), &options, &budget).unwrap();
    // Who opens a file also reads its footer.
    source.readers.lock().unwrap().clear();
    let mut output = Output::default();
    conversion.convert(&mut output).unwrap();
    let mut threads = output.writers;
    threads.extend(source.readers.lock().unwrap().iter());
    (String::from_utf8(output.text).unwrap(), threads)
}

#[test]
fn an_object_with_little_to_do_takes_no_thread_but_the_callers() {
    let file = file(column(3));
    // Others, if there were any, would not find something to do every time.
    for _ in 0..200 {
        let (text, threads) = convert(file.clone());
        assert_eq!(text, "{\"a\":0}\n{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(threads, HashSet::from([current().id()]));
        assert!(!handles_values(), "the work is over");
    }
}

#[test]
fn a_deep_schema_is_left_to_threads_with_a_stack_for_it() {
    let (text, threads) = convert(file(nested(column(1), 20)));
    let expected = format!("{}0{}\n", "{\"a\":".repeat(21), "}".repeat(21));
    assert_eq!(text, expected);
    assert!(!threads.contains(&current().id()));
}

#[test]
fn a_panic_of_the_sink_ends_the_conversion_and_is_no_fault_of_the_file() {
    for rows in [3, 500_000] {
        let file = file(column(rows));
        for threads in 1..4 {
            let budget = Budget { threads, ..BUDGET };
            let source = Arc::new(file.clone());
            let conversion = Conversion::open(source, &Options::default(), &budget).unwrap();
            let result = conversion.convert(&mut Panicking);
            match result {
                Err(Error::Internal(problem)) => assert_eq!(problem, "a sink panicked"),
                other => panic!("{rows} rows, {threads} threads: {other:?}"),
            }
        }
    }
}
