//! What may become of any file at all: a typed error, or as many rows of JSON
//! as the file says it has, within the memory that was allowed.

use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{Budget, Conversion, Error, ErrorKind, Format, Options, Sink, SinkError};
use serde::de::IgnoredAny;

use crate::MEMORY;

const BUDGET: Budget = Budget {
    memory_bytes: 48 << 20,
    threads: 1,
};
/// The counter sees a growing buffer twice, the old one and the new one.
const SLACK_BYTES: usize = 16 << 20;
/// A few bytes may stand for billions of equal rows. That is no fault, but
/// nothing to wait for.
const MOST_ROWS: u64 = 100_000;
const MOST_OUTPUT_BYTES: usize = 16 << 20;

/// Panics of the decoders are expected and become errors; those of the engine's
/// own code and of the targets end the process.
pub fn init() {
    std::panic::set_hook(Box::new(|panic| {
        let file = panic.location().map_or("", |location| location.file());
        if file.contains("worker/engine/") || file.contains("fuzz/src/") || file.starts_with("src/")
        {
            let backtrace = std::backtrace::Backtrace::force_capture();
            eprintln!("{panic}\n{backtrace}");
            std::process::abort();
        }
    }));
}

/// Converts `file`; the output, if there is a whole one.
pub(crate) fn judge(file: Bytes, options: &Options) -> Option<String> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let mut output = Capped(Vec::new());
    let result = convert(file, options, &mut output);
    let peak = MEMORY.peak_usage() - before;
    let allowed = BUDGET.memory_bytes as usize + 2 * output.0.capacity() + SLACK_BYTES;
    assert!(peak <= allowed, "{peak} bytes of {allowed}: {result:?}");
    match result {
        Ok(Some(rows)) => Some(check_rows(output.0, rows, options.format)),
        Ok(None) => None,
        Err(error) => {
            let kinds = [
                ErrorKind::BadInput,
                ErrorKind::Unsupported,
                ErrorKind::NotEnoughMemory,
                ErrorKind::Sink,
            ];
            assert!(kinds.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// The number of rows, or nothing if there are too many to wait for.
fn convert(file: Bytes, options: &Options, output: &mut Capped) -> Result<Option<u64>, Error> {
    let conversion = Conversion::open(Arc::new(file), options, &BUDGET)?;
    let rows = conversion.rows();
    if rows > MOST_ROWS {
        return Ok(None);
    }
    let summary = conversion.convert(output)?;
    assert_eq!(summary.rows, rows);
    Ok(Some(rows))
}

fn check_rows(output: Vec<u8>, rows: u64, format: Format) -> String {
    let output = String::from_utf8(output).expect("JSON is UTF-8");
    let found = match format {
        Format::JsonLines => {
            for line in output.lines() {
                serde_json::from_str::<IgnoredAny>(line).expect("a line is JSON");
            }
            output.lines().count()
        }
        Format::JsonArray => {
            let array: Vec<IgnoredAny> = serde_json::from_str(&output).expect("it is an array");
            array.len()
        }
    };
    assert_eq!(found as u64, rows);
    output
}

/// A sink that has enough at some point.
struct Capped(Vec<u8>);

impl Sink for Capped {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        if self.0.len() + chunk.len() > MOST_OUTPUT_BYTES {
            return Err(SinkError::new("more output than anyone reads"));
        }
        self.0.extend_from_slice(&chunk);
        Ok(())
    }
}
