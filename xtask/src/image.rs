//! Container images as archives.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use etl_lab::image::{self, Profile};
use etl_lab::repository;

#[derive(Args)]
pub(crate) struct Options {
    /// How the programs are compiled
    #[arg(long, value_enum, default_value_t = BuildProfile::Release)]
    profile: BuildProfile,
    /// Folder for the archives [default: target/images]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum BuildProfile {
    Dev,
    Release,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let profile = match options.profile {
        BuildProfile::Dev => Profile::Dev,
        BuildProfile::Release => Profile::Release,
    };
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| repository().join("target/images"));
    for archive in image::build(profile, &out)? {
        println!(
            "{} {} {}",
            archive.path().display(),
            archive.tag(),
            archive.digest()
        );
    }
    Ok(())
}
