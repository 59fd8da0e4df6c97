//! How near the worker comes to what binds it: a whole run, in this process,
//! from and to an S3 server that is as far away as the real one.
//!
//! ```sh
//! cargo run --profile profiling -p etl-worker --example s3bench -- [ROWS] [MEMORY_MIB]
//! ```
//!
//! The first case has the server next door: its time is that of the processors,
//! which the server shares. The others have it far away, over lines of several
//! widths. A connection carries 85 MB/s while it carries anything; what it could
//! do with its share of waiting for answers is the limit called "requests".

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use etl_contract::{Outcome, Storage, WorkOrder};
use etl_faulty_s3::{Operation, Profile, Server};
use etl_worker::Worker;
use etl_worker::budget::Budget;
use etl_worker::gate::Gate;
use etl_worker::progress::Progress;
use etl_worker::store::Store;
use etl_worker::store::s3::S3Store;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;

const BUCKET: &str = "bench";
const ROWS: usize = 3_000_000;
const ROWS_PER_GROUP: usize = 250_000;
const MEMORY_MIB: u64 = 256;
const ROUNDS: usize = 3;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What one run took and used.
struct Measured {
    seconds: f64,
    written: usize,
    parts: usize,
    writers: usize,
    readers: usize,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(ROWS), |rows| rows.parse())?;
    let memory_mib = arguments.next().map_or(Ok(MEMORY_MIB), |mib| mib.parse())?;
    let source = source(rows)?;
    println!(
        "{rows} rows, {} MB of parquet, {memory_mib} MiB of memory",
        mega(source.len())
    );

    let far = Profile::remote();
    let link = |rate| Profile {
        link_rate: Some(rate),
        ..far
    };
    let near = median(Profile::default(), &source, memory_mib)?;
    println!(
        "near: {:.2} s, {:.0} MB/s of JSON",
        near.seconds,
        mega(near.written) / near.seconds
    );
    for (name, profile) in [
        ("far", far),
        ("far, 117 MB/s", link(117_000_000)),
        ("far, 312 MB/s", link(312_000_000)),
    ] {
        let run = median(profile, &source, memory_mib)?;
        report(name, profile, &run, near.seconds);
    }
    Ok(())
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn report(name: &str, profile: Profile, run: &Measured, near_seconds: f64) {
    let rate = profile
        .connection_rate
        .map_or(f64::INFINITY, |rate| rate as f64);
    let wire = run.written as f64 / rate / run.writers as f64;
    let waiting = run.parts as f64 * profile.write_latency.as_secs_f64() / run.writers as f64;
    let link = profile
        .link_rate
        .map_or(0.0, |rate| run.written as f64 / rate as f64);
    let limits = [
        ("processors", near_seconds),
        ("link", link),
        ("connections", wire),
        ("requests", wire + waiting),
    ];
    println!(
        "{name}: {:.2} s, {:.0} MB/s of JSON, {} parts over {} connections, {} readers",
        run.seconds,
        mega(run.written) / run.seconds,
        run.parts,
        run.writers,
        run.readers
    );
    for (what, seconds) in limits {
        println!(
            "    {:>5.1} % of {what} ({seconds:.2} s)",
            100.0 * seconds / run.seconds
        );
    }
}

/// The run of several that took the middle time.
fn median(profile: Profile, source: &Bytes, memory_mib: u64) -> Result<Measured> {
    let mut runs = (0..ROUNDS)
        .map(|_| measure(profile, source, memory_mib))
        .collect::<Result<Vec<_>>>()?;
    runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    Ok(runs.swap_remove(ROUNDS / 2))
}

fn measure(profile: Profile, source: &Bytes, memory_mib: u64) -> Result<Measured> {
    let server = Server::start(profile)?;
    server.insert(BUCKET, "raw/a.parquet", source.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let started = Instant::now();
    let outcome = runtime.block_on(run(&server, memory_mib))?;
    let seconds = started.elapsed().as_secs_f64();
    if !matches!(outcome, Outcome::Complete { .. }) {
        return Err(format!("the run ended otherwise: {outcome:?}").into());
    }
    let records = server.records();
    let connections = |operation| {
        let of = records
            .iter()
            .filter(move |record| record.operation == operation);
        of.map(|record| record.connection)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let output = server.object(BUCKET, "out/a.json").unwrap_or_default();
    Ok(Measured {
        seconds,
        written: output.len(),
        parts: server.records_of(Operation::UploadPart).len(),
        writers: connections(Operation::UploadPart).max(1),
        readers: connections(Operation::GetObject),
    })
}

async fn run(server: &Server, memory_mib: u64) -> Result<Outcome> {
    let order = json!({
        "version": 1,
        "job": {
            "cluster": "c", "namespace": "n", "name": "j", "uid": "u",
            "created": "2026-01-02T03:04:05Z", "owner": "c/n/EtlJob/j"
        },
        "run": {
            "number": 1, "workHash": "v1:0123456789abffff", "startTime": "2021-03-04T05:06:07Z"
        },
        "attempt": 1, "shards": 1, "mode": "Convert", "activeDeadlineSeconds": 3600,
        "source": {"uri": format!("s3://{BUCKET}/raw/")},
        "output": {"uri": format!("s3://{BUCKET}/out/"), "keyTemplate": "{stem}.json"}
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
    let (gate, closer) = Gate::new(deadline);
    let processors = std::thread::available_parallelism()?.get();
    let worker = Worker {
        order: WorkOrder::from_json(&order.to_string())?,
        shard: 0,
        source_name: String::new(),
        source: store(server, "raw/"),
        output: store(server, "out/"),
        gate,
        closer,
        budget: Budget::new(memory_mib << 20, processors),
        progress: Arc::new(Progress::default()),
    };
    Ok(worker.run().await?)
}

fn store(server: &Server, prefix: &str) -> Arc<dyn Store> {
    let credentials = Credentials::new("key", "secret", None, None, "bench");
    let storage = Storage {
        endpoint_url: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        ..Storage::default()
    };
    let credentials = SharedCredentialsProvider::new(credentials);
    Arc::new(S3Store::with_credentials(
        credentials,
        BUCKET,
        prefix,
        &storage,
    ))
}

/// A parquet file of numbers and texts, as event logs are.
fn source(rows: usize) -> Result<Bytes> {
    let schema = "message event {
        required int64 id;
        required double amount;
        required binary city (UTF8);
        required binary token (UTF8);
        required int64 at (TIMESTAMP_MICROS);
    }";
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let schema = Arc::new(parse_message_type(schema)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    for first in (0..rows).step_by(ROWS_PER_GROUP) {
        let group = writer.next_row_group()?;
        write_rows(group, first..rows.min(first + ROWS_PER_GROUP))?;
    }
    Ok(writer.into_inner()?.into())
}

/// A number that looks random.
fn scrambled(row: usize) -> u64 {
    (row as u64 + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

fn write_rows(
    mut group: SerializedRowGroupWriter<'_, Vec<u8>>,
    rows: std::ops::Range<usize>,
) -> Result<()> {
    let numbers = |of: fn(usize) -> i64| rows.clone().map(of).collect::<Vec<_>>();
    let texts = |of: fn(usize) -> String| -> Vec<ByteArray> {
        rows.clone()
            .map(|row| ByteArray::from(of(row).into_bytes()))
            .collect()
    };
    let amounts: Vec<f64> = rows
        .clone()
        .map(|row| (scrambled(row) % 1_000_000) as f64 / 100.0)
        .collect();
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        match index {
            0 => column
                .typed::<Int64Type>()
                .write_batch(&numbers(|row| row as i64), None, None),
            1 => column
                .typed::<DoubleType>()
                .write_batch(&amounts, None, None),
            2 => column.typed::<ByteArrayType>().write_batch(
                &texts(|row| format!("city {}", row % 50)),
                None,
                None,
            ),
            3 => column.typed::<ByteArrayType>().write_batch(
                &texts(|row| format!("{:016x}", scrambled(row))),
                None,
                None,
            ),
            _ => column.typed::<Int64Type>().write_batch(
                &numbers(|row| 1_609_459_200_000_000 + row as i64 * 1_001),
                None,
                None,
            ),
        }?;
        column.close()?;
        index += 1;
    }
    group.close()?;
    Ok(())
}
