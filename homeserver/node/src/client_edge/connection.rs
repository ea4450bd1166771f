//! One connection of a device.

use std::sync::{Arc, OnceLock};

use entente_homeserver_ops::read::login::login;
use entente_identity::{AccountDid, Signed};
use entente_protocol::call::{ClientRequest, ClientResponse, LoggedIn};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{LOGIN_EXPORTER_LABEL, LoginProof};
use entente_transport::{CloseCode, Connection, Incoming, IncomingCall, PendingStream};
use tower::ServiceExt;

use super::calls::{Caller, ClientCall};
use super::{submit, sync};
use crate::clock::now;
use crate::connections::{Connections, Place};
use crate::pipeline::{Done, Pipeline, unhurried};
use crate::quotas::{Quotas, Throttle};
use crate::server::Server;
use crate::wakes::DeviceKey;

/// What every connection of a device needs.
#[derive(Clone)]
pub struct ClientEdge {
    /// The server.
    pub server: Arc<Server>,
    /// The way of every call.
    pub calls: Pipeline<ClientCall, ClientResponse>,
    /// How much is taken from whom.
    pub quotas: Arc<Quotas>,
    /// The connections on which somebody is logged in.
    pub logged_in: Arc<Connections<AccountDid>>,
}

/// A connection, and who speaks on it.
struct Session {
    edge: ClientEdge,
    connection: Connection,
    device: OnceLock<DeviceKey>,
    /// The connection's place among those of its account.
    place: OnceLock<Place<AccountDid>>,
    /// How often something may be asked on it.
    calls: Throttle<()>,
}

/// Serves a connection until it ends.
pub async fn serve(edge: ClientEdge, connection: Connection) {
    let session = Arc::new(Session {
        calls: edge.quotas.connection(),
        edge,
        connection,
        device: OnceLock::new(),
        place: OnceLock::new(),
    });
    let address = session.connection.remote_address();
    tracing::debug!(%address, "a device connected");
    let ended = loop {
        match session.connection.accept().await {
            Ok(stream) => {
                let session = Arc::clone(&session);
                tokio::spawn(async move { session.serve_stream(stream).await });
            }
            Err(reason) => break reason,
        }
    };
    tracing::debug!(%address, %ended, "a device disconnected");
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
        match (incoming, self.device.get().copied()) {
            (Incoming::ClientCall(call), _) => self.answer(*call).await,
            (Incoming::Submit(replies, frames), Some(device)) => {
                let (server, quotas) = (&self.edge.server, &self.edge.quotas);
                if let Err(fault) = submit::serve((server, quotas), device, replies, frames).await {
                    tracing::debug!(%fault, "a submit flow broke");
                }
            }
            (Incoming::Sync(events, requests), Some(device)) => {
                let server = Arc::clone(&self.edge.server);
                if let Err(end) = sync::serve(server, device, events, requests).await {
                    tracing::debug!(%end, "a sync flow ended");
                }
            }
            // Dropping a flow refuses it: without a login, or of another link.
            (Incoming::Submit(..) | Incoming::Sync(..), None)
            | (Incoming::Relay(..) | Incoming::PeerCall(_), _) => self.count_nonsense(),
        }
    }

    /// A stream that made no sense counts as a call. There is nobody to be told to slow down: a peer that
    /// goes on with it is shut out.
    fn count_nonsense(&self) {
        if self.calls.admit(&()).is_err() {
            let reason = "too many streams that make no sense";
            self.connection.close(CloseCode::PROTOCOL, reason);
        }
    }

    async fn answer(&self, call: IncomingCall<ClientRequest>) {
        let IncomingCall { request, responder } = call;
        // An invitation is done alike whether or not there is somebody to get it; only the time would tell.
        let done = match request {
            ClientRequest::Invite(_) => Done::Evenly,
            _ => Done::AtOnce,
        };
        let answer = unhurried(done, async {
            self.calls.admit(&())?;
            match request {
                ClientRequest::Login(proof) => {
                    self.login(&proof).await.map(ClientResponse::LoggedIn)
                }
                request => self.operate(request).await,
            }
        });
        if let Err(fault) = responder.answer(answer.await).await {
            tracing::debug!(%fault, "an answer was not taken");
        }
    }

    async fn operate(&self, request: ClientRequest) -> Result<ClientResponse, Fault> {
        if let ClientRequest::Register(_) = request {
            let address = self.connection.remote_address().ip();
            self.edge.quotas.registration(address)?;
        }
        let caller = match self.device.get() {
            Some(device) => Caller::Device(*device),
            None => Caller::Stranger,
        };
        let call = ClientCall { caller, request };
        self.edge.calls.clone().oneshot(call).await
    }

    async fn login(&self, proof: &Signed<LoginProof>) -> Result<LoggedIn, Fault> {
        let address = self.connection.remote_address().ip();
        self.edge.quotas.login(address)?;
        let exporter = self.connection.channel_binding(LOGIN_EXPORTER_LABEL, &[]);
        let server = &self.edge.server;
        let mut read = server.read().await?;
        let (device, logged_in) = login(&mut *read, server.me(), proof, &exporter, now()).await?;
        if *self.device.get_or_init(|| device) != device {
            let detail = "another device is logged in on this connection; open one of its own";
            return Err(Fault::new(FaultCode::BadRequest, detail));
        }
        self.place.get_or_init(|| {
            let logged_in = &self.edge.logged_in;
            logged_in.enter(device.0, &self.connection)
        });
        self.connection.trust();
        tracing::debug!(account = %device.0, device = %device.1, "a device logged in");
        Ok(logged_in)
    }
}
