//! Our engine, file to file, through its public interface.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use bytes::Bytes;
use etl_engine::{
    Budget, Compression, Conversion, Error, JsonOptions, Nulls, Options, ReadAt, ReadError, Sink,
    SinkError,
};
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use super::{Encoder, Task, create};

/// What a worker with the default limit of 256 MiB gives its engine. Where that
/// is not enough, the engine gets what it asks for, as a worker does on its next
/// attempt.
const MEMORY_BYTES: u64 = 152 << 20;

/// Converts the inputs; several of them side by side, one thread each.
pub(super) fn convert(task: &Task) -> Result<()> {
    let pairs = task.pairs()?;
    if let [(input, output)] = &pairs[..] {
        let budget = Budget {
            memory_bytes: MEMORY_BYTES,
            threads: task.threads,
        };
        return convert_file(input, output, task, &budget);
    }
    let budget = Budget {
        memory_bytes: MEMORY_BYTES / task.threads as u64,
        threads: 1,
    };
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some((input, output)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            convert_file(input, output, task, &budget)
                .with_context(|| format!("cannot convert {}", input.display()))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..task.threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("the engine does not panic"))
    })
}

fn convert_file(input: &Path, output: &PathBuf, task: &Task, budget: &Budget) -> Result<()> {
    let file = File::open(input)?;
    let size = file.metadata()?.len();
    let source = Arc::new(FileSource { file, size });
    let options = options(task);
    let open = |budget| Conversion::open(Arc::<FileSource>::clone(&source), &options, budget);
    let conversion = match open(budget) {
        Err(Error::NotEnoughMemory { needed, .. }) => open(&Budget {
            memory_bytes: needed,
            ..*budget
        })?,
        opened => opened?,
    };
    conversion.convert(&mut FileSink(create(output)?))?;
    Ok(())
}

fn options(task: &Task) -> Options {
    let nulls = match task.encoder {
        Encoder::EtlDefault => Nulls::Omit,
        Encoder::Etl | Encoder::Local | Encoder::ArrowJson => Nulls::Explicit,
    };
    let json = JsonOptions {
        nulls,
        ..JsonOptions::default()
    };
    let compression = match task.compression {
        super::Compression::None => Compression::None,
        super::Compression::Gzip => Compression::Gzip,
        super::Compression::Zstd => Compression::Zstd,
    };
    Options {
        compression,
        json,
        ..Options::default()
    }
}

struct FileSource {
    file: File,
    size: u64,
}

impl ReadAt for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let read = |range| self.read(range).map_err(ReadError::new);
        ranges.iter().map(read).collect()
    }
}

impl FileSource {
    /// Reads into memory that nobody has filled with zeros before.
    fn read(&self, range: &Range<u64>) -> io::Result<Bytes> {
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut buffer = Vec::with_capacity(length);
        while buffer.len() < length {
            let offset = range.start + buffer.len() as u64;
            match pread(&self.file, spare_capacity(&mut buffer), offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        buffer.truncate(length);
        Ok(buffer.into())
    }
}

struct FileSink(File);

impl Sink for FileSink {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.0.write_all(&chunk).map_err(SinkError::new)
    }
}
