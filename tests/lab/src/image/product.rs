//! The images of the operator and the worker.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Archive, of_program};
use crate::layout::{create_dir, repository};

/// The version that the images are tagged with.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The operator's image, without its tag.
pub const OPERATOR_IMAGE: &str = "localhost/etl-operator";
/// The worker's image, without its tag.
pub const WORKER_IMAGE: &str = "localhost/etl-worker";

/// How the programs are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Dev,
    /// Fast to run.
    Release,
}

impl Profile {
    /// The name that cargo knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// What is compiled. The tests have compiled the whole workspace already,
    /// and another selection would mean other features of the dependencies,
    /// which would all be compiled once more.
    fn selection(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["--workspace", "--all-targets"],
            Self::Release => &[
                "--bins",
                "--package",
                "etl-operator",
                "--package",
                "etl-worker",
            ],
        }
    }

    /// The folder below cargo's target folder.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Compiles operator and worker and writes their image archives to `out`.
///
/// # Errors
/// A build that fails; a library that is missing.
pub fn build(profile: Profile, out: &Path) -> Result<Vec<Archive>> {
    create_dir(out)?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(repository())
        .args(["build", "--locked", "--profile", profile.name()])
        .args(profile.selection())
        .status()
        .context("cannot start cargo")?;
    ensure!(
        status.success(),
        "cargo build of the images' programs failed"
    );
    let programs = target_folder().join(profile.folder());
    [
        ("etl-operator", OPERATOR_IMAGE),
        ("etl-worker", WORKER_IMAGE),
    ]
    .into_iter()
    .map(|(program, image)| {
        let archive = out.join(format!("{program}.tar"));
        of_program(
            &archive,
            &format!("{image}:{VERSION}"),
            &programs.join(program),
        )
    })
    .collect()
}

fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || repository().join("target"),
        |folder| repository().join(folder),
    )
}
