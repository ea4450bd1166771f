//! Time that was spent waiting for a peer.

use std::time::Duration;

use tokio::time::{Instant, timeout};

/// How long a peer has been waited for, over several waits. Time in which nobody waited does not count:
/// a reader that had other things to do does not blame the peer.
#[derive(Debug, Default)]
pub(crate) struct Waited(Duration);

/// A wait under way; it is counted also when it is cancelled.
struct Running<'a> {
    since: Instant,
    waited: &'a mut Duration,
}

impl Waited {
    /// Does a step within what is left of `limit`; `None` once nothing is left.
    pub(crate) async fn spend<T>(
        &mut self,
        limit: Duration,
        step: impl Future<Output = T>,
    ) -> Option<T> {
        let running = Running {
            since: Instant::now(),
            waited: &mut self.0,
        };
        let left = limit.saturating_sub(*running.waited);
        timeout(left, step).await.ok()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.waited += self.since.elapsed();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_add_up_and_pauses_between_them_do_not_count() {
        let second = Duration::from_secs(1);
        let mut waited = Waited::default();
        for _ in 0..3 {
            assert_eq!(waited.spend(10 * second, sleep(3 * second)).await, Some(()));
            sleep(100 * second).await;
        }
        let cancelled = timeout(second / 2, waited.spend(10 * second, sleep(second)));
        assert!(cancelled.await.is_err());
        assert_eq!(waited.spend(10 * second, sleep(second)).await, None);
        assert_eq!(waited.spend(11 * second, sleep(second / 2)).await, Some(()));
    }
}
