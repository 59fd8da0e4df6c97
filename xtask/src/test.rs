//! Every test, from nothing.

use std::env;
use std::thread;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use etl_lab::cache::{Artefacts, is_root};

use crate::run::{cargo, step};

#[derive(Args)]
pub(crate) struct Options {
    /// Only the tests without a cluster
    #[arg(long, conflicts_with = "lab")]
    unit: bool,
    /// Only the scenarios on the real cluster
    #[arg(long)]
    lab: bool,
    /// With --lab, passed to the scenarios: a filter, or --list
    #[arg(last = true, requires = "lab")]
    scenarios: Vec<String>,
}

/// The one selection of packages: another one would mean other features of the
/// dependencies, which would all be compiled once more.
const EVERYTHING: [&str; 2] = ["--workspace", "--locked"];

pub(crate) fn run(options: &Options) -> Result<()> {
    let skipped = (!options.unit).then(reason_to_skip_the_lab).flatten();
    if options.unit || skipped.is_some() {
        step(
            cargo()
                .arg("test")
                .args(EVERYTHING)
                .args(["--exclude", "etl-tests"]),
        )?;
    } else {
        prepare()?;
        let mut test = cargo();
        test.arg("test").args(EVERYTHING);
        if options.lab {
            test.args(["--test", "scenarios", "--"])
                .args(&options.scenarios);
        }
        step(&mut test)?;
    }
    match skipped {
        None => println!("xtask: all tests passed, none skipped"),
        Some(reason) if env::var_os("CI").is_some_and(|ci| ci == "true") => {
            bail!("the scenarios were skipped: {reason}; that is a failure in CI")
        }
        Some(reason) => println!("xtask: tests passed; SKIPPED the scenarios: {reason}"),
    }
    Ok(())
}

/// Compiles everything while the lab's programs, which take minutes the first
/// time, are made beside it.
fn prepare() -> Result<()> {
    thread::scope(|scope| {
        let artefacts = scope.spawn(Artefacts::ensure);
        step(cargo().arg("build").args(EVERYTHING).arg("--all-targets"))?;
        artefacts
            .join()
            .map_err(|_| anyhow!("making the lab's programs panicked"))??;
        Ok(())
    })
}

fn reason_to_skip_the_lab() -> Option<&'static str> {
    if !cfg!(target_os = "linux") {
        return Some("the lab needs Linux");
    }
    (!is_root()).then_some("the lab needs root, for network namespaces and containerd")
}
