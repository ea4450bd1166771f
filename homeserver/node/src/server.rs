//! What every part of the running server works with.

use std::sync::Arc;

use entente_homeserver_ops::{Here, Read, Store, StoreFault, store_fault};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::fault::{Fault, FaultCode};

use crate::nodes::Nodes;
use crate::peers::Peers;
use crate::tails::Tails;
use crate::wakes::Wakes;
use crate::writer::Writer;

/// One running homeserver. Rows are the truth; all of this can be lost at any time.
pub struct Server {
    /// Which server this is.
    pub here: Here,
    /// Its database.
    pub store: Arc<dyn Store>,
    /// The only one who writes to it.
    pub writer: Writer,
    /// Who is woken by what.
    pub wakes: Arc<Wakes>,
    /// The ends of the logs that are being read now.
    pub tails: Arc<Tails>,
    /// The other servers.
    pub peers: Peers,
    /// This node among the others of this server.
    pub nodes: Arc<Nodes>,
    /// When it started.
    pub started: UnixMillis,
}

impl Server {
    /// The server's DID.
    #[must_use]
    pub fn me(&self) -> &ServerDid {
        &self.here.me
    }

    /// A view for reading.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn read(&self) -> Result<Box<dyn Read>, Fault> {
        self.store.read().await.map_err(|fault| explain(&fault))
    }
}

/// Logs why the store did not answer, and says so to the caller.
pub fn explain(fault: &StoreFault) -> Fault {
    tracing::error!(%fault, "the database did not answer");
    store_fault(fault)
}

/// Runs costly work beside the tasks that serve connections.
///
/// # Errors
/// What the work says, or [`FaultCode::Internal`] if it panicked.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a check panicked");
        Err(Fault::new(
            FaultCode::Internal,
            FaultCode::Internal.meaning(),
        ))
    })
}
