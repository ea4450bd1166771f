//! One connection of another server.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use entente_identity::{ServerDid, Signed};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::Hello;
use entente_transport::{CloseCode, Connection, Incoming, IncomingCall, PendingStream};
use tower::ServiceExt;

use super::calls::PeerCall;
use super::greeting::{Greeted, Greeter, Purpose, greet};
use super::relay;
use crate::pipeline::Pipeline;
use crate::quotas::{Quotas, Throttle};
use crate::server::Server;

/// What every connection of another server needs.
#[derive(Clone)]
pub struct PeerEdge {
    /// The server.
    pub server: Arc<Server>,
    /// The way of every call.
    pub calls: Pipeline<PeerCall, PeerResponse>,
    /// How much is taken from whom.
    pub quotas: Arc<Quotas>,
    /// The newest connections of each peer.
    pub newest: Arc<Newest>,
}

/// The newest connections of each peer. Of those that carry its stream one counts: a peer that comes
/// anew has given up its older one. Those for calls only are of its other nodes, and stay beside it.
#[derive(Debug, Default)]
pub struct Newest {
    connections: Mutex<HashMap<ServerDid, OfPeer>>,
    numbers: AtomicU64,
}

/// Most connections of one peer that are for calls only; beyond it the oldest goes.
pub(super) const MAX_CALLERS: usize = 8;

#[derive(Debug, Default)]
struct OfPeer {
    stream: Option<(u64, Connection)>,
    /// The oldest first.
    callers: VecDeque<(u64, Connection)>,
}

struct Session {
    number: u64,
    edge: PeerEdge,
    connection: Connection,
    peer: OnceLock<Greeter>,
    /// How many streams that make no sense are put up with.
    nonsense: Throttle<()>,
}

/// Serves a connection until it ends.
pub async fn serve(edge: PeerEdge, connection: Connection) {
    let session = Arc::new(Session {
        number: edge.newest.numbers.fetch_add(1, Ordering::Relaxed),
        nonsense: edge.quotas.connection(),
        edge,
        connection,
        peer: OnceLock::new(),
    });
    let ended = loop {
        match session.connection.accept().await {
            Ok(stream) => {
                let session = Arc::clone(&session);
                tokio::spawn(async move { session.serve_stream(stream).await });
            }
            Err(reason) => break reason,
        }
    };
    if let Some(peer) = session.peer.get() {
        tracing::debug!(peer = %peer.server, %ended, "a peer's connection ended");
        session.edge.newest.leave(&peer.server, session.number);
    }
}

impl Newest {
    /// Takes a connection over as the one that carries its peer's stream.
    fn enter_stream(&self, peer: &ServerDid, number: u64, connection: &Connection) {
        let newest = (number, connection.clone());
        let before = {
            let mut connections = self.lock();
            let of_peer = connections.entry(peer.clone()).or_default();
            of_peer.stream.replace(newest)
        };
        supersede(before.filter(|(before, _)| *before != number));
    }

    /// Takes a connection over among those of its peer that are for calls only.
    fn enter_caller(&self, peer: &ServerDid, number: u64, connection: &Connection) {
        let oldest = {
            let mut connections = self.lock();
            let callers = &mut connections.entry(peer.clone()).or_default().callers;
            if callers.iter().any(|(known, _)| *known == number) {
                return;
            }
            callers.push_back((number, connection.clone()));
            (callers.len() > MAX_CALLERS)
                .then(|| callers.pop_front())
                .flatten()
        };
        supersede(oldest);
    }

    fn leave(&self, peer: &ServerDid, number: u64) {
        let mut connections = self.lock();
        let Some(of_peer) = connections.get_mut(peer) else {
            return;
        };
        of_peer.stream.take_if(|(newest, _)| *newest == number);
        of_peer.callers.retain(|(known, _)| *known != number);
        if of_peer.stream.is_none() && of_peer.callers.is_empty() {
            connections.remove(peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerDid, OfPeer>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn supersede(before: Option<(u64, Connection)>) {
    if let Some((_, before)) = before {
        before.close(CloseCode::SUPERSEDED, "a newer connection took its place");
    }
}

impl Session {
    async fn serve_stream(&self, stream: PendingStream) {
        let incoming = match stream.open().await {
            Ok(incoming) => incoming,
            Err(fault) => {
                tracing::debug!(%fault, "a stream made no sense");
                return self.count_nonsense();
            }
        };
        match (incoming, self.peer.get()) {
            (Incoming::PeerCall(call), _) => self.answer(*call).await,
            (Incoming::Relay(replies, batches), Some(peer)) if peer.purpose == Purpose::Stream => {
                let served = relay::serve(
                    (&self.edge.server, &self.edge.quotas),
                    peer,
                    replies,
                    batches,
                )
                .await;
                match served {
                    Ok(()) => {}
                    Err(reason) if reason.code == FaultCode::PeerUnreachable => {
                        tracing::debug!(peer = %peer.server, %reason, "a relay flow broke");
                    }
                    Err(reason) => {
                        tracing::warn!(peer = %peer.server, %reason, "a relay flow is given up");
                        self.connection
                            .close(CloseCode::PROTOCOL, "the relay flow is given up");
                    }
                }
            }
            // Dropping a flow refuses it: without a greeting, after one for calls only, or of another link.
            (Incoming::Relay(..), _)
            | (Incoming::ClientCall(_) | Incoming::Submit(..) | Incoming::Sync(..), _) => {
                self.count_nonsense();
            }
        }
    }

    /// A peer that goes on with streams that make no sense is shut out.
    fn count_nonsense(&self) {
        if self.nonsense.admit(&()).is_err() {
            let reason = "too many streams that make no sense";
            self.connection.close(CloseCode::PROTOCOL, reason);
        }
    }

    async fn answer(&self, call: IncomingCall<PeerRequest>) {
        let IncomingCall { request, responder } = call;
        let answer = match request {
            PeerRequest::Hello(hello) => {
                let greeted = self.greet(&hello).await;
                match (&greeted, self.peer.get()) {
                    (Ok(greeted), Some(peer)) => self.enter(peer, greeted.goes_on),
                    (Err(fault), _) => {
                        tracing::warn!(reason = %fault.detail, "a greeting was refused");
                    }
                    (Ok(_), None) => {}
                }
                greeted.map(|greeted| PeerResponse::Hello(greeted.reply))
            }
            request => self.operate(request).await,
        };
        if let Err(fault) = responder.answer(answer).await {
            tracing::debug!(%fault, "an answer was not taken");
        }
    }

    /// A stream that was taken over elsewhere does not close the connection of the one that goes on.
    fn enter(&self, peer: &Greeter, goes_on: bool) {
        let newest = &self.edge.newest;
        match peer.purpose {
            Purpose::Stream if goes_on => {
                newest.enter_stream(&peer.server, self.number, &self.connection);
            }
            Purpose::Stream => {}
            Purpose::Calls => newest.enter_caller(&peer.server, self.number, &self.connection),
        }
    }

    async fn greet(&self, hello: &Signed<Hello>) -> Result<Greeted, Fault> {
        // A greeting may make this server fetch a document of whomever it names.
        let address = self.connection.remote_address().ip();
        self.edge.quotas.login(address)?;
        greet(&self.edge.server, &self.connection, &self.peer, hello).await
    }

    async fn operate(&self, request: PeerRequest) -> Result<PeerResponse, Fault> {
        let Some(peer) = self.peer.get() else {
            return Err(Fault::new(FaultCode::NotAuthenticated, "greet first"));
        };
        let call = PeerCall {
            peer: peer.server.clone(),
            request,
        };
        self.edge.calls.clone().oneshot(call).await
    }
}
