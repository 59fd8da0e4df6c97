//! The programs in Rust that are measured: this one's own children.

mod etl;
pub(crate) mod local;
mod stock;

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::place::files;

/// One conversion, as every measured program is asked for it.
#[derive(Debug, Args)]
pub(crate) struct Task {
    #[arg(value_enum)]
    encoder: Encoder,
    input: PathBuf,
    output: PathBuf,
    threads: usize,
    #[arg(value_enum)]
    compression: Compression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoder {
    /// etl-engine, null fields written out as the others do
    Etl,
    /// etl-engine as the product's defaults have it: null fields left out
    EtlDefault,
    /// `kubectl etl run`
    Local,
    /// The stock reader and arrow-json's LineDelimitedWriter
    ArrowJson,
}

/// Compression of an output.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// As it is written on command lines and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What the name of a compressed file ends with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// What a measured program says about its own work.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) version: String,
    /// From before the input is opened until the output is complete.
    pub(crate) wall_seconds: Option<f64>,
    /// Given where the process does more than convert once.
    pub(crate) cpu_seconds: Option<f64>,
    /// Of the first conversion, where `wall_seconds` is that of a later one.
    pub(crate) cold_wall_seconds: Option<f64>,
    /// As `cold_wall_seconds`.
    pub(crate) cold_cpu_seconds: Option<f64>,
}

/// Does the task and prints an [`Answer`].
pub(crate) fn run(task: &Task) -> Result<()> {
    let before = Instant::now();
    match task.encoder {
        Encoder::Etl | Encoder::EtlDefault => etl::convert(task)?,
        Encoder::Local => local::convert(task)?,
        Encoder::ArrowJson => stock::convert(task)?,
    }
    print(&Answer {
        version: version(task.encoder),
        wall_seconds: Some(before.elapsed().as_secs_f64()),
        ..Answer::default()
    })
}

fn print(answer: &Answer) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

fn version(encoder: Encoder) -> String {
    match encoder {
        Encoder::Etl | Encoder::EtlDefault | Encoder::Local => env!("CARGO_PKG_VERSION").into(),
        Encoder::ArrowJson => arrow_json_version(),
    }
}

/// As the lock file of this build has it.
fn arrow_json_version() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let mut lines = lock.lines();
    lines.find(|line| *line == "name = \"arrow-json\"");
    let version = lines.next().and_then(|line| line.split('"').nth(1));
    version.unwrap_or("unknown").into()
}

impl Task {
    /// The inputs, each with its output: one for all where there is one input.
    fn pairs(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        if !self.input.is_dir() {
            return Ok(vec![(self.input.clone(), self.output.clone())]);
        }
        // Where nothing is kept, all of it goes to the one device.
        let discarded = self.output.exists();
        if !discarded {
            std::fs::create_dir(&self.output)?;
        }
        let pair = |input: PathBuf| {
            let name = input.with_extension("json");
            let output = match name.file_name() {
                Some(name) if !discarded => self.output.join(name),
                _ => self.output.clone(),
            };
            (input, output)
        };
        Ok(files(&self.input)?.into_iter().map(pair).collect())
    }
}

/// Opens an output for writing, a device as well as a new file.
fn create(path: &PathBuf) -> Result<File> {
    Ok(File::create(path)?)
}
