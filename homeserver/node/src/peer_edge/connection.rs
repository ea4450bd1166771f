//! One connection of another server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use entente_identity::{ServerDid, Signed};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{Hello, HelloReply};
use entente_transport::{CloseCode, Connection, Incoming, IncomingCall, PendingStream};
use tower::ServiceExt;

use super::calls::PeerCall;
use super::greeting::{Greeter, greet};
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
    /// The newest connection of each peer.
    pub newest: Arc<Newest>,
}

/// The newest connection of each peer: a peer that comes anew has given up its older one.
#[derive(Debug, Default)]
pub struct Newest {
    connections: Mutex<HashMap<ServerDid, (u64, Connection)>>,
    numbers: AtomicU64,
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
    /// Takes a connection over as the newest of its peer.
    fn enter(&self, peer: &ServerDid, number: u64, connection: &Connection) {
        let newest = (number, connection.clone());
        let before = self.lock().insert(peer.clone(), newest);
        if let Some((_, before)) = before.filter(|(before, _)| *before != number) {
            before.close(CloseCode::SUPERSEDED, "a newer connection took its place");
        }
    }

    fn leave(&self, peer: &ServerDid, number: u64) {
        let mut newest = self.lock();
        if newest
            .get(peer)
            .is_some_and(|(newest, _)| *newest == number)
        {
            newest.remove(peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerDid, (u64, Connection)>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
            (Incoming::Relay(replies, batches), Some(peer)) => {
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
            // Dropping a flow refuses it: without a greeting, or of another link.
            (Incoming::Relay(..), None)
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
                    (Ok(_), Some(peer)) => {
                        let newest = &self.edge.newest;
                        newest.enter(&peer.server, self.number, &self.connection);
                    }
                    (Err(fault), _) => {
                        tracing::warn!(reason = %fault.detail, "a greeting was refused");
                    }
                    (Ok(_), None) => {}
                }
                greeted.map(PeerResponse::Hello)
            }
            request => self.operate(request).await,
        };
        if let Err(fault) = responder.answer(answer).await {
            tracing::debug!(%fault, "an answer was not taken");
        }
    }

    async fn greet(&self, hello: &Signed<Hello>) -> Result<Signed<HelloReply>, Fault> {
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
