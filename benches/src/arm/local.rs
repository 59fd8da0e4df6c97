//! The product as a user runs it on one machine: `kubectl etl run`, with its
//! worker process, its commit protocol and its ledger.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::{Compression, Task};

/// What a worker has by default.
const MEMORY: &str = "256Mi";

/// Where `kubectl-etl` is, if it was built, with its worker beside it.
pub(crate) fn program() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let programs = ["kubectl-etl", "etl-worker"].map(|name| own.with_file_name(name));
    let [program, worker] = programs;
    (program.is_file() && worker.is_file()).then_some(program)
}

pub(super) fn convert(task: &Task) -> Result<()> {
    let program = program().context("kubectl-etl and etl-worker are not beside this program")?;
    let ledger = tempfile::NamedTempFile::new()?;
    let mut child = Command::new(program)
        .args(["run", "-f", "-", "--output", "json", "--ledger"])
        .arg(ledger.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let source = uri(&task.input, task.input.is_dir())?;
    let manifest = manifest(&source, &uri(&task.output, true)?, task.compression);
    let mut stdin = child.stdin.take().context("no pipe")?;
    stdin.write_all(manifest.as_bytes())?;
    drop(stdin);
    let status = child.wait()?;
    ensure!(status.success(), "kubectl-etl ended with {status}");
    Ok(())
}

/// An EtlJob that writes null fields, as JSON.
pub(crate) fn manifest(source: &str, output: &str, compression: Compression) -> String {
    let compression = match compression {
        Compression::None => "None",
        Compression::Gzip => "Gzip",
        Compression::Zstd => "Zstd",
    };
    let manifest = json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {"name": "bench"},
        "spec": {
            "source": {"uri": source},
            "output": {
                "uri": output,
                "compression": compression,
                "json": {"nulls": "Explicit"},
            },
            "worker": {"resources": {"limits": {"memory": MEMORY}}},
        },
    });
    manifest.to_string()
}

fn uri(path: &Path, is_folder: bool) -> Result<String> {
    let slash = if is_folder { "/" } else { "" };
    match path.to_str() {
        Some(path) if path.starts_with('/') => Ok(format!("file://{path}{slash}")),
        _ => bail!("{} is no absolute path in UTF-8", path.display()),
    }
}
