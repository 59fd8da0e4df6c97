//! The local runner on a real file.

use std::process::Command;

use anyhow::Result;
use etl_lab::image::Profile;
use etl_lab::repository;

use crate::run::{cargo, step};

const MANIFEST: &str = "examples/local/01-taxi.yaml";

pub(crate) fn run() -> Result<()> {
    step(cargo().args([
        "build",
        "--locked",
        "--package",
        "kubectl-etl",
        "--package",
        "etl-worker",
    ]))?;
    let programs = repository().join("target").join(Profile::Dev.folder());
    // The manifest's relative addresses start at the repository.
    let mut runner = Command::new(programs.join("kubectl-etl"));
    step(
        runner
            .current_dir(repository())
            .args(["run", "-f", MANIFEST])
            .args(["--ledger", "target/demo/ledger.jsonl"]),
    )?;
    println!("The output is below target/demo/.");
    Ok(())
}
