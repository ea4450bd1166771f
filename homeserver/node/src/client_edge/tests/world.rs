//! A server with both edges on a real socket, over a store in memory, and people who use it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entente_discovery::{ExtraCa, Options};
use entente_federation::trust::PeerPolicy;
use entente_homeserver_core::Change;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::QueuedRow;
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::{Here, Page, Store};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey, PublicKey,
    ServerDid, SigningKey, UnixMillis, first_device_list,
};
use entente_protocol::call::{ClientRequest, ClientResponse, Register};
use entente_protocol::fault::Fault;
use entente_protocol::hello::{KeyDocumentId, LOGIN_EXPORTER_LABEL, LoginProof, prove};
use entente_transport::{CallError, ConnectError, Connection, Endpoint, ServerIdentity};

use crate::assembly::{Parts, connect};
use crate::clock::now;
use crate::config::Limits;
use crate::node::accept;
use crate::server::Server;

/// How long anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct World {
    pub server: Arc<Server>,
    pub store: MemoryStore,
    pub address: SocketAddr,
    pub me: ServerDid,
    pub key: PublicKey,
    /// The sockets of devices and peers: each lives as long as its connections may be used.
    sockets: Mutex<Vec<Endpoint>>,
}

/// Somebody with one device.
#[derive(Clone)]
pub struct Person {
    pub account: AccountDid,
    pub device: DeviceId,
    pub key: SigningKey,
    pub claim: AccountClaim,
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// An authority that certifies nobody: its server finds no others.
fn nobody() -> Options {
    let made = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).expect("made");
    let ca = ExtraCa::from_pem(made.cert.pem().as_bytes()).expect("a CA");
    Options {
        extra_ca: Some(ca),
        ..Options::default()
    }
}

impl World {
    /// A server with these limits that finds no other.
    pub async fn new(limits: Limits) -> Self {
        Self::with_others(limits, nobody()).await
    }

    /// A server with these limits that finds others so.
    pub async fn with_others(limits: Limits, discovery: Options) -> Self {
        let me: ServerDid = "did:web:org-a.test".parse().expect("a DID");
        let key = SigningKey::from_seed(&[1; 32]);
        let identity = ServerIdentity::new(&key).expect("an identity");
        let endpoint = Endpoint::bind(any(), identity, limits.endpoint()).expect("bound");
        let store = MemoryStore::new();
        let (server, _thread) = connect(Parts {
            here: Here {
                me: me.clone(),
                key_id: "fed-1".to_owned(),
                key: key.clone(),
                registration: RegistrationPolicy::Open,
            },
            key_document: KeyDocumentId {
                seq: 0,
                hash: [0; 32],
            },
            node_name: "only".to_owned(),
            store: Arc::new(store.clone()),
            discovery,
            policy: PeerPolicy::Open,
            endpoint: endpoint.clone(),
        })
        .expect("connected");
        let entered = server.nodes.enter(&server.writer).await;
        entered.expect("entered");
        let address = endpoint.local_address().expect("bound");
        tokio::spawn(accept((Arc::clone(&server), endpoint), limits));
        Self {
            server,
            store,
            address,
            me,
            key: key.public(),
            sockets: Mutex::default(),
        }
    }

    /// Keeps a socket for as long as the world lasts.
    pub fn keep(&self, socket: Endpoint) {
        self.sockets.lock().expect("no holder panics").push(socket);
    }

    /// Connects from a socket of its own.
    pub async fn dial(&self) -> Connection {
        self.try_dial().await.expect("connected")
    }

    /// The same, if it is let in.
    pub async fn try_dial(&self) -> Result<Connection, ConnectError> {
        let socket = Endpoint::dial_only(any()).expect("a socket");
        let name = self.me.domain().as_str();
        let dialled = socket.connect_client(self.address, name, &[self.key]).await;
        self.keep(socket);
        dialled
    }

    /// Opens an account by a row, so that no limit of registrations counts.
    pub async fn settle(&self, local: &str) -> Person {
        let person = Person::new(local, &self.me);
        let register = Register {
            claim: person.claim.clone(),
            token: None,
        };
        let command = entente_homeserver_ops::Command::Register(Box::new(register));
        let settled = self.server.writer.execute(command).await;
        settled.expect("registered");
        person
    }

    /// Connects and logs in.
    pub async fn login(&self, person: &Person) -> Connection {
        let connection = self.dial().await;
        let answer = person.login(&connection, &self.me).await;
        assert!(
            matches!(answer, Ok(ClientResponse::LoggedIn(_))),
            "{answer:?}"
        );
        connection
    }

    /// Writes rows.
    pub async fn commit(&self, changes: Vec<Change>) {
        let mut tx = self.store.begin().await.expect("a transaction");
        tx.apply(changes).await.expect("applied");
        tx.commit().await.expect("committed");
    }

    /// What is queued for a person's device.
    pub async fn queued(&self, person: &Person) -> Vec<QueuedRow> {
        let page = Page {
            items: 100_000,
            bytes: usize::MAX,
        };
        let mut read = self.store.read().await.expect("a view");
        let rows = read.queued(&person.account, &person.device, 0, page).await;
        rows.expect("an answer")
    }
}

impl Person {
    pub fn new(local: &str, home: &ServerDid) -> Self {
        let root = SigningKey::generate(&mut rand::rngs::OsRng);
        let key = SigningKey::generate(&mut rand::rngs::OsRng);
        let id = key.public().fingerprint();
        let device = DeviceId(id[..16].try_into().expect("16 bytes"));
        let listed = Device {
            id: device,
            signature_key: key.public(),
            hpke_key: HpkePublicKey([7; 32]),
            role: DeviceRole::Manager,
        };
        let handle = format!("{local}@{}", home.domain());
        let account = AccountDid::new(root.public());
        let claim = AccountClaim {
            account,
            device_list: first_device_list(&root, vec![listed], now()),
            signer_chain: Vec::new(),
            home_record: HomeRecord::first(&root, handle.parse().expect("a handle"), now()),
        };
        Self {
            account,
            device,
            key,
            claim,
        }
    }

    /// What this person's device proves on a connection.
    pub fn proof(&self, connection: &Connection) -> LoginProof {
        LoginProof {
            account: self.account,
            device: self.device,
            exporter: connection.channel_binding(LOGIN_EXPORTER_LABEL, b""),
        }
    }

    pub fn login_request(&self, connection: &Connection, server: &ServerDid) -> ClientRequest {
        self.login_at(connection, server, now())
    }

    pub fn login_at(
        &self,
        connection: &Connection,
        server: &ServerDid,
        time: UnixMillis,
    ) -> ClientRequest {
        let proof = self.proof(connection);
        let origin = self.account.to_string();
        ClientRequest::Login(prove(&proof, origin, server, &self.key, time))
    }

    pub async fn login(
        &self,
        connection: &Connection,
        server: &ServerDid,
    ) -> Result<ClientResponse, CallError> {
        connection
            .call(&self.login_request(connection, server))
            .await
    }
}

/// How a call was refused.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Fault {
    match answer {
        Err(CallError::Refused(fault)) => fault,
        other => panic!("it should have been refused: {other:?}"),
    }
}
