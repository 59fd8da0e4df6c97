//! Files that are made from code and kept in the repository.

use std::fs;

use anyhow::{Context, Result, bail};
use etl_lab::repository;

use crate::run::{cargo, output, step};

/// The chart carries the same file as the folder for people without Helm.
const CRD_FILES: [&str; 2] = [
    "crds/etljobs.yaml",
    "charts/etl-operator/files/etljobs.yaml",
];

/// Writes the generated files, or only compares them.
pub(crate) fn run(check: bool) -> Result<()> {
    // The tables of docs/rendering.md come from what the engine's tests see.
    let scalars = ["etl-engine", "--test", "scalars"];
    by_test(&scalars, "the_documentation_shows_these_tables", check)?;
    // docs/metrics.md comes from what the operator registers.
    by_test(
        &["etl-operator"],
        "the_document_is_what_the_code_says",
        check,
    )?;
    custom_resources(check)
}

/// A document that a test of this package compares, and writes when asked to.
fn by_test(package: &[&str], test_name: &str, check: bool) -> Result<()> {
    let mut test = cargo();
    test.args(["test", "--quiet", "--locked", "--package"])
        .args(package)
        .arg(test_name);
    if !check {
        test.env("UPDATE_DOCS", "1");
    }
    step(&mut test)
}

fn custom_resources(check: bool) -> Result<()> {
    let mut generator = cargo();
    generator.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "etl-api",
        "--bin",
        "crdgen",
    ]);
    let crd = output(&mut generator)?;
    let mut stale = Vec::new();
    for file in CRD_FILES {
        let path = repository().join(file);
        if fs::read_to_string(&path).is_ok_and(|current| current == crd) {
            continue;
        }
        if check {
            stale.push(file);
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &crd).with_context(|| format!("cannot write {file}"))?;
        println!("wrote {file}");
    }
    if !stale.is_empty() {
        bail!("out of date: {}; run cargo xtask gen", stale.join(", "));
    }
    Ok(())
}
