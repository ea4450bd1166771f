//! Puts the server together, runs it, and takes it apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum_server::Handle;
use entente_discovery::{Options, SafeClient};
use entente_federation::trust::PeerPolicy;
use entente_homeserver_ops::{Here, Store};
use entente_identity::{Endpoint as PublicEndpoint, ServerDid};
use entente_store_sqlite::SqliteStore;
use entente_transport::{AdmissionLimits, CloseCode, Endpoint, Link, ServerIdentity};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{self, Readiness};
use crate::client_edge::{self, ClientEdge, client_pipeline};
use crate::clock::now;
use crate::config::{Config, FederationPolicy, StoreKind};
use crate::credentials::Credentials;
use crate::data_dir::DataDir;
use crate::https::{Directory as Users, Documents, HttpsEdge, tls_config};
use crate::peer_edge::{self, PeerEdge, peer_pipeline};
use crate::peers::{Directory, Outward, Peers};
use crate::registration;
use crate::server::{Server, explain};
use crate::tails::Tails;
use crate::throttle::Throttle;
use crate::wakes::Wakes;
use crate::workers;
use crate::writer::{Condition, Writer, WriterThread};

/// How long open requests may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How often one address may register or log in: steadily, and at once.
const STRANGER_CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const STRANGER_CALLS_BURST: NonZeroU32 = NonZeroU32::new(2_000).expect("not zero");

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// It could not start, or a part that it cannot do without broke.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let dir = DataDir::open(&config.server.data_dir)?;
    let _lock = dir.lock()?;
    let credentials = Credentials::load(&dir, &config.did())?;
    let tls = tls_config(&config.tls)?;
    let (ready, readiness) = watch::channel(Readiness::NotReady("starting".to_owned()));
    let admin = admin::bind(config.listen.admin)
        .await
        .with_context(|| format!("cannot listen on {} (listen.admin)", config.listen.admin))?;
    let identity = ServerIdentity::new(credentials.key())?;
    let endpoint = Endpoint::bind(config.listen.quic, identity, AdmissionLimits::default())
        .with_context(|| format!("cannot listen on {} (listen.quic)", config.listen.quic))?;
    let (server, writer) = assemble(&config, &credentials, &dir, endpoint.clone())?;
    let public = PublicEndpoint {
        host: config.public_host().clone(),
        port: config.public_port(endpoint.local_address()?.port()),
    };
    let documents = Documents::new(&credentials.server_document(&public), users(&server));
    let https = HttpsEdge::bind(config.listen.https, tls, documents)
        .with_context(|| format!("cannot listen on {} (listen.https)", config.listen.https))?;
    let handle: Handle<SocketAddr> = Handle::new();
    let https = tokio::spawn(https.serve(handle.clone()));
    let admin = tokio::spawn(admin::serve(admin, readiness));
    tokio::spawn(accept(Arc::clone(&server), endpoint.clone()));
    workers::start(&server).await?;
    tokio::spawn(report(writer.condition, ready.clone()));
    tracing::info!(server = %server.me(), version = env!("CARGO_PKG_VERSION"), "ready");
    let stopped = stop_signal(writer.ended).await;
    ready.send_replace(Readiness::NotReady("stopping".to_owned()));
    handle.graceful_shutdown(Some(GRACE));
    endpoint
        .close(CloseCode::SHUTDOWN, "the server stops")
        .await;
    https.await??;
    admin.abort();
    stopped
}

/// Opens the database and starts the writer.
fn assemble(
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
    let store = open_store(config, dir)?;
    let wakes = Arc::new(Wakes::default());
    let tails = Arc::new(Tails::new(Arc::clone(&store)));
    let (waking, marking) = (Arc::clone(&wakes), Arc::clone(&tails));
    let wake = move |effects: Vec<entente_homeserver_core::Effect>| {
        for effect in &effects {
            if let entente_homeserver_core::Effect::WakeRoom(room) = effect {
                marking.mark(*room);
            }
        }
        waking.perform(effects);
    };
    let (writer, thread) = Writer::start(Arc::clone(&store), here.clone(), wake)?;
    let testnet = &config.testnet;
    let client = SafeClient::new(Options::load(
        testnet.host_table.as_deref(),
        testnet.extra_ca.as_deref(),
    )?)?;
    let outward = Outward::new(
        (here.clone(), credentials.key_document_id()),
        Arc::clone(&store),
        writer.clone(),
        endpoint,
        Directory::new(client),
        peer_policy(config),
    );
    let server = Server {
        here,
        store,
        writer,
        wakes,
        tails,
        peers: Peers::new(Arc::new(outward)),
        started: now(),
    };
    Ok((Arc::new(server), thread))
}

fn open_store(config: &Config, dir: &DataDir) -> anyhow::Result<Arc<dyn Store>> {
    match config.store.kind {
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
fn users(server: &Arc<Server>) -> Users {
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

/// Takes connections and hands each to its edge.
async fn accept(server: Arc<Server>, endpoint: Endpoint) {
    let clients = ClientEdge {
        calls: client_pipeline(Arc::clone(&server)),
        strangers: Arc::new(Throttle::<IpAddr>::new(
            STRANGER_CALLS_PER_SECOND,
            STRANGER_CALLS_BURST,
        )),
        server: Arc::clone(&server),
    };
    let peers = PeerEdge {
        calls: peer_pipeline(Arc::clone(&server)),
        server,
    };
    while let Some(connection) = endpoint.accept().await {
        match connection.link() {
            Link::Client => tokio::spawn(client_edge::serve(clients.clone(), connection)),
            Link::Federation => tokio::spawn(peer_edge::serve(peers.clone(), connection)),
        };
    }
}

/// Keeps the readiness true: not ready while the database does not take writes.
async fn report(mut condition: watch::Receiver<Condition>, ready: watch::Sender<Readiness>) {
    loop {
        let now = match &*condition.borrow_and_update() {
            Condition::Good => Readiness::Ready,
            Condition::Failing(fault) => Readiness::NotReady(fault.to_string()),
        };
        ready.send_replace(now);
        if condition.changed().await.is_err() {
            return;
        }
    }
}

/// Waits for the end: a signal, or the writer's.
async fn stop_signal(writer_ended: tokio::sync::oneshot::Receiver<()>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = writer_ended => Err(anyhow::anyhow!("the writer stopped; its log says why")),
    }
}
