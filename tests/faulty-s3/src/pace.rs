//! How far away the server seems to be.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Delays and rates of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// From the end of a request that only reads to the first byte of the
    /// answer.
    pub read_latency: Duration,
    /// From the end of a request that writes to its answer.
    pub write_latency: Duration,
    /// Bytes per second of one connection in each direction; unlimited if unset.
    pub connection_rate: Option<u64>,
    /// Bytes per second of all connections together in each direction, as a
    /// network card has it; unlimited if unset.
    pub link_rate: Option<u64>,
}

impl Profile {
    /// S3 as seen from a node of its region: 60 ms to the first byte of a GET,
    /// 100 ms for a PUT, 85 MB/s per connection.
    #[must_use]
    pub fn remote() -> Self {
        Profile {
            read_latency: Duration::from_millis(60),
            write_latency: Duration::from_millis(100),
            connection_rate: Some(85_000_000),
            link_rate: None,
        }
    }
}

/// One direction of a line: bytes leave one after the other.
#[derive(Debug)]
pub(crate) struct Line {
    bytes_per_second: Option<u64>,
    free: Mutex<Instant>,
}

impl Line {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Line {
            bytes_per_second,
            free: Mutex::new(Instant::now()),
        }
    }

    /// When `bytes` more will have passed.
    fn book(&self, bytes: usize) -> Option<Instant> {
        let rate = self.bytes_per_second?.max(1);
        let mut free = self.free.lock().expect("nothing panics while it is held");
        let duration = Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free = (*free).max(Instant::now()) + duration;
        Some(*free)
    }
}

/// Waits until `bytes` have passed every one of `lines`.
pub(crate) async fn pass(lines: &[&Line], bytes: usize) {
    // Booked on all before any waiting: they carry the bytes at the same time.
    let until = lines.iter().filter_map(|line| line.book(bytes)).max();
    if let Some(until) = until {
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time_and_idle_time_is_not_saved_up() {
        let line = Line::new(Some(1000));
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = Instant::now();
        pass(&[&line], 500).await;
        pass(&[&line], 1500).await;
        assert_eq!(before.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_narrowest_line_decides() {
        let (wide, narrow) = (Line::new(Some(4000)), Line::new(Some(1000)));
        let before = Instant::now();
        pass(&[&wide, &narrow, &Line::new(None)], 2000).await;
        assert_eq!(before.elapsed(), Duration::from_secs(2));
    }
}
