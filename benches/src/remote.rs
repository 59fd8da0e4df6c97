//! `kubectl etl run` against an S3 that is as far away as the real one: a server
//! in this process that waits before it answers and paces every connection.
//!
//! The question is not how fast, but how near to what binds: the link, the
//! connections that were open, or the processors.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_faulty_s3::{Operation, Profile, Record, Server};
use serde::{Deserialize, Serialize};

use crate::arm::{Compression, local};
use crate::data::Shape;
use crate::measure::measured;
use crate::place::Room;
use crate::results::Results;
use crate::rows::{Meaning, Rows};

/// Bytes per second that the smallest nodes of two processors have for good.
const SUSTAINED: u64 = 117_000_000;
/// Bytes per second that they have for minutes.
const BURST: u64 = 1_560_000_000;
const BUCKET: &str = "bench";
const KEY: &str = "input.parquet";
/// Of each case.
const ROUNDS: usize = 3;

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remote {
    pub(crate) rows: usize,
    pub(crate) compression: Compression,
    /// Bytes per second in each direction.
    pub(crate) link_rate: u64,
    /// Bytes per second of one connection.
    pub(crate) connection_rate: u64,
    /// From the start of the first process to the end of the last.
    pub(crate) wall_seconds: f64,
    /// Of the worker and of the server, which shares the processors.
    pub(crate) cpu_seconds: f64,
    pub(crate) processors: usize,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    /// Connections that data came on.
    pub(crate) readers: usize,
    /// Connections that data went on.
    pub(crate) writers: usize,
    pub(crate) requests: usize,
}

/// What cannot be done faster, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) what: &'static str,
    pub(crate) seconds: f64,
}

impl Remote {
    /// The narrowest of all that the bytes have to pass.
    pub(crate) fn limit(&self) -> Limit {
        let most = self.bytes_read.max(self.bytes_written) as f64;
        let over = |bytes: u64, connections: usize| {
            bytes as f64 / (connections.max(1) as f64 * self.connection_rate as f64)
        };
        let reading = over(self.bytes_read, self.readers);
        let writing = over(self.bytes_written, self.writers);
        let limits = [
            ("link", most / self.link_rate as f64),
            ("connections", reading.max(writing)),
            ("processors", self.cpu_seconds / self.processors as f64),
        ];
        let limits = limits.map(|(what, seconds)| Limit { what, seconds });
        let [link, connections, processors] = limits;
        let wider = |a: Limit, b: Limit| if b.seconds > a.seconds { b } else { a };
        wider(wider(link, connections), processors)
    }
}

/// Measures all cases of `shape` and adds them to the results.
pub(crate) fn measure(
    shape: &Shape,
    cache: &Path,
    room: &Room,
    results: &mut Results,
) -> Result<()> {
    let Some(program) = local::program() else {
        return Ok(());
    };
    let small = Shape::of_columns(10, 1_000);
    let plain = Compression::None;
    let cases = [
        // What the round trips take that no link can shorten.
        (&small, BURST, plain),
        (shape, SUSTAINED, plain),
        (shape, SUSTAINED, Compression::Zstd),
        (shape, BURST, plain),
        (shape, BURST, Compression::Zstd),
    ];
    for (shape, link_rate, compression) in cases {
        let case = Case {
            rows: shape.rows(),
            program: &program,
            input: &shape.input(cache)?,
            link_rate,
            compression,
            processors: results.threads,
        };
        for round in 0..results.rounds.min(ROUNDS) {
            let (remote, server) = case.run(room)?;
            eprintln!(
                "bench: S3, {} rows, {} MB/s, {}: {:.2} s",
                case.rows,
                link_rate / 1_000_000,
                compression.name(),
                remote.wall_seconds
            );
            if round == 0 && compression == plain {
                check(&server, case.input, room)?;
            }
            results.remotes.push(remote);
        }
    }
    Ok(())
}

struct Case<'a> {
    rows: usize,
    program: &'a Path,
    input: &'a Path,
    link_rate: u64,
    compression: Compression,
    processors: usize,
}

impl Case<'_> {
    fn run(&self, room: &Room) -> Result<(Remote, Server)> {
        let profile = Profile {
            link_rate: Some(self.link_rate),
            ..Profile::remote()
        };
        let server = Server::start(profile).context("cannot start an S3 server")?;
        let content = fs::read(self.input)?;
        let bytes_read = content.len() as u64;
        server.insert(BUCKET, KEY, content);
        let before = own_cpu_time();
        let measured = measured(&self.command(&server, room)?, self.processors)?;
        let cpu = measured.cpu_seconds + (own_cpu_time() - before).as_secs_f64();
        let records = server.records();
        let connections = |operations: &[Operation]| {
            let of = |record: &&Record| operations.contains(&record.operation);
            let numbers = records.iter().filter(of).map(|record| record.connection);
            numbers.collect::<BTreeSet<_>>().len()
        };
        let remote = Remote {
            rows: self.rows,
            compression: self.compression,
            link_rate: self.link_rate,
            connection_rate: profile.connection_rate.unwrap_or(u64::MAX),
            wall_seconds: measured.wall_seconds,
            cpu_seconds: cpu,
            processors: self.processors,
            peak_rss_bytes: measured.peak_rss_bytes,
            bytes_read,
            bytes_written: output(&server)?.1.len() as u64,
            readers: connections(&[Operation::GetObject]),
            writers: connections(&[Operation::PutObject, Operation::UploadPart]),
            requests: records.len(),
        };
        Ok((remote, server))
    }

    fn command(&self, server: &Server, room: &Room) -> Result<Command> {
        let manifest = room.file("manifest.json")?;
        let source = format!("s3://{BUCKET}/{KEY}");
        let text = local::manifest(&source, &format!("s3://{BUCKET}/out/"), self.compression);
        fs::write(&manifest, text)?;
        let mut command = Command::new(self.program);
        command.arg("run").arg("-f").arg(&manifest);
        command.arg("--ledger").arg(room.path().join("ledger"));
        command.args([
            "--endpoint-url",
            &server.endpoint(),
            "--region",
            "us-east-1",
        ]);
        // The server lets everybody in.
        command.env("AWS_ACCESS_KEY_ID", "bench");
        command.env("AWS_SECRET_ACCESS_KEY", "bench");
        Ok(command)
    }
}

/// Key and content of the one output.
fn output(server: &Server) -> Result<(String, bytes::Bytes)> {
    let mut keys = server.keys(BUCKET);
    keys.retain(|key| key.starts_with("out/") && key.contains(".json"));
    ensure!(keys.len() == 1, "one output was expected, not {keys:?}");
    let key = keys.swap_remove(0);
    let content = server.object(BUCKET, &key).context("it is gone")?;
    Ok((key, content))
}

/// Insists that the output has the rows of the input.
fn check(server: &Server, input: &Path, room: &Room) -> Result<()> {
    let path = room.file("output.json")?;
    fs::write(&path, output(server)?.1)?;
    let (rows, schema) = Rows::of_parquet(input)?;
    let meaning = rows.meaning(Rows::of_json(&path, &schema)?);
    ensure!(meaning == Meaning::Same, "the output is {meaning:?}");
    Ok(())
}

/// Processor time of this process so far.
fn own_cpu_time() -> Duration {
    const TICK: Duration = Duration::from_millis(10);

    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    TICK * ticks
        .filter_map(|ticks| ticks.parse::<u32>().ok())
        .sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_binds() {
        let remote = Remote {
            rows: 1,
            compression: Compression::None,
            link_rate: 100,
            connection_rate: 85,
            wall_seconds: 12.0,
            cpu_seconds: 10.0,
            processors: 2,
            peak_rss_bytes: 0,
            bytes_read: 100,
            bytes_written: 1_000,
            readers: 4,
            writers: 4,
            requests: 9,
        };
        let limit = remote.limit();
        assert_eq!((limit.what, limit.seconds), ("link", 10.0));
        let single = Remote {
            writers: 1,
            ..remote.clone()
        };
        assert_eq!(single.limit().what, "connections");
        let busy = Remote {
            cpu_seconds: 30.0,
            ..remote
        };
        assert_eq!(busy.limit().what, "processors");
    }
}
