//! What a report says about the machine that it was made on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The machine, the day and the build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// Day of the measurement, UTC.
    pub date: String,
    /// Model of the processor.
    pub processor: String,
    /// Vector instructions that matter here.
    pub vectors: Vec<String>,
    /// Processors that this process may use.
    pub processors: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of the compiler.
    pub rustc: String,
    /// Version of Java, if there is one.
    pub java: Option<String>,
    /// Whether the optimiser ran over the whole program.
    pub build: String,
}

impl Machine {
    /// This one, now; `build` says how this program was compiled.
    ///
    /// # Errors
    /// A kernel that does not tell about itself in `/proc`.
    pub fn here(build: &str) -> Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let flags = field(&cpu, "flags");
        let vectors = ["avx2", "avx512bw", "asimd", "sve"];
        let vectors = vectors.into_iter().filter(|vector| {
            let mut words = flags.split_whitespace();
            words.any(|word| word == *vector)
        });
        let memory = fs::read_to_string("/proc/meminfo")?;
        let kilobytes = field(&memory, "MemTotal");
        let kilobytes = kilobytes.split_whitespace().next().unwrap_or_default();
        Ok(Self {
            date: jiff::Timestamp::now().strftime("%F").to_string(),
            processor: field(&cpu, "model name").to_owned(),
            vectors: vectors.map(str::to_owned).collect(),
            processors: available_parallelism()?.get(),
            memory_bytes: kilobytes.parse::<u64>().unwrap_or(0) * 1024,
            kernel: kernel()?,
            rustc: first_line(Command::new("rustc").arg("--version")).unwrap_or_default(),
            java: first_line(Command::new("java").arg("-version")),
            build: build.to_owned(),
        })
    }
}

/// The kernel's release, without what its builder has added.
fn kernel() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let plain = release.trim().split('-').next();
    Ok(plain.unwrap_or_default().to_owned())
}

/// The value of the first line `name : value`.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = values.filter(|(key, _)| key.trim() == name);
    values.next().map_or("", |(_, value)| value.trim())
}

/// What a program says about itself; Java says it on standard error.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let text = String::from_utf8(text).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}
