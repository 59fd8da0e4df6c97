//! System packages: what is missing is installed where that is possible and
//! named where it is not.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::run;

/// Programs that a lab needs while it runs, with the package that has them.
const RUNTIME: [(&str, &str); 10] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("openssl", "openssl"),
    ("ldd", "libc-bin"),
    ("java", "default-jre-headless"),
];

const PLUGINS: [&str; 2] = ["/usr/lib/cni/bridge", "/opt/cni/bin/bridge"];

/// Whether this process may do what a lab needs.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(super) fn ensure_runtime() -> Result<()> {
    let mut missing: BTreeSet<&str> = RUNTIME
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, p)| *p)
        .collect();
    if !PLUGINS.iter().any(|plugin| Path::new(plugin).is_file()) {
        missing.insert("containernetworking-plugins");
    }
    install(&missing)
}

/// What artefacts are made with, as far as any is still to be made.
pub(super) fn ensure_builders(python: bool, maven: bool) -> Result<()> {
    let mut missing = BTreeSet::new();
    if python && !has_venv() {
        missing.extend(["python3", "python3-venv"]);
    }
    if maven && find("mvn").is_none() {
        missing.insert("maven");
    }
    install(&missing)
}

fn has_venv() -> bool {
    let check = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .output();
    check.is_ok_and(|output| output.status.success())
}

fn install(packages: &BTreeSet<&str>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = packages.iter().copied().collect();
    let list = list.join(" ");
    if !is_root() || find("apt-get").is_none() {
        bail!("the lab needs packages that are not installed; as root: apt-get install {list}");
    }
    eprintln!("lab: installing {list}");
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-o", "DPkg::Lock::Timeout=300"]);
        command
    };
    run(apt().args(["update", "--quiet"]))?;
    run(apt()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages))?;
    Ok(())
}

/// The program called `name` on the search path.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
