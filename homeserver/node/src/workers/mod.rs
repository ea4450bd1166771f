//! What runs beside the edges: waking links, filling gaps in logs, comparing logs with others, and
//! deleting what is old.

pub(crate) mod heads;
mod repair;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use entente_homeserver_ops::{StoreFault, Writers};

use crate::nodes::follow;
use crate::server::Server;

/// Starts the workers, with what the rows say is left to do. The node has entered. `poll` is how often
/// to look for what other nodes wrote, `keep` how long logs are kept if not for ever.
///
/// # Errors
/// The store does not answer.
pub async fn start(
    server: &Arc<Server>,
    poll: Duration,
    keep: Option<Duration>,
) -> Result<(), StoreFault> {
    resume(server).await?;
    let peers = server.store.read().await?.peers().await?;
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
    if server.nodes.writers() == Writers::Several {
        tokio::spawn(follow(Arc::clone(server), poll));
    }
    let beating = Arc::clone(server);
    tokio::spawn(async move { beating.nodes.beat(&beating.writer).await });
    tokio::spawn(repair::run(Arc::clone(server)));
    tokio::spawn(heads::run(Arc::clone(server)));
    if let Some(keep) = keep {
        tokio::spawn(retention::run(Arc::clone(server), keep));
    }
    Ok(())
}

/// Takes up what whoever stopped was doing.
///
/// # Errors
/// The store does not answer.
pub(crate) async fn resume(server: &Server) -> Result<(), StoreFault> {
    let mut read = server.store.read().await?;
    repair::resume(server, &mut *read).await
}
