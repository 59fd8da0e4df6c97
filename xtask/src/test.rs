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
    /// Passed to the scenarios: a filter, or --list
    #[arg(last = true)]
    scenarios: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let skipped = (!options.unit).then(reason_to_skip_the_lab).flatten();
    let lab = !options.unit && skipped.is_none();
    thread::scope(|scope| {
        // The lab's programs take minutes the first time: they are made while
        // the tests that need none of them are compiled and run.
        let artefacts = lab.then(|| scope.spawn(Artefacts::ensure));
        if !options.lab {
            step(cargo().args(["test", "--workspace", "--exclude", "etl-tests", "--locked"]))?;
        }
        if let Some(artefacts) = artefacts {
            artefacts
                .join()
                .map_err(|_| anyhow!("making the lab's programs panicked"))??;
            let scenarios = ["test", "--package", "etl-tests", "--locked", "--"];
            step(cargo().args(scenarios).args(&options.scenarios))?;
        }
        Ok::<(), anyhow::Error>(())
    })?;
    match skipped {
        None => println!("xtask: all tests passed, none skipped"),
        Some(reason) if env::var_os("CI").is_some_and(|ci| ci == "true") => {
            bail!("the scenarios were skipped: {reason}; that is a failure in CI")
        }
        Some(reason) => println!("xtask: tests passed; SKIPPED the scenarios: {reason}"),
    }
    Ok(())
}

fn reason_to_skip_the_lab() -> Option<&'static str> {
    if !cfg!(target_os = "linux") {
        return Some("the lab needs Linux");
    }
    (!is_root()).then_some("the lab needs root, for network namespaces and containerd")
}
