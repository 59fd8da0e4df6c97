//! Bounded runs of the fuzz targets in `fuzz/`.
//!
//! Stable Rust can do it: the coverage instrumentation is a pass of LLVM (see
//! `fuzz/instrument.sh`), and libFuzzer is compiled by the crate that wraps it.
//! Only the address sanitizer is behind a flag that is not stable yet.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use etl_lab::repository;

use crate::run::{cargo, output, step};

#[derive(Args)]
pub(crate) struct Options {
    /// Only this one of them
    #[arg(long)]
    target: Option<Target>,
    /// How long each target runs
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// With the address sanitizer: half as fast, and unsafe code cannot hide
    #[arg(long)]
    asan: bool,
    /// Try this one input instead, for example one that a run has found
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// Any footer over sound pages: opens it and converts what it says
    Footer,
    /// A generated file, damaged: converts it
    Pages,
    /// A generated batch: both encoders and the documentation agree
    Encoder,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Footer => "footer",
            Self::Pages => "pages",
            Self::Encoder => "encoder",
        }
    }
}

/// Inputs are choices of a generator or one small footer.
const MOST_INPUT_BYTES: u32 = 4096;
/// One input takes milliseconds.
const HANGS_AFTER_SECONDS: u32 = 20;
/// Far above what the targets themselves allow.
const MOST_MEMORY_MIB: u32 = 2048;

pub(crate) fn run(options: &Options) -> Result<()> {
    let programs = build(options.asan)?;
    let targets = options
        .target
        .map_or(Target::value_variants().to_vec(), |target| vec![target]);
    for target in targets {
        let mut program = Command::new(programs.join(target.name()));
        program.current_dir(repository());
        match &options.input {
            Some(input) => program.arg(fs::canonicalize(input)?),
            None => fuzz(&mut program, target, options.seconds)?,
        };
        step(&mut program)?;
    }
    Ok(())
}

/// Begins at the inputs in the repository; those that lead further are kept
/// with the build, so that the next run goes on from there.
fn fuzz(program: &mut Command, target: Target, seconds: u32) -> Result<&mut Command> {
    let kept = repository().join("target/fuzz/corpus").join(target.name());
    let findings = repository().join("fuzz/findings").join(target.name());
    for folder in [&kept, &findings] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(program
        .arg(&kept)
        .arg(repository().join("fuzz/corpus").join(target.name()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg(format!("-max_len={MOST_INPUT_BYTES}"))
        .arg(format!("-timeout={HANGS_AFTER_SECONDS}"))
        .arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"))
        .arg("-print_final_stats=1"))
}

/// Builds all targets and returns the folder that they are in.
fn build(asan: bool) -> Result<PathBuf> {
    let has_compiler = Command::new("c++").arg("--version").output().is_ok();
    ensure!(
        has_compiler,
        "libFuzzer is written in C++: install a compiler (apt-get install g++)"
    );
    // The versions that ship are the ones to try.
    let lock = repository().join("fuzz/Cargo.lock");
    fs::copy(repository().join("Cargo.lock"), &lock)
        .with_context(|| format!("cannot write {}", lock.display()))?;
    let host = host()?;
    let folder = if asan {
        "target/fuzz-asan"
    } else {
        "target/fuzz"
    };
    let mut build = cargo();
    build
        .env("RUSTC_WRAPPER", repository().join("fuzz/instrument.sh"))
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target", &host, "--target-dir", folder]);
    if asan {
        // Build scripts and macros are left alone because a target is named.
        build
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address");
    }
    step(&mut build)?;
    Ok(repository().join(folder).join(host).join("release"))
}

fn host() -> Result<String> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
