//! What people see while a job runs: a bar on a terminal, lines otherwise.
//! Everything goes to standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use etl_core::{Event, Severity};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::process::Counters;

/// Time between two lines of progress.
const LINES_EVERY: Duration = Duration::from_secs(5);

/// Time between two pictures of a bar that nothing else moves.
const TICK: Duration = Duration::from_millis(120);

/// The display of one job.
#[derive(Debug)]
pub struct Show {
    job: String,
    bar: Option<ProgressBar>,
    printed: Instant,
    last: Counters,
}

impl Show {
    /// The display of `job`; `lines` forbids the bar.
    pub fn new(job: String, lines: bool) -> Self {
        let bar = (!lines && io::stderr().is_terminal()).then(|| bar(&job));
        Show {
            job,
            bar,
            printed: Instant::now(),
            last: Counters::default(),
        }
    }

    /// Prints a line above the bar.
    pub fn say(&self, text: &str) {
        let print = || {
            // Work does not stop because nobody listens.
            let _ = writeln!(io::stderr(), "{}: {text}", self.job);
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// What would be an event in a cluster.
    pub fn event(&self, event: &Event) {
        match event.severity {
            Severity::Normal => self.say(&event.note),
            Severity::Warning => self.say(&format!("warning: {}", event.note)),
        }
    }

    /// How far the present attempt is.
    pub fn progress(&mut self, counters: Counters) {
        let Counters {
            rows,
            objects_done,
            objects_total,
            bytes_read,
        } = counters;
        let read = format!("{} rows, {} read", HumanCount(rows), HumanBytes(bytes_read));
        if let Some(bar) = &self.bar {
            bar.set_length(objects_total);
            bar.set_position(objects_done);
            bar.set_message(read);
        } else if counters != self.last && self.printed.elapsed() >= LINES_EVERY {
            self.printed = Instant::now();
            self.say(&format!("{objects_done}/{objects_total} objects, {read}"));
        }
        self.last = counters;
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(job: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = "{spinner} {prefix} [{bar:30}] {pos}/{len} objects, {msg}, {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(job.to_owned());
    bar.set_message("starting");
    bar.enable_steady_tick(TICK);
    bar
}
