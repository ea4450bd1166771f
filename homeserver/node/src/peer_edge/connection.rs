//! One connection of another server.

use std::sync::{Arc, OnceLock};

use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::{Fault, FaultCode};
use entente_transport::{CloseCode, Connection, Incoming, IncomingCall, PendingStream};
use tower::ServiceExt;

use super::calls::PeerCall;
use super::greeting::{Greeter, greet};
use super::relay;
use crate::pipeline::Pipeline;
use crate::server::Server;

/// What every connection of another server needs.
#[derive(Clone)]
pub struct PeerEdge {
    /// The server.
    pub server: Arc<Server>,
    /// The way of every call.
    pub calls: Pipeline<PeerCall, PeerResponse>,
}

struct Session {
    edge: PeerEdge,
    connection: Connection,
    peer: OnceLock<Greeter>,
}

/// Serves a connection until it ends.
pub async fn serve(edge: PeerEdge, connection: Connection) {
    let session = Arc::new(Session {
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
    let peer = session.peer.get().map(|peer| peer.server.to_string());
    tracing::debug!(peer, %ended, "a peer's connection ended");
}

impl Session {
    async fn serve_stream(&self, stream: PendingStream) {
        let incoming = match stream.open().await {
            Ok(incoming) => incoming,
            Err(fault) => return tracing::debug!(%fault, "a stream made no sense"),
        };
        match (incoming, self.peer.get()) {
            (Incoming::PeerCall(call), _) => self.answer(*call).await,
            (Incoming::Relay(replies, batches), Some(peer)) => {
                let served = relay::serve(&self.edge.server, peer, replies, batches).await;
                if let Err(reason) = served {
                    tracing::warn!(peer = %peer.server, %reason, "a relay flow broke");
                    self.connection
                        .close(CloseCode::PROTOCOL, "the relay flow broke");
                }
            }
            // Dropping a flow refuses it: without a greeting, or of another link.
            (Incoming::Relay(..), None)
            | (Incoming::ClientCall(_) | Incoming::Submit(..) | Incoming::Sync(..), _) => {}
        }
    }

    async fn answer(&self, call: IncomingCall<PeerRequest>) {
        let IncomingCall { request, responder } = call;
        let answer = match request {
            PeerRequest::Hello(hello) => {
                let server = &self.edge.server;
                let greeted = greet(server, &self.connection, &self.peer, &hello).await;
                if let Err(fault) = &greeted {
                    tracing::warn!(reason = %fault.detail, "a greeting was refused");
                }
                greeted.map(PeerResponse::Hello)
            }
            request => self.operate(request).await,
        };
        if let Err(fault) = responder.answer(answer).await {
            tracing::debug!(%fault, "an answer was not taken");
        }
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
