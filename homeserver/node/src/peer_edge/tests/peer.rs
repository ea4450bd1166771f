//! Other servers: each publishes its documents over HTTPS, and says on its links what the test wants.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum_server::Handle;
use entente_discovery::{ExtraCa, HostTable, Options};
use entente_federation::greeting::FEATURES;
use entente_identity::{
    Audience, Endpoint as PublicEndpoint, ServerDid, Signed, SigningContext, SigningKey,
};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::hello::{HELLO_EXPORTER_LABEL, Hello, PROTOCOL_VERSION};
use entente_protocol::relay::{Batch, Item, RelayReply};
use entente_transport::{
    CallError, Connection, Endpoint, FlowReceiver, FlowSender, ServerIdentity,
};
use rand::rngs::OsRng;
use tokio::time::timeout;

use crate::client_edge::tests::world::{PATIENCE, World};
use crate::clock::now;
use crate::config::{Limits, Tls};
use crate::credentials::{Credentials, first_key_document};
use crate::data_dir::DataDir;
use crate::https::{Documents, HttpsEdge, KeyDocuments, tls_config};

/// The stream epoch of every peer's stream.
pub const EPOCH: u64 = 1;

/// Another server.
pub struct Peer {
    pub did: ServerDid,
    pub key: SigningKey,
    credentials: Credentials,
    https: Handle<std::net::SocketAddr>,
}

/// A relay flow, and how far its stream has got.
pub struct Stream {
    pub batches: FlowSender<Batch>,
    pub replies: FlowReceiver<RelayReply>,
    pub next: u64,
}

/// A server and others that it can find.
pub async fn network<const N: usize>(limits: Limits, domains: [&str; N]) -> (World, [Peer; N]) {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = domains.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("made");
    let tls = Tls {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&tls.certificate, made.cert.pem()).expect("written");
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&tls.key, owner_only).expect("changed");
    let mut hosts = String::new();
    let peers = domains.map(|domain| {
        let (peer, port) = Peer::publish(domain, &folder.path().join(domain), &tls);
        hosts.push_str(&format!("{domain} 127.0.0.1 {port} 1\n"));
        peer
    });
    let discovery = Options {
        host_table: HostTable::parse(Path::new("hosts"), &hosts).expect("a table"),
        extra_ca: Some(ExtraCa::from_pem(made.cert.pem().as_bytes()).expect("a CA")),
    };
    (World::with_others(limits, discovery).await, peers)
}

impl Peer {
    fn publish(domain: &str, folder: &Path, tls: &Tls) -> (Self, u16) {
        let did: ServerDid = format!("did:web:{domain}").parse().expect("a DID");
        let dir = DataDir::create(folder).expect("made");
        let (key, next) = dir.create_keys(&did, &mut OsRng).expect("keys");
        let public = PublicEndpoint {
            host: did.domain().clone(),
            port: 1,
        };
        let first = first_key_document(&did, &key.public(), &next.public(), public.clone(), now());
        dir.create_key_document(&first.sign(&key)).expect("written");
        let credentials = Credentials::load(&dir, &did).expect("loaded");
        let documents = Documents::new(
            &credentials.server_document(&public),
            KeyDocuments::new(credentials.clone(), public),
            Arc::new(|_| Box::pin(async { Ok(None) })),
        );
        let any = "127.0.0.1:0".parse().expect("an address");
        let tls = tls_config(tls).expect("a certificate");
        let edge = HttpsEdge::bind(any, tls, documents).expect("bound");
        let port = edge.address().port();
        let https = Handle::new();
        tokio::spawn(edge.serve(https.clone()));
        let peer = Self {
            did,
            key,
            credentials,
            https,
        };
        (peer, port)
    }

    /// Connects without a greeting.
    pub async fn dial(&self, world: &World) -> Connection {
        let any = "127.0.0.1:0".parse().expect("an address");
        let identity = ServerIdentity::new(&self.key).expect("an identity");
        let socket = Endpoint::bind(any, identity, Limits::default().endpoint()).expect("bound");
        let (name, pins) = (world.me.domain().as_str(), [world.key]);
        let dialled = socket.connect_federation(world.address, name, &pins);
        let dialled = dialled.await.expect("connected");
        world.keep(socket);
        dialled
    }

    /// What this server says on a connection.
    pub fn hello(&self, connection: &Connection) -> Hello {
        Hello {
            server: self.did.clone(),
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            features: FEATURES.to_vec(),
            stream_epoch: EPOCH,
            begins_after: 0,
            key_document: self.credentials.key_document_id(),
            exporter: connection.channel_binding(HELLO_EXPORTER_LABEL, &[]),
        }
    }

    /// What it says beside that, to a server.
    pub fn context(&self, to: &ServerDid) -> SigningContext {
        SigningContext {
            key_id: self.key.public().to_string(),
            origin: self.did.to_string(),
            audience: Audience::Server(to.clone()),
            created: now(),
            expires: Some(now().after(60_000)),
        }
    }

    pub fn greeting(&self, connection: &Connection, context: &SigningContext) -> PeerRequest {
        PeerRequest::Hello(Signed::sign(&self.hello(connection), context, &self.key))
    }

    pub async fn greet(
        &self,
        connection: &Connection,
        to: &ServerDid,
    ) -> Result<PeerResponse, CallError> {
        connection
            .call(&self.greeting(connection, &self.context(to)))
            .await
    }

    /// Connects and greets.
    pub async fn link(&self, world: &World) -> Connection {
        let connection = self.dial(world).await;
        let greeted = self.greet(&connection, &world.me).await;
        assert!(matches!(greeted, Ok(PeerResponse::Hello(_))), "{greeted:?}");
        connection
    }

    /// Connects, greets and begins to relay.
    pub async fn stream(&self, world: &World) -> Stream {
        let connection = self.link(world).await;
        let (batches, replies) = connection.open_relay().await.expect("a flow");
        Stream {
            batches,
            replies,
            next: 1,
        }
    }

    /// A batch of the next items of a stream.
    pub fn batch(&self, world: &World, stream: &Stream, items: &[Item]) -> Batch {
        let items = items.iter().map(Item::to_bytes).collect();
        let numbers = (EPOCH, stream.next);
        let signer = ("fed-1", &self.key, now());
        Batch::sign(&self.did, &world.me, numbers, items, signer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.https.shutdown();
    }
}

impl Stream {
    pub async fn reply(&mut self) -> RelayReply {
        let reply = timeout(PATIENCE, self.replies.next())
            .await
            .expect("in time");
        reply.expect("the flow holds").expect("it goes on")
    }

    /// Sends items in one batch and waits until the other side owns them.
    pub async fn deliver(&mut self, peer: &Peer, world: &World, items: &[Item]) {
        let batch = peer.batch(world, self, items);
        self.batches.send(&batch).await.expect("sent");
        let up_to = self.next + items.len() as u64 - 1;
        let expected = RelayReply::Ack {
            stream_epoch: EPOCH,
            up_to,
        };
        assert_eq!(self.reply().await, expected);
        self.next = up_to + 1;
    }
}
