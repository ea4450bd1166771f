//! Puts the server together, runs it, and takes it apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum_server::Handle;
use entente_identity::Endpoint;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{self, Readiness};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::data_dir::DataDir;
use crate::https::{Documents, HttpsEdge, tls_config};
use crate::registration::RegistrationPolicy;

/// How long open requests may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// It could not start, or a listener broke.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let did = config.did();
    let dir = DataDir::open(&config.server.data_dir)?;
    let _lock = dir.lock()?;
    let credentials = Credentials::load(&dir, &did)?;
    let _registration = RegistrationPolicy::load(&config.registration)?;
    let tls = tls_config(&config.tls)?;
    let (ready, readiness) = watch::channel(Readiness::NotReady("starting".to_owned()));
    let admin = admin::bind(config.listen.admin)
        .await
        .with_context(|| format!("cannot listen on {} (listen.admin)", config.listen.admin))?;
    let endpoint = Endpoint {
        host: config.public_host().clone(),
        port: config.public_port(config.listen.quic.port()),
    };
    let documents = Documents::new(
        &credentials.server_document(&endpoint),
        Arc::new(|_| Box::pin(async { Ok(None) })),
    );
    let https = HttpsEdge::bind(config.listen.https, tls, documents)
        .with_context(|| format!("cannot listen on {} (listen.https)", config.listen.https))?;
    let handle: Handle<SocketAddr> = Handle::new();
    let https = tokio::spawn(https.serve(handle.clone()));
    let admin = tokio::spawn(admin::serve(admin, readiness));
    ready.send_replace(Readiness::Ready);
    tracing::info!(server = %did, "ready");
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    ready.send_replace(Readiness::NotReady("stopping".to_owned()));
    handle.graceful_shutdown(Some(GRACE));
    https.await??;
    admin.abort();
    Ok(())
}
