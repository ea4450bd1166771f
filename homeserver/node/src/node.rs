//! Runs the server: binds its addresses, starts its parts, waits for the end, stops them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use entente_identity::Endpoint as PublicEndpoint;
use entente_transport::{CloseCode, Endpoint, Link, ServerIdentity};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{self, Readiness};
use crate::assembly::{assemble, users};
use crate::client_edge::{self, ClientEdge, client_pipeline};
use crate::config::{Config, Limits, StoreKind, Tls};
use crate::connections::Connections;
use crate::credentials::Credentials;
use crate::data_dir::{DataDir, DataDirFault, DataDirLock};
use crate::https::{Documents, HttpsEdge, KeyDocuments, tls_config};
use crate::peer_edge::{self, OfPeers, PeerEdge, peer_pipeline};
use crate::quotas::Quotas;
use crate::server::Server;
use crate::workers;
use crate::writer::{Condition, WriterThread};

/// How long open requests may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// A server that listens and does not answer yet.
struct Bound {
    server: Arc<Server>,
    writer: WriterThread,
    endpoint: Endpoint,
    https: HttpsEdge,
    admin: TcpListener,
}

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// It could not start, or a part that it cannot do without broke.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let dir = DataDir::open(&config.server.data_dir)?;
    let _lock = lock(&dir, config.store.kind)?;
    let bound = bind(&config, &dir).await?;
    let (ready, readiness) = watch::channel(Readiness::NotReady("starting".to_owned()));
    let handle: Handle<SocketAddr> = Handle::new();
    tokio::spawn(reload(config.tls, bound.https.tls()));
    let mut https = tokio::spawn(bound.https.serve(handle.clone()));
    let measures = Arc::clone(&bound.writer.measures);
    let admin = tokio::spawn(admin::serve(bound.admin, readiness, measures));
    let server = Arc::clone(&bound.server);
    let entered = server.nodes.enter(&server.writer).await;
    entered.map_err(|fault| anyhow!("the database does not take this node: {}", fault.detail))?;
    let serving = (Arc::clone(&server), bound.endpoint.clone());
    tokio::spawn(accept(serving, config.limits));
    workers::start(&server, config.node.poll(), config.store.keep()).await?;
    let reporting = tokio::spawn(report(bound.writer.condition, ready.clone()));
    tracing::info!(server = %bound.server.me(), version = env!("CARGO_PKG_VERSION"), "ready");
    let stopped = tokio::select! {
        stopped = stop_signal() => stopped,
        _ = bound.writer.ended => Err(anyhow!("the writer stopped; the log says why")),
        ended = &mut https => return Err(anyhow!("the HTTPS edge ended: {ended:?}")),
    };
    tracing::info!("stopping");
    reporting.abort();
    ready.send_replace(Readiness::NotReady("stopping".to_owned()));
    handle.graceful_shutdown(Some(GRACE));
    server.nodes.leave(&server.writer).await;
    let farewell = "the server stops";
    bound.endpoint.close(CloseCode::SHUTDOWN, farewell).await;
    https.await??;
    admin.abort();
    stopped
}

/// Takes the data folder for this process alone. Nodes on Postgres keep nothing in it but keys, so that
/// they may have it from a file system that cannot be written to, and share it.
fn lock(dir: &DataDir, store: StoreKind) -> Result<Option<DataDirLock>, DataDirFault> {
    match (dir.lock(), store) {
        (Ok(lock), _) => Ok(Some(lock)),
        (Err(fault), StoreKind::Postgres) if fault.is_read_only() => Ok(None),
        (Err(fault), _) => Err(fault),
    }
}

/// Reads all that the configuration names, and binds the addresses.
async fn bind(config: &Config, dir: &DataDir) -> anyhow::Result<Bound> {
    let listen = &config.listen;
    let credentials = Credentials::load(dir, &config.did())?;
    let tls = tls_config(&config.tls)?;
    let admin = admin::bind(listen.admin)
        .await
        .with_context(|| format!("cannot listen on {} (listen.admin)", listen.admin))?;
    let identity = ServerIdentity::new(credentials.key())?;
    let endpoint = Endpoint::bind(listen.quic, identity, config.limits.endpoint())
        .with_context(|| format!("cannot listen on {} (listen.quic)", listen.quic))?;
    let (server, writer) = assemble(config, &credentials, dir, endpoint.clone())?;
    let public = PublicEndpoint {
        host: config.public_host().clone(),
        port: config.public_port(endpoint.local_address()?.port()),
    };
    let document = credentials.server_document(&public);
    let keys = KeyDocuments::new(credentials, public);
    let documents = Documents::new(&document, keys, users(&server));
    let https = HttpsEdge::bind(listen.https, tls, documents)
        .with_context(|| format!("cannot listen on {} (listen.https)", listen.https))?;
    tracing::info!(
        quic = endpoint.local_address()?.port(),
        https = https.address().port(),
        admin = admin.local_addr()?.port(),
        "listening"
    );
    Ok(Bound {
        server,
        writer,
        endpoint,
        https,
        admin,
    })
}

/// Takes connections and hands each to its edge.
pub(crate) async fn accept((server, endpoint): (Arc<Server>, Endpoint), limits: Limits) {
    let quotas = Arc::new(Quotas::new(&limits));
    let most = usize::try_from(limits.connections_per_account.get()).unwrap_or(usize::MAX);
    let too_many = "this account has opened more connections than one account may";
    let clients = ClientEdge {
        calls: client_pipeline(Arc::clone(&server), Arc::clone(&quotas)),
        logged_in: Arc::new(Connections::new(most, too_many)),
        quotas: Arc::clone(&quotas),
        server: Arc::clone(&server),
    };
    let peers = PeerEdge {
        calls: peer_pipeline(Arc::clone(&server), Arc::clone(&quotas)),
        quotas,
        of_peers: OfPeers::default(),
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

/// Waits for SIGINT or SIGTERM.
async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

/// Reads the certificate again on SIGHUP; one that cannot be used leaves the old one in place.
async fn reload(settings: Tls, current: RustlsConfig) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    while hangup.recv().await.is_some() {
        match tls_config(&settings) {
            Ok(config) => {
                current.reload_from_config(config);
                tracing::info!("the HTTPS certificate was read again");
            }
            Err(fault) => tracing::error!(%fault, "the HTTPS certificate stays as it was"),
        }
    }
    Ok(())
}
