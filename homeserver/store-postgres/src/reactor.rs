//! The runtime that drives the connections.
//!
//! Stores are asked by whatever runs the caller: a thread of its own, a task, a test. Sockets and timers
//! need tokio, so the store brings a small runtime of one thread; a future that opens a connection is
//! polled by its caller, within that runtime.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use entente_homeserver_ops::StoreFault;
use tokio::runtime::{Builder, Runtime};

/// A runtime that ends without waiting, so that it may be dropped anywhere.
pub(crate) struct Reactor {
    runtime: Option<Runtime>,
    statements: AtomicU64,
}

impl Reactor {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start() -> Result<Self, StoreFault> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| StoreFault::Unavailable(format!("no runtime: {error}")))?;
        Ok(Self {
            runtime: Some(runtime),
            statements: AtomicU64::new(0),
        })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the end")
    }

    /// Counts statements that are sent.
    pub(crate) fn count(&self, statements: usize) {
        let statements = statements as u64;
        self.statements.fetch_add(statements, Ordering::Relaxed);
    }

    /// How many were sent.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Polls a future where it finds sockets and timers.
    pub(crate) async fn within<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _within = self.runtime().enter();
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Waits.
    pub(crate) async fn sleep(&self, wait: Duration) {
        self.within(async { tokio::time::sleep(wait).await }).await;
    }

    /// Runs a future to its end while the caller's thread waits, whatever else runs on that thread.
    ///
    /// # Errors
    /// What the future says, or that it panicked.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, StoreFault>> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let (tell, told) = mpsc::sync_channel(1);
        self.spawn(async move {
            // Nobody goes away while this thread waits below.
            let _told = tell.send(future.await);
        });
        let panicked = |_| Err(StoreFault::Broken("opening it panicked".to_owned()));
        told.recv().unwrap_or_else(panicked)
    }

    /// Runs a future to its end, whoever goes away.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime().spawn(future);
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
