//! Converts one parquet file to JSON Lines on standard output:
//!
//! ```sh
//! cargo run -p etl-engine --example parquet2json -- input.parquet [MEMORY_MIB] > output.json
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{Budget, Conversion, Options, ReadAt, ReadError, Sink, SinkError};

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
            let length = usize::try_from(range.end - range.start).map_err(ReadError::new)?;
            let mut buffer = vec![0; length];
            self.file
                .read_exact_at(&mut buffer, range.start)
                .map_err(ReadError::new)?;
            Ok(buffer.into())
        };
        ranges.iter().map(read).collect()
    }
}

struct Stdout(io::Stdout);

impl Sink for Stdout {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.0.write_all(&chunk).map_err(SinkError::new)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("parquet2json: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let path = args.next().ok_or("usage: parquet2json FILE [MEMORY_MIB]")?;
    let memory_mib: u64 = match args.next() {
        Some(arg) => arg.to_string_lossy().parse()?,
        None => 1024,
    };
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let threads = std::thread::available_parallelism()?.get();
    let budget = Budget {
        memory_bytes: memory_mib << 20,
        threads,
    };
    let source = Arc::new(FileSource { file, size });
    let conversion = Conversion::open(source, &Options::default(), &budget)?;
    let needed = conversion.memory_needed().div_ceil(1 << 20);
    let summary = conversion.convert(&mut Stdout(io::stdout()))?;
    eprintln!(
        "{} rows, {} bytes, planned with {needed} MiB of memory",
        summary.rows, summary.bytes
    );
    Ok(())
}
