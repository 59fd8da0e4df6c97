//! Encoding alone, over batches that are already decoded: nanoseconds per cell,
//! its share of name and brackets included, for each shape and each type.

use std::error::Error;
use std::io;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use bytes::Bytes;
use etl_engine::{BatchEncoder, Encoder, JsonOptions, Nulls, Options};
use fastrand::Rng;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use crate::Discard;
use crate::shapes::{SHAPES, Shape};
use crate::timing::Runs;
use crate::types::{self, Type};

const ROUNDS: usize = 40;
/// The others get every so many-th round.
const SELDOM: usize = 4;
const BATCH_ROWS: usize = 8192;
/// Batches of a shape that are encoded in turn, so that they are not all in the
/// nearest cache.
const BATCHES: usize = 8;
/// Times the column of a type stands in its batch.
const COPIES: usize = 16;

/// Writes what arrow-json's own writer writes.
pub(crate) fn stock(batch: &RecordBatch, nulls: Nulls) -> Result<(), Box<dyn Error>> {
    let builder = WriterBuilder::new().with_explicit_nulls(nulls == Nulls::Explicit);
    let mut writer = builder.build::<_, LineDelimited>(io::sink());
    writer.write(batch)?;
    writer.finish()?;
    Ok(())
}

/// Prints one line per shape and type whose name `asked` likes.
pub(crate) fn print(asked: impl Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
    println!("Encoding alone, nulls written out, ns per cell.");
    println!("| what | columnar | reference | stock arrow-json | ours / stock |");
    println!("|---|---|---|---|---|");
    for shape in SHAPES.iter().filter(|shape| asked(shape.name)) {
        line(shape.name, &decoded(shape)?, shape.cells)?;
    }
    for kind in types::all().iter().filter(|kind| asked(kind.name)) {
        line(kind.name, &[repeated(kind)?], COPIES as f64)?;
    }
    Ok(())
}

fn line(name: &str, batches: &[RecordBatch], cells: f64) -> Result<(), Box<dyn Error>> {
    let json = JsonOptions {
        nulls: Nulls::Explicit,
        ..JsonOptions::default()
    };
    let options = |encoder| Options {
        encoder,
        json,
        ..Options::default()
    };
    let ours = [Encoder::Columnar, Encoder::Reference].map(|it| BatchEncoder::new(&options(it)));
    let mut runs: [Runs; 3] = std::array::from_fn(|_| Runs::default());
    for round in 0..ROUNDS {
        let some = if round % SELDOM == 0 { 2 } else { 1 };
        for (encoder, runs) in ours.iter().zip(&mut runs).take(some) {
            runs.add(|| {
                let encode = |batch| encoder.encode(batch, 0, &mut Discard);
                Ok(batches.iter().try_for_each(encode)?)
            })?;
        }
        if some == 1 {
            continue;
        }
        runs[2].add(|| {
            batches
                .iter()
                .try_for_each(|batch| stock(batch, Nulls::Explicit))
        })?;
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let [columnar, reference, stock] =
        runs.map(|runs| runs.least_here() * 1e9 / rows as f64 / cells);
    let ratio = stock / columnar;
    println!("| {name} | {columnar:.2} | {reference:.1} | {stock:.1} | {ratio:.2} |");
    Ok(())
}

/// The first batches of a shape as the engine decodes them.
fn decoded(shape: &Shape) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let batches = view_reader(&Bytes::from(shape.file()?))?.build()?;
    Ok(batches.take(BATCHES).collect::<Result<_, _>>()?)
}

fn repeated(kind: &Type) -> Result<RecordBatch, Box<dyn Error>> {
    let mut rng = Rng::with_seed(42);
    let column = |index: usize| -> (String, ArrayRef) {
        (
            format!("column_{index:02}"),
            (kind.array)(&mut rng, BATCH_ROWS),
        )
    };
    Ok(RecordBatch::try_from_iter((0..COPIES).map(column))?)
}

/// A reader of text as views, as it was written and as the engine reads it.
pub(crate) fn view_reader(
    file: &Bytes,
) -> Result<ParquetRecordBatchReaderBuilder<Bytes>, Box<dyn Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
    Ok(builder.with_batch_size(BATCH_ROWS))
}

/// A reader of text as most programs read it, for the stock writer.
pub(crate) fn plain_reader(
    file: &Bytes,
) -> Result<ParquetRecordBatchReaderBuilder<Bytes>, Box<dyn Error>> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(file, options)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata);
    Ok(builder.with_batch_size(BATCH_ROWS))
}
