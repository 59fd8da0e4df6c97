//! The process itself, under the names that every client library uses.

use std::fs;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;

use super::Sampler;
use super::catalogue::{Catalogue, Label, Level, Sum};

/// Reads the process's figures from the kernel.
pub fn sampler(catalogue: &mut Catalogue) -> Sampler {
    let mut section = catalogue.section("Process");
    section.add(
        "etl_build",
        "info",
        vec![Label::described("version", "of the operator")],
        "Always 1.",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    let cpu: Sum = section.sum("process_cpu_seconds", "CPU time, user and system.");
    let resident: Gauge = section.gauge("process_resident_memory_bytes", "Resident memory.");
    let files: Gauge = section.gauge("process_open_fds", "Open file descriptors.");
    let start: Level = section.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
    );
    start.set(Timestamp::now().as_duration().as_secs_f64());
    Box::new(move || {
        let used = cpu_time::ProcessTime::now().as_duration();
        // It never goes back, so it may be set.
        cpu.inner()
            .store(used.as_secs_f64().to_bits(), Ordering::Relaxed);
        if let Some(bytes) = resident_bytes() {
            resident.set(bytes);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            files.set(i64::try_from(entries.count()).unwrap_or(i64::MAX));
        }
    })
}

/// `None` where there is no /proc.
fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1024)
}
