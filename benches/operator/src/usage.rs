//! What processes use, as `/proc` tells it.

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result};

/// Of the clock of `/proc` in a second: the same for all programs, whatever the
/// kernel's own.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Resident memory now.
    pub(crate) rss_bytes: u64,
    /// Largest resident memory since the last [`forget_peak`].
    pub(crate) peak_rss_bytes: u64,
}

impl Usage {
    /// Of the process `pid`.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let status = read("status")?;
        Ok(Self {
            cpu_seconds: ticks_of(&read("stat")?).context("no times")? as f64 / TICKS,
            rss_bytes: kilobytes(&status, "VmRSS:").context("no VmRSS")? * 1024,
            peak_rss_bytes: kilobytes(&status, "VmHWM:").context("no VmHWM")? * 1024,
        })
    }
}

/// Lets the peak of the memory of `pid` begin anew.
pub(crate) fn forget_peak(pid: i32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak of a process")
}

/// User and system time from `/proc/<pid>/stat`. The second field is the name in
/// brackets, which may contain anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Processor seconds by name of a part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Vec<(String, f64)>);

impl Meter {
    /// Reads the times of processes.
    pub(crate) fn read(processes: &[(String, i32)]) -> Result<Self> {
        let read = |(name, pid): &(String, i32)| Ok((name.clone(), Usage::of(*pid)?.cpu_seconds));
        Ok(Self(processes.iter().map(read).collect::<Result<_>>()?))
    }
}

impl Sub for Meter {
    type Output = std::collections::BTreeMap<String, f64>;

    fn sub(self, earlier: Self) -> Self::Output {
        let before = |name: &str| {
            let mut known = earlier.0.iter();
            known.find_map(|(its, seconds)| (its == name).then_some(*seconds))
        };
        let spent = |(name, seconds): (String, f64)| {
            let before = before(&name).unwrap_or(0.0);
            (name, seconds - before)
        };
        self.0.into_iter().map(spent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_times() {
        let stat = "12 (a) 1 (b) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 1 0 99";
        assert_eq!(ticks_of(stat), Some(730));
    }

    #[test]
    fn this_process_uses_memory_and_knows_its_peak() {
        let usage = Usage::of(std::process::id().cast_signed()).unwrap();
        assert!(usage.rss_bytes > 100_000, "{usage:?}");
        assert!(usage.peak_rss_bytes >= usage.rss_bytes, "{usage:?}");
    }

    #[test]
    fn what_was_spent_is_the_difference_by_name() {
        let meter = |a, b| Meter(vec![("a".into(), a), ("b".into(), b)]);
        let spent = meter(3.0, 5.0) - meter(1.0, 5.0);
        assert_eq!(spent["a"], 2.0);
        assert_eq!(spent["b"], 0.0);
    }
}
