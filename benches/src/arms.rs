//! Who takes part, and how each of them is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::arm::{Compression, local};
use crate::place::repository;

const REQUIREMENTS: &str = include_str!("../rivals/requirements.txt");

/// One that takes part.
#[derive(Debug)]
pub(crate) struct Arm {
    /// On the command line and in results.
    pub(crate) name: &'static str,
    /// In the report.
    pub(crate) title: &'static str,
    program: Program,
    /// How it is set up, for the report.
    pub(crate) settings: &'static str,
    pub(crate) role: Role,
    /// Compressions that it is measured with.
    pub(crate) compressions: &'static [Compression],
    /// Whether it can write into a device, and not only beside its target.
    pub(crate) discards: bool,
}

/// What an arm is measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Our engine, doing what the rivals do.
    Ours,
    /// Our engine in another form, for information.
    OursToo,
    /// Somebody else's, to be compared with on equal processors.
    Rival,
    /// The stock parts on one thread.
    Stock,
    /// The ancestor: slow, and measured once, into memory only.
    Ancestor,
}

#[derive(Debug, Clone, Copy)]
enum Program {
    /// This program's own `arm` of that name.
    Own(&'static str),
    Python(&'static str),
}

const ALL: &[Compression] = &[Compression::None, Compression::Gzip, Compression::Zstd];
const PLAIN: &[Compression] = &[Compression::None];

/// In the report's order.
pub(crate) const ARMS: &[Arm] = &[
    Arm {
        name: "etl",
        title: "etl-engine",
        program: Program::Own("etl"),
        settings: "the product's defaults, but null fields written as `null`; rows in order; 152 MiB, what a worker of 256 MiB gives its engine, or what the engine says that it needs",
        role: Role::Ours,
        compressions: ALL,
        discards: true,
    },
    Arm {
        name: "etl-default",
        title: "etl-engine, defaults",
        program: Program::Own("etl-default"),
        settings: "null fields left out, as EtlJobs do by default",
        role: Role::OursToo,
        compressions: PLAIN,
        discards: true,
    },
    Arm {
        name: "local",
        title: "kubectl etl run",
        program: Program::Own("local"),
        settings: "the whole product on one machine: two processes, plan, conversion, commit, ledger; wall time from the start of the first process",
        role: Role::OursToo,
        compressions: PLAIN,
        discards: false,
    },
    Arm {
        name: "polars",
        title: "Polars",
        program: Program::Python("polars_rival.py"),
        settings: "`scan_parquet(..).sink_ndjson(..)`, the streaming engine; rows in order",
        role: Role::Rival,
        compressions: ALL,
        discards: true,
    },
    Arm {
        name: "duckdb",
        title: "DuckDB",
        program: Program::Python("duckdb_rival.py"),
        settings: "`COPY .. (FORMAT json)`, `preserve_insertion_order = false`: rows in any order, which is its faster mode",
        role: Role::Rival,
        compressions: ALL,
        discards: true,
    },
    Arm {
        name: "clickhouse",
        title: "ClickHouse (chdb)",
        program: Program::Python("clickhouse_rival.py"),
        settings: "`INSERT INTO FUNCTION file(.., 'JSONEachRow')`, parallel formatting, `/` not escaped",
        role: Role::Rival,
        compressions: ALL,
        discards: true,
    },
    Arm {
        name: "datafusion",
        title: "DataFusion",
        program: Program::Python("datafusion_rival.py"),
        settings: "`COPY .. STORED AS JSON`; null fields left out, as it has no other way; only into files, as it writes beside its target and renames",
        role: Role::Rival,
        compressions: ALL,
        discards: false,
    },
    Arm {
        name: "arrow-json",
        title: "arrow-json, stock",
        program: Program::Own("arrow-json"),
        settings: "parquet's reader in batches of 8,192 rows and `LineDelimitedWriter` with explicit nulls, one thread; compressed: zlib-rs at level 6 on the same thread",
        role: Role::Stock,
        compressions: &[Compression::None, Compression::Gzip],
        discards: true,
    },
    Arm {
        name: "spark",
        title: "Spark, local",
        program: Program::Python("spark_rival.py"),
        settings: "`local[n]`, 4 GB heap, third conversion of a warm JVM; null fields and microseconds kept by options; one file per task",
        role: Role::Ancestor,
        compressions: PLAIN,
        discards: false,
    },
];

/// How the arm of this name is called in the report.
pub(crate) fn title(name: &str) -> &str {
    let mut arms = ARMS.iter();
    arms.find(|arm| arm.name == name)
        .map_or(name, |arm| arm.title)
}

impl Arm {
    /// Whether the installed rivals are needed.
    pub(crate) fn is_python(&self) -> bool {
        matches!(self.program, Program::Python(_))
    }

    /// What an arm needs and this machine lacks.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        match self.name {
            "spark" if !has_java() => Some("java (Debian: apt-get install default-jre-headless)"),
            "local" if local::program().is_none() => Some("kubectl-etl and etl-worker beside it"),
            _ => None,
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.role, Role::Ours | Role::OursToo)
    }

    /// The command for one conversion.
    pub(crate) fn command(
        &self,
        rivals: &Rivals,
        input: &Path,
        output: &Path,
        threads: usize,
        compression: Compression,
    ) -> Result<Command> {
        let mut command = self.program(rivals)?;
        command.arg(input).arg(output);
        command.args([&threads.to_string(), compression.name()]);
        Ok(command)
    }

    /// The command that starts the engine and converts nothing; none for those
    /// whose start is so short that it can as well be measured with a conversion.
    pub(crate) fn start(&self, rivals: &Rivals) -> Result<Option<Command>> {
        if !self.is_python() {
            return Ok(None);
        }
        let mut command = self.program(rivals)?;
        command.arg("start");
        Ok(Some(command))
    }

    fn program(&self, rivals: &Rivals) -> Result<Command> {
        match self.program {
            Program::Own(encoder) => {
                let own = std::env::current_exe().context("this program does not find itself")?;
                let mut command = Command::new(own);
                command.args(["arm", encoder]);
                Ok(command)
            }
            Program::Python(script) => {
                let mut command = Command::new(&rivals.python);
                command.arg(repository().join("benches/rivals").join(script));
                command.env("PYTHONDONTWRITEBYTECODE", "1").env("TZ", "UTC");
                Ok(command)
            }
        }
    }
}

/// The interpreter that has the rivals.
#[derive(Debug)]
pub(crate) struct Rivals {
    python: PathBuf,
}

impl Rivals {
    /// Nobody is asked for.
    pub(crate) fn none() -> Self {
        let python = PathBuf::new();
        Self { python }
    }

    /// Installs the pinned versions into the cache, unless they are there.
    pub(crate) fn ensure(cache: &Path) -> Result<Self> {
        let hash = Sha256::digest(REQUIREMENTS);
        let folder = cache.join(format!(
            "rivals-{:02x}{:02x}{:02x}",
            hash[0], hash[1], hash[2]
        ));
        let python = folder.join("bin/python3");
        let complete = folder.join("complete");
        if !complete.exists() {
            eprintln!("bench: installing the rivals into {}", folder.display());
            fs::create_dir_all(cache)?;
            step(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&folder),
            )?;
            let requirements = folder.join("requirements.txt");
            fs::write(&requirements, REQUIREMENTS)?;
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet"]);
            pip.arg("--disable-pip-version-check");
            step(pip.arg("--requirement").arg(&requirements))?;
            fs::write(&complete, "")?;
        }
        Ok(Self { python })
    }
}

fn has_java() -> bool {
    let mut java = Command::new("java");
    java.arg("-version").stderr(Stdio::null());
    java.status().is_ok_and(|status| status.success())
}

fn step(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", name.display()))?;
    ensure!(status.success(), "{} failed ({status})", name.display());
    Ok(())
}
