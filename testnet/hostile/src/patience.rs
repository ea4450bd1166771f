//! Waiting for facts, never for luck: every wait has an end that says what was waited for.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout};

/// How long anything that has to happen may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How often something that tells nobody is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Waits for something that has to come.
///
/// # Errors
/// It does not come in time.
pub async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> Result<T> {
    let came = timeout(PATIENCE, coming).await;
    came.with_context(|| format!("{what}: not within {} s", PATIENCE.as_secs()))
}

/// Looks again and again until `look` finds something.
///
/// # Errors
/// It finds nothing in time, or cannot look.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("{what}: not within {} s", PATIENCE.as_secs());
        }
        sleep(POLL).await;
    }
}
