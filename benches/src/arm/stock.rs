//! What everybody can put together from the arrow crates on one thread: the
//! stock reader, arrow-json's LineDelimitedWriter, and zlib at level 6.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use arrow_json::writer::{LineDelimited, WriterBuilder};
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Compression, Task, create};

/// The fastest of the sizes tried; 1,024 is the reader's own default.
const BATCH_ROWS: usize = 8192;

/// What gzip programs and libraries take when nobody says otherwise.
const ZLIB_LEVEL: u32 = 6;

pub(super) fn convert(task: &Task) -> Result<()> {
    for (input, output) in task.pairs()? {
        let output = create(&output)?;
        match task.compression {
            Compression::None => drop(encode(&input, output)?),
            Compression::Gzip => {
                let level = flate2::Compression::new(ZLIB_LEVEL);
                encode(&input, GzEncoder::new(output, level))?.finish()?;
            }
            Compression::Zstd => bail!("the pipeline to compare with is gzip's"),
        }
    }
    Ok(())
}

fn encode<W: Write>(input: &Path, output: W) -> Result<W> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(input)?)?
        .with_batch_size(BATCH_ROWS)
        .build()?;
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(output);
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}
