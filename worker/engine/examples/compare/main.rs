//! Times the encoders on the same generated data:
//!
//! ```sh
//! cargo run --profile profiling -p etl-engine --example compare -- [SHAPE]...
//! cargo run --profile profiling -p etl-engine --example compare -- encode [SHAPE|TYPE]...
//! cargo run --profile profiling -p etl-engine --example compare -- small [SHAPE]...
//! ```
//!
//! The first form converts whole files, decode included. The second encodes
//! batches that are already there. The third converts files of few rows. Beside
//! our encoders stands arrow-json's own writer, which renders by default as a
//! program without any options would.
//!
//! Runs are interleaved, our outputs are hashed and compared, the sink discards.
//! Where other work shares the machine, go by core-seconds and least times.

mod encoding;
mod shapes;
mod small;
mod timing;
mod types;

use std::error::Error;
use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{Budget, Conversion, Encoder, JsonOptions, Nulls, Options, Sink, SinkError};

use shapes::{SHAPES, Shape};
use timing::Runs;

const ROUNDS: usize = 7;
const ENCODERS: [Encoder; 2] = [Encoder::Columnar, Encoder::Reference];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut is = |form: &str| {
        let is = args.first().is_some_and(|arg| arg == form);
        if is {
            args.remove(0);
        }
        is
    };
    let (encode_only, small) = (is("encode"), is("small"));
    let asked = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    if encode_only {
        return encoding::print(asked);
    }
    if small {
        return small::print(asked);
    }
    println!("Whole conversion: least wall ms (GB of JSON per s) core-seconds per GB of JSON.");
    println!(
        "| shape | parquet MB | JSON MB | nulls | decode | columnar, 1 thread | 2 threads \
         | reference, 1 thread | 2 threads | stock arrow-json | reference / ours | stock / ours |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for shape in SHAPES.iter().filter(|shape| asked(shape.name)) {
        for nulls in [Nulls::Explicit, Nulls::Omit] {
            compare(shape, nulls)?;
        }
    }
    Ok(())
}

fn compare(shape: &Shape, nulls: Nulls) -> Result<(), Box<dyn Error>> {
    let file = Bytes::from(shape.file()?);
    let mut hashes = Vec::new();
    for encoder in ENCODERS {
        let mut sink = Hashing::default();
        convert(&file, encoder, nulls, 2, &mut sink)?;
        hashes.push((sink.hasher.finish(), sink.bytes));
    }
    if hashes[0] != hashes[1] {
        return Err(format!("{}: the encoders wrote different bytes", shape.name).into());
    }
    let bytes = hashes[0].1;
    let mut decoding = Runs::default();
    let mut stock = Runs::default();
    let mut runs = vec![Runs::default(); 2 * ENCODERS.len()];
    for _ in 0..ROUNDS {
        decoding.add(|| decode(&file))?;
        stock.add(|| convert_stock(&file, nulls))?;
        for (encoder, runs) in ENCODERS.into_iter().zip(runs.chunks_mut(2)) {
            for (threads, runs) in (1..).zip(runs) {
                runs.add(|| convert(&file, encoder, nulls, threads, &mut Discard))?;
            }
        }
    }
    let cell = |runs: &Runs| {
        let wall = runs.least();
        let speed = bytes as f64 / wall / 1e9;
        format!(
            "{:.0} ({speed:.2}) {:.2}",
            wall * 1e3,
            runs.cpu_per_gb(bytes)
        )
    };
    let cells: Vec<String> = runs.iter().chain([&stock]).map(cell).collect();
    println!(
        "| {} | {:.0} | {:.0} | {nulls:?} | {} | {} | {:.2} | {:.2} |",
        shape.name,
        file.len() as f64 / 1e6,
        bytes as f64 / 1e6,
        cell(&decoding),
        cells.join(" | "),
        runs[2].least() / runs[0].least(),
        stock.least() / runs[0].least(),
    );
    Ok(())
}

fn convert(
    file: &Bytes,
    encoder: Encoder,
    nulls: Nulls,
    threads: usize,
    sink: &mut dyn Sink,
) -> Result<(), Box<dyn Error>> {
    let json = JsonOptions {
        nulls,
        ..JsonOptions::default()
    };
    let options = Options {
        encoder,
        json,
        ..Options::default()
    };
    let budget = Budget {
        memory_bytes: 1 << 30,
        threads,
    };
    Conversion::open(Arc::new(file.clone()), &options, &budget)?.convert(sink)?;
    Ok(())
}

/// Reads the file as a stranger to it would and writes it with arrow-json.
fn convert_stock(file: &Bytes, nulls: Nulls) -> Result<(), Box<dyn Error>> {
    for batch in encoding::plain_reader(file)?.build()? {
        encoding::stock(&batch?, nulls)?;
    }
    Ok(())
}

/// The share that no encoder can win: reading the same batches and no more.
fn decode(file: &Bytes) -> Result<(), Box<dyn Error>> {
    for batch in encoding::view_reader(file)?.build()? {
        black_box(batch?);
    }
    Ok(())
}

pub(crate) struct Discard;

impl Sink for Discard {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        black_box(chunk);
        Ok(())
    }
}

#[derive(Default)]
struct Hashing {
    hasher: DefaultHasher,
    bytes: u64,
}

impl Sink for Hashing {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.hasher.write(&chunk);
        self.bytes += chunk.len() as u64;
        Ok(())
    }
}
