//! What runs beside the edges: waking links, filling gaps in logs, and comparing logs with others.

pub(crate) mod heads;
mod repair;

use std::sync::Arc;

use entente_homeserver_ops::StoreFault;

use crate::server::Server;

/// Starts the workers, with what the rows say is left to do.
///
/// # Errors
/// The store does not answer.
pub async fn start(server: &Arc<Server>) -> Result<(), StoreFault> {
    let mut read = server.store.read().await?;
    let peers = read.peers().await?;
    repair::resume(server, &mut *read).await?;
    drop(read);
    for peer in peers {
        // Whoever was down with us, or waits for us, learns that this server is back.
        server.peers.poke(&peer.server);
    }
    let waking = Arc::clone(server);
    tokio::spawn(async move {
        loop {
            for peer in waking.wakes.peers.take().await {
                waking.peers.wake(&peer);
            }
        }
    });
    tokio::spawn(repair::run(Arc::clone(server)));
    tokio::spawn(heads::run(Arc::clone(server)));
    Ok(())
}
