//! The local runner on a real file.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use etl_lab::repository;
use serde_json::{Map, Value};

use crate::run::{cargo, step};

#[derive(Args)]
pub(crate) struct Options {
    /// Use the programs that are there, compiled by the tests for instance
    #[arg(long)]
    built: bool,
}

const MANIFEST: &str = "examples/local/01-taxi.yaml";

/// Where the manifest writes to.
const OUTPUT: &str = "target/demo";

/// Rows of the manifest's source, as its footer counts them.
const ROWS: usize = 22_791;

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.built {
        step(cargo().args([
            "build",
            "--locked",
            "--package",
            "kubectl-etl",
            "--package",
            "etl-worker",
        ]))?;
    }
    // Cargo puts them beside this program.
    let own = env::current_exe().context("this program does not find itself")?;
    let program = own.with_file_name("kubectl-etl");
    ensure!(
        program.is_file(),
        "{} is not there: leave out --built",
        program.display()
    );
    // What an earlier demonstration wrote must not be taken for this one's.
    let output = repository().join(OUTPUT);
    match fs::remove_dir_all(&output) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", output.display())
        }
        _ => {}
    }
    // The manifest's relative addresses start at the repository.
    let mut runner = Command::new(program);
    step(
        runner
            .current_dir(repository())
            .args(["run", "-f", MANIFEST])
            .args(["--ledger", &format!("{OUTPUT}/ledger.jsonl")]),
    )?;
    let mut files = Vec::new();
    outputs(&output, &mut files)?;
    let [file] = &files[..] else {
        bail!("one output was expected below {OUTPUT}, not {files:?}")
    };
    let rows = count_objects(file)?;
    ensure!(rows == ROWS, "{rows} rows were written of {ROWS}");
    println!("{rows} rows, each a JSON object: {}", file.display());
    Ok(())
}

/// The JSON files below a folder, without those of the commit protocol.
fn outputs(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['_', '.']) {
            continue;
        }
        if path.is_dir() {
            outputs(&path, files)?;
        } else if path.extension().is_some_and(|suffix| suffix == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// Lines of a file, all of which must be JSON objects.
fn count_objects(file: &Path) -> Result<usize> {
    let mut lines = 0;
    for line in BufReader::new(fs::File::open(file)?).lines() {
        lines += 1;
        let _: Map<String, Value> = serde_json::from_str(&line?)
            .with_context(|| format!("line {lines} of {} is no JSON object", file.display()))?;
    }
    Ok(lines)
}
