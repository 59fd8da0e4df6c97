//! Waiting for a condition with a deadline.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const STEP: Duration = Duration::from_millis(100);

/// Asks `condition` again and again until it holds.
///
/// # Errors
/// What `condition` returned, or a message naming `what` once `limit` has passed.
pub fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > limit {
            bail!("{what}: not so after {} s", limit.as_secs());
        }
        thread::sleep(STEP);
    }
    Ok(())
}
