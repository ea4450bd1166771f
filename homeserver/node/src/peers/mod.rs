//! The other servers, as this one reaches them: one link each, and the calls that go over it.
//!
//! A link has a worker of its own that drives the peer's outbox and dials when there is reason to:
//! something is owed, a call waits, or the peer has just shown that it is there. Links are held in
//! memory only; what is owed stands in the rows.

mod dial;
mod directory;
mod drive;
mod link;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entente_federation::trust::PeerPolicy;
use entente_homeserver_core::rows::PeerRow;
use entente_homeserver_ops::{Here, Store};
use entente_identity::ServerDid;
use entente_protocol::call::{PeerReach, PeerRequest, PeerResponse, PeerStatus};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::KeyDocumentId;
use entente_transport::Endpoint;
use tokio::sync::Semaphore;

use crate::nodes::Nodes;
use crate::writer::Writer;

pub use directory::Directory;
use link::Link;

/// Most links at once.
const MAX_LINKS: usize = 16_384;
/// Most dials at once, over all peers.
const MAX_DIALS: usize = 64;

/// What reaching other servers takes.
pub struct Outward {
    /// Which server this is.
    pub here: Here,
    /// Its database.
    pub store: Arc<dyn Store>,
    /// The only one of this node who writes to it.
    pub writer: Writer,
    /// This node among the others of this server.
    pub nodes: Arc<Nodes>,
    /// The socket to dial from.
    pub endpoint: Endpoint,
    /// Where other servers are and which keys they have.
    pub directory: Directory,
    /// With which of them this one deals.
    pub policy: PeerPolicy,
    /// The key document that greetings name.
    pub key_document: KeyDocumentId,
    dials: Semaphore,
}

/// All links.
pub struct Peers {
    outward: Arc<Outward>,
    links: Mutex<HashMap<ServerDid, Arc<Link>>>,
}

impl Outward {
    /// Puts together what reaching other servers takes.
    #[must_use]
    pub fn new(
        (here, key_document): (Here, KeyDocumentId),
        store: Arc<dyn Store>,
        (writer, nodes): (Writer, Arc<Nodes>),
        endpoint: Endpoint,
        directory: Directory,
        policy: PeerPolicy,
    ) -> Self {
        Self {
            here,
            store,
            writer,
            nodes,
            endpoint,
            directory,
            policy,
            key_document,
            dials: Semaphore::new(MAX_DIALS),
        }
    }

    /// Refuses a server with which this one does not deal.
    ///
    /// # Errors
    /// [`FaultCode::PeerRefused`].
    pub fn admit(&self, peer: &ServerDid) -> Result<(), Fault> {
        if self.policy.admits(peer) && *peer != self.here.me {
            Ok(())
        } else {
            let detail = format!("this server does not deal with {peer}");
            Err(Fault::new(FaultCode::PeerRefused, detail))
        }
    }
}

impl Peers {
    /// No links yet.
    #[must_use]
    pub fn new(outward: Arc<Outward>) -> Self {
        Self {
            outward,
            links: Mutex::default(),
        }
    }

    /// What reaching other servers takes.
    #[must_use]
    pub fn outward(&self) -> &Outward {
        &self.outward
    }

    /// Asks a peer something.
    ///
    /// # Errors
    /// What the peer answers, or why it cannot be asked.
    pub async fn call(
        &self,
        peer: &ServerDid,
        request: &PeerRequest,
    ) -> Result<PeerResponse, Fault> {
        self.outward.admit(peer)?;
        let connection = self.link(peer)?.connection().await?;
        connection.call(request).await.map_err(Fault::from)
    }

    /// More is owed to a peer.
    pub fn wake(&self, peer: &ServerDid) {
        if let Ok(link) = self.link(peer) {
            link.wake();
        }
    }

    /// The peer has just shown that it is there: what waits for it need not wait longer.
    pub fn seen(&self, peer: &ServerDid) {
        if let Ok(link) = self.link(peer) {
            link.seen();
        }
    }

    /// Lets a peer know that this server is there, so that it sends what it owes.
    pub fn poke(&self, peer: &ServerDid) {
        if let Ok(link) = self.link(peer) {
            link.poke();
        }
    }

    /// How the links are.
    #[must_use]
    pub fn statuses(&self, rows: &[PeerRow]) -> Vec<PeerStatus> {
        let links = self.lock();
        rows.iter()
            .map(|row| PeerStatus {
                server: row.server.clone(),
                reach: links
                    .get(&row.server)
                    .map_or(PeerReach::Idle, |link| link.reach()),
                owed: row.last_out - row.acked,
            })
            .collect()
    }

    fn link(&self, peer: &ServerDid) -> Result<Arc<Link>, Fault> {
        let mut links = self.lock();
        if let Some(link) = links.get(peer) {
            return Ok(Arc::clone(link));
        }
        if links.len() >= MAX_LINKS {
            let detail = "this server has links to too many others; try again later";
            return Err(Fault::new(FaultCode::Busy, detail).retry_after(60_000));
        }
        let link = worker::start(Arc::clone(&self.outward), peer.clone());
        links.insert(peer.clone(), Arc::clone(&link));
        Ok(link)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerDid, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
