//! Times of the same work done again and again.

use std::error::Error;
use std::time::{Duration, Instant};

use cpu_time::{ProcessTime, ThreadTime};

/// Wall and processor times of some work.
#[derive(Clone, Default)]
pub(crate) struct Runs {
    wall: Vec<Duration>,
    cpu: Duration,
    /// The least that this thread alone has spent on the processor.
    here: Option<Duration>,
}

impl Runs {
    /// Does the work once more.
    pub(crate) fn add(
        &mut self,
        run: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let (start, cpu, here) = (Instant::now(), ProcessTime::now(), ThreadTime::now());
        run()?;
        let here = here.elapsed();
        self.here = Some(self.here.map_or(here, |least| least.min(here)));
        self.wall.push(start.elapsed());
        self.cpu += cpu.elapsed();
        Ok(())
    }

    /// The shortest of the wall times, in seconds: what the work takes when
    /// nobody else wants the processor.
    pub(crate) fn least(&self) -> f64 {
        let least = self.wall.iter().min().copied().unwrap_or_default();
        least.as_secs_f64()
    }

    /// The least time that this thread was on a processor, in seconds.
    pub(crate) fn least_here(&self) -> f64 {
        self.here.unwrap_or_default().as_secs_f64()
    }

    /// Processor seconds per 10^9 of `bytes`.
    pub(crate) fn cpu_per_gb(&self, bytes: u64) -> f64 {
        self.cpu.as_secs_f64() / self.wall.len() as f64 / bytes as f64 * 1e9
    }
}
