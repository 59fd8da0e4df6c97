//! Generated files: the output is what the documentation says, reads back as
//! the values of the file, and is the same whatever the layout of the file, the
//! threads, the memory and the encoder.
//!
//! `ETL_PROPERTY_CASES=5000` tries more of them, `ETL_PROPERTY_SEED=17` the one
//! that a failure has named.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use etl_engine::{
    Budget, Compression, Conversion, Encoder, Error, ErrorKind, Format, JsonOptions, NonFinite,
    Options, Timestamps,
};
use flate2::read::MultiGzDecoder;
use serde::de::IgnoredAny;
use support::decoded::{Json, assert_row};
use support::draw::Draw;
use support::expected;
use support::generate::{self, Size};
use support::{BUDGET, Stored, difference, one_column};

const SIZE: Size = Size {
    rows: 120,
    fields: 5,
    depth: 3,
};

/// Says which case it was that failed.
struct Case(u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to try this case alone: ETL_PROPERTY_SEED={}", self.0);
        }
    }
}

fn each_case(usual: u64, case: impl Fn(&mut Draw<'_>)) {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("the variable is a number"))
    };
    let seeds: Range<u64> = match number("ETL_PROPERTY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ETL_PROPERTY_CASES").unwrap_or(usual),
    };
    for seed in seeds {
        let named = Case(seed);
        case(&mut Draw::from_seed(seed));
        drop(named);
    }
}

fn convert(file: &Bytes, options: &Options, budget: Budget) -> Result<Vec<u8>, Error> {
    let mut output = Vec::new();
    let conversion = Conversion::open(Arc::new(file.clone()), options, &budget)?;
    let rows = conversion.rows();
    let summary = conversion.convert(&mut output)?;
    assert_eq!(summary.rows, rows);
    Ok(output)
}

/// The options of a case that decide what the text is.
fn options(draw: &mut Draw<'_>) -> Options {
    Options {
        format: generate::format(draw),
        json: generate::json_options(draw),
        ..Options::default()
    }
}

#[test]
fn the_output_is_what_the_documentation_says_whatever_the_layout_of_the_file() {
    each_case(250, |draw| {
        let schema = generate::schema(draw, SIZE);
        let batches: Vec<RecordBatch> = (0..draw.below(4))
            .map(|_| generate::batch(draw, &schema, SIZE))
            .collect();
        let options = options(draw);
        let expected = expected::output(&batches, options.format, options.json);
        for _ in 0..2 {
            let properties = generate::properties(draw, &schema);
            let file = Bytes::from(generate::file(&schema, &batches, properties));
            match (convert(&file, &options, BUDGET), &expected) {
                (Ok(output), Ok(expected)) => assert_same(&output, expected),
                (Err(error), Err(expected::Refused)) => {
                    assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
                    assert!(error.to_string().contains("NaN or infinite"), "{error}");
                }
                (Ok(_), Err(expected::Refused)) => panic!("a NaN or an infinity went through"),
                (Err(error), Ok(_)) => panic!("{error}"),
            }
        }
    });
}

fn assert_same(output: &[u8], expected: &str) {
    let expected = expected.as_bytes();
    assert!(output == expected, "{}", difference(output, expected));
}

#[test]
fn the_output_reads_back_as_the_values_of_the_file() {
    each_case(250, |draw| {
        let schema = generate::schema(draw, SIZE);
        let batch = generate::batch(draw, &schema, SIZE);
        let mut options = options(draw);
        options.format = Format::JsonLines;
        if options.json.non_finite == NonFinite::Fail {
            options.json.non_finite = NonFinite::String;
        }
        let properties = generate::properties(draw, &schema);
        let file = generate::file(&schema, std::slice::from_ref(&batch), properties);
        let output = convert(&file.into(), &options, BUDGET).expect("it is a sound file");
        let output = String::from_utf8(output).expect("JSON is UTF-8");
        assert_eq!(output.lines().count(), batch.num_rows());
        for (row, line) in output.lines().enumerate() {
            serde_json::from_str::<IgnoredAny>(line).expect(line);
            let json = Json::parse(line);
            assert_row(schema.fields(), batch.columns(), row, options.json, &json);
        }
    });
}

#[test]
fn the_bytes_do_not_depend_on_threads_memory_or_encoder() {
    each_case(60, |draw| {
        let schema = generate::schema(draw, SIZE);
        let batches: Vec<RecordBatch> = (0..=draw.below(3))
            .map(|_| generate::batch(draw, &schema, SIZE))
            .collect();
        let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
        let options = Options {
            compression: draw.choose(&compressions),
            ..options(draw)
        };
        let properties = generate::properties(draw, &schema);
        let file = Bytes::from(generate::file(&schema, &batches, properties));
        let first = convert(&file, &options, BUDGET);
        assert_reads_as(&first, &options, &batches);
        for threads in 1..=4 {
            for encoder in [Encoder::Columnar, Encoder::Reference] {
                let options = Options {
                    encoder,
                    ..options.clone()
                };
                let memory_bytes = needed(&file, &options, threads);
                let budget = Budget {
                    memory_bytes,
                    threads,
                };
                let other = convert(&file, &options, budget);
                match (&first, &other) {
                    (Ok(first), Ok(other)) => assert!(first == other, "{options:?}, {budget:?}"),
                    // Which of several refused values is met first may differ.
                    (Err(first), Err(other)) => assert_eq!(first.kind(), other.kind()),
                    (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
                        panic!("only once: {error}: {options:?}, {budget:?}")
                    }
                }
            }
        }
    });
}

/// The smallest budget that opens the file.
fn needed(file: &Bytes, options: &Options, threads: usize) -> u64 {
    let budget = Budget { threads, ..BUDGET };
    let conversion = Conversion::open(Arc::new(file.clone()), options, &budget);
    conversion.expect("it is a sound file").memory_needed()
}

/// Compressed output holds the same text.
fn assert_reads_as(output: &Result<Vec<u8>, Error>, options: &Options, batches: &[RecordBatch]) {
    let Ok(output) = output else { return };
    let text = match options.compression {
        Compression::None => output.clone(),
        Compression::Gzip => {
            let mut text = Vec::new();
            let read = MultiGzDecoder::new(&output[..]).read_to_end(&mut text);
            read.expect("the output is gzip");
            text
        }
        Compression::Zstd => zstd::decode_all(&output[..]).expect("the output is zstd"),
    };
    let expected = expected::output(batches, options.format, options.json);
    assert_same(&text, &expected.expect("the conversion did not refuse it"));
}

/// Days and nanoseconds of the day, which no Arrow type holds.
#[test]
fn int96_timestamps_of_every_year_are_exact() {
    each_case(100, |draw| {
        let values: Vec<(i32, u64)> = (0..50)
            .map(|_| {
                let days = (draw.long() >> 40) as i32;
                (days, draw.u64() % 86_400_000_000_000)
            })
            .collect();
        let json = JsonOptions {
            timestamps: draw.choose(&[Timestamps::Iso, Timestamps::EpochMillis]),
            ..JsonOptions::default()
        };
        let options = Options {
            json,
            ..Options::default()
        };
        let expected: String = values
            .iter()
            .map(|&(days, nanos)| {
                let text = expected::int96(days, nanos, json);
                format!("{{\"v\":{text}}}\n")
            })
            .collect();
        let file = one_column("int96 v", &Stored::I96(values));
        let output = convert(&file.into(), &options, BUDGET).expect("it is a sound file");
        assert_same(&output, &expected);
    });
}
