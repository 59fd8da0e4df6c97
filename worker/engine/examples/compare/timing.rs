//! Times of the same work done again and again.

use std::error::Error;
use std::time::{Duration, Instant};

/// Wall and processor times of some work.
#[derive(Clone, Default)]
pub(crate) struct Runs {
    wall: Vec<Duration>,
    cpu: Duration,
}

impl Runs {
    /// Does the work once more.
    pub(crate) fn add(
        &mut self,
        run: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let (start, cpu) = (Instant::now(), cpu_time());
        run()?;
        self.wall.push(start.elapsed());
        self.cpu += cpu_time() - cpu;
        Ok(())
    }

    /// The shortest of the wall times, in seconds: what the work takes when
    /// nobody else wants the processor.
    pub(crate) fn least(&self) -> f64 {
        let least = self.wall.iter().min().copied().unwrap_or_default();
        least.as_secs_f64()
    }

    /// Processor seconds per 10^9 of `bytes`.
    pub(crate) fn cpu_per_gb(&self, bytes: u64) -> f64 {
        self.cpu.as_secs_f64() / self.wall.len() as f64 / bytes as f64 * 1e9
    }
}

/// Processor time of this process so far, threads that have ended included.
fn cpu_time() -> Duration {
    const TICK: Duration = Duration::from_millis(10);

    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    TICK * ticks
        .filter_map(|ticks| ticks.parse::<u32>().ok())
        .sum::<u32>()
}
