//! A hostile organization: its own domain, key, documents and federation endpoint, on the real wire.
//!
//! By itself it behaves; whatever it shall do wrong, an attack does with its parts: [`Peer::dial`] and
//! [`Peer::hello`] before a greeting, [`PeerLink`] after it, [`Stream`] for what it relays, and
//! [`Reception`] for what others hand to it.

mod documents;
mod log;
mod reception;
mod stream;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use entente_identity::{
    FederationKey, KeyDocument, ServerDid, ServerDocument, ServiceEndpoint, Signed, SigningKey,
};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::hello::{
    HELLO_EXPORTER_LABEL, Hello, HelloReply, KeyDocumentId, PROTOCOL_VERSION, prove,
};
use entente_transport::{AdmissionLimits, CallError, Connection, Endpoint, ServerIdentity};
use testnet::network::{Folder, ServerPlan, plan::ADDRESS};
use tokio::task::JoinSet;

use crate::clock::now;
use crate::dice::Dice;
use crate::door::Door;

pub use log::{FakeLog, attested};
pub use reception::{Manners, Reception};
pub use stream::Stream;

/// A hostile organization's server.
pub struct Peer {
    /// The server.
    pub did: ServerDid,
    /// What others hand to it.
    pub reception: Arc<Reception>,
    voice: Arc<Voice>,
    endpoint: Endpoint,
    epochs: AtomicU64,
    _tasks: JoinSet<()>,
}

/// Who the organization is, for signing.
pub(crate) struct Voice {
    pub(crate) did: ServerDid,
    pub(crate) key: SigningKey,
    pub(crate) key_id: String,
    pub(crate) key_document: KeyDocumentId,
}

/// A link to a real server on which the organization has greeted.
#[derive(Clone)]
pub struct PeerLink {
    /// The server.
    pub to: ServerDid,
    /// The epoch that the greeting named.
    pub stream_epoch: u64,
    /// What the server answered.
    pub reply: HelloReply,
    connection: Connection,
    voice: Arc<Voice>,
}

impl Deref for PeerLink {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Peer {
    /// Opens the organization at the place that a network planned for a server.
    ///
    /// # Errors
    /// Its sockets cannot be had.
    pub async fn open(folder: &Folder, plan: &ServerPlan, dice: &mut Dice) -> Result<Self> {
        let did = ServerDid::new(plan.domain());
        let key = SigningKey::generate(dice.rng());
        let next = SigningKey::generate(dice.rng());
        let document = key_document(&did, plan, &key, &next);
        let voice = Arc::new(Voice {
            did: did.clone(),
            key_id: document.keys[0].id(),
            key_document: KeyDocumentId {
                seq: document.seq,
                hash: document.chain_hash(),
            },
            key,
        });
        let quic = SocketAddr::from((ADDRESS, plan.quic_port));
        let identity = ServerIdentity::new(&voice.key)?;
        let endpoint = Endpoint::bind(quic, identity, AdmissionLimits::default())?;
        let reception = Arc::new(Reception::new(Arc::clone(&voice)));
        let mut tasks = JoinSet::new();
        let web = documents::serve(
            folder,
            plan,
            server_document(&voice, plan),
            document.sign(&voice.key),
        );
        tasks.spawn(web.await?);
        tasks.spawn(reception::serve(Arc::clone(&reception), endpoint.clone()));
        Ok(Self {
            did,
            reception,
            voice,
            endpoint,
            epochs: AtomicU64::new(now().0),
            _tasks: tasks,
        })
    }

    /// The organization's key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.voice.key
    }

    /// The id of its key in documents.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.voice.key_id
    }

    /// A stream epoch higher than any before.
    pub fn fresh_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Connects to a server without greeting.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn dial(&self, door: &Door) -> Result<Connection> {
        let name = door.did.domain().as_str();
        let dialled = self
            .endpoint
            .connect_federation(door.quic, name, &[door.key])
            .await;
        dialled.with_context(|| format!("no way to {}", door.did))
    }

    /// A good greeting for a connection, to be changed and signed.
    #[must_use]
    pub fn hello(&self, connection: &Connection, stream_epoch: u64, begins_after: u64) -> Hello {
        Hello {
            server: self.did.clone(),
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            features: Vec::new(),
            stream_epoch,
            begins_after,
            key_document: self.voice.key_document,
            exporter: connection.channel_binding(HELLO_EXPORTER_LABEL, &[]),
        }
    }

    /// Signs a greeting for a server.
    #[must_use]
    pub fn sign_hello(&self, hello: &Hello, to: &ServerDid) -> Signed<Hello> {
        prove(hello, self.did.to_string(), to, &self.voice.key, now())
    }

    /// Connects and greets, with the stream where the caller says.
    ///
    /// # Errors
    /// The server takes neither.
    pub async fn link_at(
        &self,
        door: &Door,
        stream_epoch: u64,
        begins_after: u64,
    ) -> Result<PeerLink> {
        let connection = self.dial(door).await?;
        let hello = self.hello(&connection, stream_epoch, begins_after);
        let reply = greet(&connection, self.sign_hello(&hello, &door.did)).await?;
        Ok(PeerLink {
            to: door.did.clone(),
            stream_epoch,
            reply: reply.claimed_body()?,
            connection,
            voice: Arc::clone(&self.voice),
        })
    }

    /// Connects and greets with a fresh stream.
    ///
    /// # Errors
    /// As of [`Self::link_at`].
    pub async fn link(&self, door: &Door) -> Result<PeerLink> {
        self.link_at(door, self.fresh_epoch(), 0).await
    }

    /// Connects, greets and begins to relay.
    ///
    /// # Errors
    /// As of [`Self::link_at`].
    pub async fn stream(&self, door: &Door) -> Result<Stream> {
        self.link(door).await?.stream().await
    }
}

impl PeerLink {
    /// Makes a call that has to succeed.
    ///
    /// # Errors
    /// As of the call.
    pub async fn ask(&self, request: &PeerRequest) -> Result<PeerResponse> {
        Ok(self.connection.call(request).await?)
    }

    /// Begins to relay where the server's cursor stands.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn stream(self) -> Result<Stream> {
        Stream::open(self).await
    }
}

/// Greets with any statement.
///
/// # Errors
/// As of the call.
///
/// # Panics
/// Never: the transport reads only this call's reply.
pub async fn greet(
    connection: &Connection,
    hello: Signed<Hello>,
) -> Result<Signed<HelloReply>, CallError> {
    match connection.call(&PeerRequest::Hello(hello)).await? {
        PeerResponse::Hello(reply) => Ok(reply),
        other => unreachable!("the reply to a greeting is read as one: {other:?}"),
    }
}

/// Where something was ordered.
///
/// # Errors
/// The response is another one.
pub fn ordered(response: PeerResponse) -> Result<entente_protocol::call::Ordered> {
    match response {
        PeerResponse::Ordered(ordered) => Ok(ordered),
        other => bail!("not ordered: {other:?}"),
    }
}

fn key_document(
    did: &ServerDid,
    plan: &ServerPlan,
    key: &SigningKey,
    next: &SigningKey,
) -> KeyDocument {
    let issued = now();
    KeyDocument {
        did: did.clone(),
        seq: 0,
        prev_hash: [0; 32],
        keys: vec![FederationKey {
            public: key.public(),
            from: issued,
            until: None,
        }],
        next_key_hash: next.public().fingerprint(),
        endpoints: vec![entente_identity::Endpoint {
            host: plan.domain(),
            port: plan.quic_port,
        }],
        features: Vec::new(),
        issued,
    }
}

fn server_document(voice: &Voice, plan: &ServerPlan) -> ServerDocument {
    let endpoint = |alpn: &str| ServiceEndpoint {
        host: plan.domain(),
        port: plan.quic_port,
        alpn: alpn.to_owned(),
    };
    ServerDocument {
        did: voice.did.clone(),
        keys: vec![voice.key.public()],
        federation: endpoint("entente-federation/1"),
        client: endpoint("entente-client/1"),
        first_key_document_hash: voice.key_document.hash,
    }
}
