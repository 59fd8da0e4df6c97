//! Keeps the ledger: the writes and the repair, side by side, for the life of
//! the process. A defect in them is no reason to end the work that the process
//! is there for.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::sleep;

use super::repair::Repair;
use crate::backoff::Backoff;

/// Before what has panicked is begun anew.
const ANEW: Backoff = Backoff {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

/// Writes what is offered to the mirror of `repair`, and repairs, until the
/// mirror is drained.
pub async fn keep(repair: &Repair<'_>) {
    let mut panics = 0;
    loop {
        let shift = async {
            tokio::select! {
                () = repair.mirror.run(repair.ledger, repair.leadership) => {}
                () = repair.run() => {}
            }
        };
        // What it may have left half done is forgotten below.
        if AssertUnwindSafe(shift).catch_unwind().await.is_ok() {
            return;
        }
        panics += 1;
        tracing::error!(
            panics,
            "keeping the ledger panicked, which is a defect of this program: please report it. \
             It is begun anew, with a comparison of all rows"
        );
        repair.mirror.abandon();
        sleep(ANEW.delay(panics)).await;
    }
}
