//! Times both encoders on the same generated files, decode included:
//!
//! ```sh
//! cargo run --release -p etl-engine --example compare -- [SHAPE]... [columnar|reference]
//! ```
//!
//! Runs are interleaved, outputs are hashed and compared, medians are printed;
//! the sink discards. Where other work shares the machine, go by core-seconds.

mod shapes;

use std::error::Error;
use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use etl_engine::{Budget, Conversion, Encoder, Options, Sink, SinkError};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use shapes::{SHAPES, Shape};

const ROUNDS: usize = 7;
const THREADS: [usize; 2] = [1, 2];
const DECODE_BATCH_ROWS: usize = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: &str| args.iter().any(|arg| arg == name);
    let encoders: &[Encoder] = match (asked("columnar"), asked("reference")) {
        (true, false) => &[Encoder::Columnar],
        (false, true) => &[Encoder::Reference],
        _ => &[Encoder::Columnar, Encoder::Reference],
    };
    let any_shape = SHAPES.iter().any(|shape| asked(shape.name));
    println!("Cells: wall ms (GB of JSON per s) core-seconds per GB of JSON.");
    println!(
        "| shape | parquet MB | JSON MB | threads | decode | columnar | reference | wall ratio | core ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for shape in SHAPES {
        if !any_shape || asked(shape.name) {
            compare(shape, encoders)?;
        }
    }
    Ok(())
}

fn compare(shape: &Shape, encoders: &[Encoder]) -> Result<(), Box<dyn Error>> {
    let file = Bytes::from(shape.file()?);
    let mut hashes = Vec::new();
    for &encoder in encoders {
        let mut sink = Hashing::default();
        convert(&file, encoder, 2, &mut sink)?;
        hashes.push((sink.hasher.finish(), sink.bytes));
    }
    if hashes.iter().any(|hash| *hash != hashes[0]) {
        return Err(format!("{}: the encoders wrote different bytes", shape.name).into());
    }
    let bytes = hashes[0].1;
    let mut decoding = Runs::default();
    let mut runs = vec![Runs::default(); THREADS.len() * encoders.len()];
    for _ in 0..ROUNDS {
        decoding.add(|| decode(&file))?;
        for (&threads, runs) in THREADS.iter().zip(runs.chunks_mut(encoders.len())) {
            for (&encoder, runs) in encoders.iter().zip(runs) {
                runs.add(|| convert(&file, encoder, threads, &mut Discard))?;
            }
        }
    }
    for (threads, runs) in THREADS.iter().zip(runs.chunks_mut(encoders.len())) {
        let wall: Vec<f64> = runs.iter_mut().map(Runs::median).collect();
        let cpu: Vec<f64> = runs.iter().map(|runs| runs.cpu_per_gb(bytes)).collect();
        let cell = |(wall, cpu): (&f64, &f64)| {
            let speed = bytes as f64 / wall / 1e9;
            format!("{:.0} ({speed:.2}) {cpu:.2}", wall * 1e3)
        };
        let cells: Vec<String> = wall.iter().zip(&cpu).map(cell).collect();
        println!(
            "| {} | {:.0} | {:.0} | {threads} | {:.0}, {:.2} | {} | {:.2} | {:.2} |",
            shape.name,
            file.len() as f64 / 1e6,
            bytes as f64 / 1e6,
            decoding.median() * 1e3,
            decoding.cpu_per_gb(bytes),
            cells.join(" | "),
            wall[wall.len() - 1] / wall[0],
            cpu[cpu.len() - 1] / cpu[0],
        );
    }
    Ok(())
}

/// Wall and processor times of the same thing done again and again.
#[derive(Clone, Default)]
struct Runs {
    wall: Vec<Duration>,
    cpu: Duration,
}

impl Runs {
    fn add(
        &mut self,
        run: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let (start, cpu) = (Instant::now(), cpu_time());
        run()?;
        self.wall.push(start.elapsed());
        self.cpu += cpu_time() - cpu;
        Ok(())
    }

    fn median(&mut self) -> f64 {
        self.wall.sort_unstable();
        self.wall[self.wall.len() / 2].as_secs_f64()
    }

    fn cpu_per_gb(&self, bytes: u64) -> f64 {
        self.cpu.as_secs_f64() / self.wall.len() as f64 / bytes as f64 * 1e9
    }
}

/// Processor time of this process so far, threads that have ended included.
fn cpu_time() -> Duration {
    const TICK: Duration = Duration::from_millis(10);

    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    TICK * ticks
        .filter_map(|ticks| ticks.parse::<u32>().ok())
        .sum::<u32>()
}

fn convert(
    file: &Bytes,
    encoder: Encoder,
    threads: usize,
    sink: &mut dyn Sink,
) -> Result<(), Box<dyn Error>> {
    let options = Options {
        encoder,
        ..Options::default()
    };
    let budget = Budget {
        memory_bytes: 1 << 30,
        threads,
    };
    Conversion::open(Arc::new(file.clone()), &options, &budget)?.convert(sink)?;
    Ok(())
}

/// The share that no encoder can win: reading the same batches and no more.
fn decode(file: &Bytes) -> Result<(), Box<dyn Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone())?
        .with_batch_size(DECODE_BATCH_ROWS)
        .build()?;
    for batch in reader {
        black_box(batch?);
    }
    Ok(())
}

struct Discard;

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
