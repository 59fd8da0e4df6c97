//! A process around one shard: runtime, signals, deadline, panics.

use std::any::Any;
use std::io::Write;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use etl_contract::{Outcome, WorkOrder};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use crate::budget::Budget;
use crate::error::Error;
use crate::gate::{Closer, Gate, Stop};
use crate::progress::Progress;
use crate::run::Worker;

/// How long a process that must go may clean up.
const GRACE: Duration = Duration::from_secs(3);

/// How long the other tasks may clean up after one has failed.
const GRACE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// How often progress is printed.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What to run.
#[derive(Clone, Debug)]
pub struct Process {
    /// The work order.
    pub order: WorkOrder,
    /// The shard.
    pub shard: u32,
    /// Workers that share the memory which this one finds; see
    /// [`Budget::detect`].
    pub memory_shares: NonZero<u64>,
    /// When the process started: the deadline counts from here.
    pub started: Instant,
    /// Print progress to standard output, one JSON object per line.
    pub print_progress: bool,
}

impl Process {
    /// Runs the shard to its end, whatever the end is: a panic becomes
    /// [`Error::Internal`].
    pub fn run(self) -> Result<Outcome, Error> {
        let runtime = runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("the runtime cannot start: {error}")))?;
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.supervise())));
        // Threads that still convert for nobody must not hold the exit up.
        runtime.shutdown_background();
        outcome.unwrap_or_else(|panic| {
            Err(Error::Internal(format!(
                "the worker panicked: {}",
                panic_text(&*panic)
            )))
        })
    }

    async fn supervise(self) -> Result<Outcome, Error> {
        let deadline = Duration::from_secs(self.order.active_deadline_seconds);
        let (gate, closer) = Gate::new(self.started + deadline);
        close_on_signals(&closer)?;
        let progress = Arc::new(Progress::default());
        let printing = self
            .print_progress
            .then(|| tokio::spawn(print_progress(Arc::clone(&progress))));
        let work = async {
            let (gate, closer, progress) = (gate.clone(), closer, Arc::clone(&progress));
            let budget = Budget::detect(self.order.memory_limit_bytes, self.memory_shares);
            Worker::open(self.order, self.shard, budget, gate, closer, progress)
                .await?
                .run()
                .await
        };
        let outcome = until_closed(&gate, work).await;
        if let Some(printing) = printing {
            printing.abort();
            print_line(&progress);
        }
        outcome
    }
}

/// Runs `work`, and gives it a last moment once the gate is closed.
async fn until_closed(
    gate: &Gate,
    work: impl Future<Output = Result<Outcome, Error>>,
) -> Result<Outcome, Error> {
    let mut work = std::pin::pin!(work);
    let stop = tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        stop = gate.closed() => stop,
    };
    let grace = match stop {
        Stop::Deadline | Stop::Signal => GRACE,
        Stop::Failure => GRACE_AFTER_FAILURE,
    };
    if stop != Stop::Failure {
        tracing::warn!(reason = %stop, "The shard lets go of storage.");
    }
    timeout(grace, work)
        .await
        .unwrap_or(Err(Error::Stopped(stop)))
}

fn close_on_signals(closer: &Closer) -> Result<(), Error> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut received = signal(kind)
            .map_err(|error| Error::Internal(format!("signals cannot be received: {error}")))?;
        let closer = closer.clone();
        tokio::spawn(async move {
            if received.recv().await.is_some() {
                closer.close(Stop::Signal);
            }
        });
    }
    Ok(())
}

async fn print_progress(progress: Arc<Progress>) {
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let mut printed = None;
    loop {
        ticks.tick().await;
        let now = progress.snapshot();
        if printed.replace(now) != Some(now) {
            print_line(&progress);
        }
    }
}

fn print_line(progress: &Progress) {
    if let Ok(line) = serde_json::to_string(&progress.snapshot()) {
        // Whoever listened may have gone; the work goes on.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// The text of a panic, if it may be logged: where the engine is at work, which
/// alone handles values, it may quote some.
pub fn loggable(handles_values: bool, panic: &(dyn Any + Send)) -> Option<&str> {
    (!handles_values).then(|| panic_text(panic))
}

/// The text that a panic was raised with.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_let_go_is_left_behind() {
        let (gate, _closer) = Gate::new(Instant::now() + Duration::from_secs(5));
        let before = Instant::now();
        let outcome = until_closed(&gate, std::future::pending()).await;
        assert!(
            matches!(outcome, Err(Error::Stopped(Stop::Deadline))),
            "{outcome:?}"
        );
        assert_eq!(before.elapsed(), Duration::from_secs(5) + GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn work_may_say_its_own_last_word() {
        let (gate, closer) = Gate::new(Instant::now() + Duration::from_secs(5));
        let work = async {
            closer.close(Stop::Signal);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Outcome::TasksDone)
        };
        assert_eq!(until_closed(&gate, work).await.unwrap(), Outcome::TasksDone);
    }

    #[test]
    fn the_text_of_an_engine_s_panic_stays_out_of_the_log() {
        let panic = catch_unwind(|| panic!("fare 12.5")).unwrap_err();
        assert_eq!(loggable(true, &*panic), None);
        assert_eq!(loggable(false, &*panic), Some("fare 12.5"));
    }

    #[test]
    fn panics_are_told_with_their_text() {
        let panic = catch_unwind(|| panic!("row {}", 1)).unwrap_err();
        assert_eq!(panic_text(&*panic), "row 1");
        let panic = catch_unwind(|| panic!("plain")).unwrap_err();
        assert_eq!(panic_text(&*panic), "plain");
    }
}
