//! One connection of another server.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use entente_identity::{ServerDid, Signed};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{Hello, HelloReply};
use entente_transport::{CloseCode, Connection, Incoming, IncomingCall, PendingStream};
use tower::ServiceExt;

use super::calls::PeerCall;
use super::greeting::{Greeter, Purpose, greet};
use super::relay;
use crate::connections::{Connections, Place};
use crate::pipeline::{Done, Pipeline, unhurried};
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
    /// The connections on which a server has greeted.
    pub of_peers: OfPeers,
}

/// The connections on which a server has greeted.
#[derive(Clone, Debug)]
pub struct OfPeers {
    /// Those that carry a peer's stream. One counts: a peer that comes anew has given up its older one.
    streams: Arc<Connections<ServerDid>>,
    /// Those for calls only, and those whose stream was taken over elsewhere: they are of the peer's other
    /// nodes, and stay beside the one that carries the stream.
    callers: Arc<Connections<ServerDid>>,
}

/// Most connections of one peer that are for calls only; beyond it the oldest goes.
pub(super) const MAX_CALLERS: usize = 8;

impl Default for OfPeers {
    fn default() -> Self {
        let newer = "a newer connection took its place";
        Self {
            streams: Arc::new(Connections::new(1, newer)),
            callers: Arc::new(Connections::new(MAX_CALLERS, newer)),
        }
    }
}

/// What a connection counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Stream,
    Caller,
}

struct Session {
    edge: PeerEdge,
    connection: Connection,
    peer: OnceLock<Greeter>,
    /// The connection's place among those of its peer.
    place: Mutex<Option<(Role, Place<ServerDid>)>>,
    /// How many streams that make no sense are put up with.
    nonsense: Throttle<()>,
}

/// Serves a connection until it ends.
pub async fn serve(edge: PeerEdge, connection: Connection) {
    let session = Arc::new(Session {
        nonsense: edge.quotas.connection(),
        edge,
        connection,
        peer: OnceLock::new(),
        place: Mutex::new(None),
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
        let answer = unhurried(Done::AtOnce, async {
            match request {
                PeerRequest::Hello(hello) => self.greet(&hello).await.map(PeerResponse::Hello),
                request => self.operate(request).await,
            }
        });
        if let Err(fault) = responder.answer(answer.await).await {
            tracing::debug!(%fault, "an answer was not taken");
        }
    }

    /// A stream that was taken over elsewhere does not close the connection of the one that goes on.
    fn enter(&self, peer: &Greeter, goes_on: bool) {
        let (role, connections) = match peer.purpose {
            Purpose::Stream if goes_on => (Role::Stream, &self.edge.of_peers.streams),
            Purpose::Stream | Purpose::Calls => (Role::Caller, &self.edge.of_peers.callers),
        };
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_none_or(|(known, _)| *known != role) {
            let peer = peer.server.clone();
            *place = Some((role, connections.enter(peer, &self.connection)));
        }
    }

    async fn greet(&self, hello: &Signed<Hello>) -> Result<Signed<HelloReply>, Fault> {
        // A greeting may make this server fetch a document of whomever it names.
        let address = self.connection.remote_address().ip();
        self.edge.quotas.login(address)?;
        let greeted = greet(&self.edge.server, &self.connection, &self.peer, hello)
            .await
            .inspect_err(|fault| {
                tracing::warn!(reason = %fault.detail, "a greeting was refused");
            })?;
        if let Some(peer) = self.peer.get() {
            self.enter(peer, greeted.goes_on);
        }
        Ok(greeted.reply)
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
