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

    /// An attempt failed, and the next one has to wait.
    pub fn waiting(&self, delay: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style(WITHOUT_TOTAL));
            bar.set_message("waiting for the next attempt");
        }
        self.say(&format!("the next attempt starts in {delay}"));
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
            let known = objects_total > 0;
            bar.set_style(style(if known { WITH_TOTAL } else { WITHOUT_TOTAL }));
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

/// Before the worker's plan is known there is nothing to be a part of.
const WITHOUT_TOTAL: &str = "{spinner} {prefix} {msg}, {elapsed}";
const WITH_TOTAL: &str = "{spinner} {prefix} [{bar:30}] {pos}/{len} objects, {msg}, {elapsed}";

fn bar(job: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        .with_style(style(WITHOUT_TOTAL))
        .with_prefix(job.to_owned())
        .with_message("starting");
    bar.enable_steady_tick(TICK);
    bar
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file: a wrong one shows at once.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
