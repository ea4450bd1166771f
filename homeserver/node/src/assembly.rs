//! Puts the parts of a server together: database, writer, links, and who is woken by whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use entente_discovery::{Options, SafeClient};
use entente_federation::trust::PeerPolicy;
use entente_homeserver_core::Effect;
use entente_homeserver_ops::{Here, Store};
use entente_identity::ServerDid;
use entente_protocol::hello::KeyDocumentId;
use entente_store_sqlite::SqliteStore;
use entente_transport::Endpoint;

use crate::clock::now;
use crate::config::{Config, FederationPolicy, StoreKind};
use crate::credentials::Credentials;
use crate::data_dir::DataDir;
use crate::database;
use crate::https::Directory as Users;
use crate::nodes::Nodes;
use crate::peers::{Directory, Outward, Peers};
use crate::registration;
use crate::server::{Server, explain};
use crate::tails::Tails;
use crate::wakes::Wakes;
use crate::writer::{Writer, WriterThread};

/// What a server is made of.
pub struct Parts {
    /// Which server it is.
    pub here: Here,
    /// The key document that its greetings name.
    pub key_document: KeyDocumentId,
    /// What its operator calls this node of it.
    pub node_name: String,
    /// Its database.
    pub store: Arc<dyn Store>,
    /// How it finds others.
    pub discovery: Options,
    /// With which of them it deals.
    pub policy: PeerPolicy,
    /// Its socket.
    pub endpoint: Endpoint,
}

/// Reads what the configuration names and makes the server of it.
///
/// # Errors
/// The database, the token or a file of the test network is not usable.
pub fn assemble(
    config: &Config,
    credentials: &Credentials,
    dir: &DataDir,
    endpoint: Endpoint,
) -> anyhow::Result<(Arc<Server>, WriterThread)> {
    let here = Here {
        me: credentials.did().clone(),
        key_id: credentials.key_id(),
        key: credentials.key().clone(),
        registration: registration::load(&config.registration)?,
    };
    let (hosts, ca) = (&config.testnet.host_table, &config.testnet.extra_ca);
    connect(Parts {
        here,
        key_document: credentials.key_document_id(),
        node_name: config.node.name(),
        store: open_store(config, dir)?,
        discovery: Options::load(hosts.as_deref(), ca.as_deref())?,
        policy: peer_policy(config),
        endpoint,
    })
}

/// Starts the writer, and connects it with those whom its commits wake.
///
/// # Errors
/// The system gives no thread, or no certificate authority can be trusted.
pub fn connect(parts: Parts) -> anyhow::Result<(Arc<Server>, WriterThread)> {
    let (here, store) = (parts.here, parts.store);
    let wakes = Arc::new(Wakes::default());
    let tails = Arc::new(Tails::new(Arc::clone(&store)));
    let (waking, marking) = (Arc::clone(&wakes), Arc::clone(&tails));
    let wake = move |effects: Vec<Effect>| {
        // Before anybody looks, the tails know that they are old.
        for effect in &effects {
            if let Effect::WakeRoom(room) = effect {
                marking.mark(*room);
            }
        }
        waking.perform(effects);
    };
    let (writer, thread) = Writer::start(Arc::clone(&store), here.clone(), wake)?;
    let nodes = Arc::new(Nodes::new(parts.node_name, store.writers()));
    let outward = Outward::new(
        (here.clone(), parts.key_document),
        Arc::clone(&store),
        (writer.clone(), Arc::clone(&nodes)),
        parts.endpoint,
        Directory::new(
            SafeClient::new(parts.discovery)?,
            Arc::clone(&store),
            writer.clone(),
        ),
        parts.policy,
    );
    let server = Server {
        here,
        store,
        writer,
        wakes,
        tails,
        peers: Peers::new(Arc::new(outward)),
        nodes,
        started: now(),
    };
    Ok((Arc::new(server), thread))
}

/// Opens the database that the configuration names.
///
/// # Errors
/// It cannot be opened, or is newer than this software.
pub fn open_store(config: &Config, dir: &DataDir) -> anyhow::Result<Arc<dyn Store>> {
    match config.store.kind {
        StoreKind::Postgres => Ok(Arc::new(database::open(&config.store)?)),
        StoreKind::Sqlite => {
            let path = dir.path().join(&config.store.path);
            let store = SqliteStore::open(&path)
                .with_context(|| format!("cannot open the database {}", path.display()))?;
            Ok(Arc::new(store))
        }
    }
}

fn peer_policy(config: &Config) -> PeerPolicy {
    let domains = config.federation.servers.iter().cloned();
    let servers: BTreeSet<ServerDid> = domains.map(ServerDid::new).collect();
    match config.federation.policy {
        FederationPolicy::Open => PeerPolicy::Open,
        FederationPolicy::Allow => PeerPolicy::Allow(servers),
        FederationPolicy::Deny => PeerPolicy::Deny(servers),
    }
}

/// Finds accounts by name, for their published documents.
#[must_use]
pub fn users(server: &Arc<Server>) -> Users {
    let server = Arc::clone(server);
    Arc::new(move |local| {
        let server = Arc::clone(&server);
        Box::pin(async move {
            let mut read = server.read().await?;
            let found = read.account_named(&local).await;
            let row = found.map_err(|fault| explain(&fault))?;
            Ok(row.map(|row| row.claim))
        })
    })
}
