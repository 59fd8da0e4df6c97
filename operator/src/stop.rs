//! The request to stop, as a future that any part can wait for.

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves when the process was asked to stop; cheap to clone.
pub type Stop = Shared<BoxFuture<'static, ()>>;

/// The signals that ask to stop.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes SIGTERM and SIGINT over from their default action.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A `Stop` and the sender that makes it resolve.
pub fn channel() -> (futures::channel::oneshot::Sender<()>, Stop) {
    let (sender, receiver) = futures::channel::oneshot::channel();
    // A sender that is gone means the end as well.
    (sender, receiver.map(|_| ()).boxed().shared())
}
