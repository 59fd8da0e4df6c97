//! Everything that can be said about the code without running it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use etl_lab::cache::Artefacts;
use etl_lab::repository;

use crate::generate;
use crate::promises;
use crate::run::{cargo, step};

/// `cargo deny` is built once per machine, beside the lab's programs.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    step(cargo().args(["fmt", "--all", "--check"]))?;
    step(cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    step(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    let deny = cargo_deny()?;
    // Advisories change without a commit, so they are checked apart:
    // cargo deny check advisories.
    step(Command::new(deny).current_dir(repository()).args([
        "--locked",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;
    step(
        cargo()
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--locked",
                "--document-private-items",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    generate::run(true)?;
    promises::check()?;
    chart()
}

fn chart() -> Result<()> {
    let helm = Artefacts::helm_only()?;
    let chart = "charts/etl-operator";
    let values = repository().join(chart).join("ci");
    let mut files: Vec<PathBuf> = std::fs::read_dir(values)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    for file in files {
        let mut lint = Command::new(&helm);
        lint.current_dir(repository())
            .args(["lint", "--strict", chart, "--values"])
            .arg(&file);
        step(&mut lint)?;
        let mut template = Command::new(&helm);
        template
            .current_dir(repository())
            .args(["template", "etl", chart, "--values"])
            .arg(&file);
        step(template.stdout(std::process::Stdio::null()))?;
    }
    Ok(())
}

fn cargo_deny() -> Result<PathBuf> {
    let root = etl_lab::cache::root()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let version = format!("cargo-deny@{CARGO_DENY}");
        // Unoptimised: it takes longer to build than it will ever run.
        step(
            cargo()
                .args(["install", "--locked", "--debug", "--root"])
                .arg(&root)
                .arg(version),
        )?;
    }
    Ok(program)
}
