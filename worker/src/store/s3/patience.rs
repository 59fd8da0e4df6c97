//! Waiting for a store that asks to slow down.
//!
//! The SDK repeats a request a few times within seconds. A prefix that S3 is
//! just splitting refuses for longer than that, and it is cheaper to wait here
//! than to begin the attempt anew.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::store::{Kind, StoreError};

/// How long a store may ask to slow down before that is passed on.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first pause, which doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Growing pauses with jitter, so that those who failed together do not come
/// back together.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Pauses {
            next: first,
            longest,
        }
    }

    /// The next pause: between half of it and the whole.
    fn next(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    pub(super) async fn wait(&mut self) {
        sleep(self.next()).await;
    }
}

/// Repeats a request while the store asks to slow down, for a minute at most. A
/// refusal of that kind has had no effect, so any request may be repeated.
pub(super) async fn patiently<T, F>(mut request: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let until = Instant::now() + PATIENCE;
    let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match request().await {
            Err(error) if error.kind() == Kind::Throttled && Instant::now() < until => {
                tracing::warn!(%error, "The store asks to slow down.");
                pauses.wait().await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: Kind) -> StoreError {
        StoreError::new(kind, "read", "s3://b/k", "because")
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_calms_down_in_time_is_not_a_failure() {
        let mut left = 6;
        let answer = patiently(|| {
            left -= 1;
            let answer = if left == 0 {
                Ok("bytes")
            } else {
                Err(refusal(Kind::Throttled))
            };
            async { answer }
        });
        assert_eq!(answer.await.unwrap(), "bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_a_minute() {
        let before = Instant::now();
        let error = patiently(|| async { Err::<(), _>(refusal(Kind::Throttled)) })
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Throttled);
        let waited = before.elapsed();
        assert!(
            waited >= PATIENCE && waited <= PATIENCE + LONGEST_PAUSE,
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_else_is_waited_for() {
        let before = Instant::now();
        for kind in [Kind::Unavailable, Kind::Unknown, Kind::AccessDenied] {
            let answer = patiently(|| async { Err::<(), _>(refusal(kind)) }).await;
            assert_eq!(answer.unwrap_err().kind(), kind);
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[test]
    fn pauses_grow_up_to_their_limit_and_vary() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut pauses = Pauses::new(first, longest);
        for whole in [100, 200, 350, 350] {
            let pause = pauses.next().as_secs_f64() * 1000.0;
            assert!(
                (f64::from(whole) / 2.0..=f64::from(whole)).contains(&pause),
                "{pause}"
            );
        }
    }
}
