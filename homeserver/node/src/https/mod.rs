//! The HTTPS edge: DID documents for whoever asks, and nothing else.
//!
//! Invariants: only GET and HEAD, without a body; a request that two parsers could read differently is
//! refused; time, size and number of everything are bounded. An unknown user, an unpublished one and a
//! name that cannot exist get the same answer.
//! Absent: HTTP/2, which nobody needs for two small documents.

mod bounded;
mod documents;
mod guard;
mod key_document;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::middleware::{from_fn, map_response};
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

use bounded::BoundedAcceptor;

pub use documents::{Directory, Documents};
pub use key_document::KeyDocuments;
pub use tls::tls_config;

/// Most requests that are answered at once.
const MAX_REQUESTS: usize = 256;
/// Most connections open at once.
const MAX_CONNECTIONS: usize = 1024;
/// Longest time for one request, from its head to its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a request's head to come, also on a connection that is kept open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Most connections open at once from one address block, so that no one takes every place.
const MAX_CONNECTIONS_PER_BLOCK: usize = 256;
/// Longest time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's head; the smallest that hyper takes.
const MAX_HEAD_BYTES: usize = 8192;

/// An HTTPS listener that is bound and not yet serving.
pub struct HttpsEdge {
    listener: TcpListener,
    address: SocketAddr,
    tls: RustlsConfig,
    documents: Documents,
    bounds: Bounds,
}

/// How many clients there may be, and how long each may take.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections at once.
    connections: usize,
    /// Connections at once from one address block.
    per_block: usize,
    /// Time for a TLS handshake.
    handshake: Duration,
    /// Time for a request, from its head to its answer.
    request: Duration,
    /// Time for a request's head to come, also on a connection that is kept open.
    head: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            per_block: MAX_CONNECTIONS_PER_BLOCK,
            handshake: HANDSHAKE_TIMEOUT,
            request: REQUEST_TIMEOUT,
            head: HEAD_TIMEOUT,
        }
    }
}

impl HttpsEdge {
    /// Binds the address.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub fn bind(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        documents: Documents,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            tls: RustlsConfig::from_config(tls),
            documents,
            bounds: Bounds::default(),
        })
    }

    /// The address, with the port that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate in use; exchanging it takes effect for new connections.
    #[must_use]
    pub fn tls(&self) -> RustlsConfig {
        self.tls.clone()
    }

    /// Serves until the handle ends it.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self, handle: Handle<SocketAddr>) -> io::Result<()> {
        let Bounds {
            connections,
            per_block,
            handshake,
            request,
            head,
        } = self.bounds;
        let acceptor = BoundedAcceptor::new(connections, per_block, CONNECTION_LIFE);
        let acceptor = RustlsAcceptor::new(self.tls)
            .handshake_timeout(handshake)
            .acceptor(acceptor);
        let mut server = axum_server::from_tcp(self.listener)?
            .acceptor(acceptor)
            .handle(handle)
            .http1_only();
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        let router = router(self.documents, request);
        server.serve(router.into_make_service()).await
    }
}

fn router(documents: Documents, timeout: Duration) -> Router {
    // What comes first here sees the request first.
    let pipeline = ServiceBuilder::new()
        .layer(map_response(guard::harden))
        .layer(HandleErrorLayer::new(overload))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(MAX_REQUESTS))
        .layer(TimeoutLayer::new(timeout))
        .layer(from_fn(guard::refuse_ambiguous));
    Router::new()
        .route("/.well-known/did.json", get(documents::server))
        .route("/.well-known/entente-key-document", get(documents::keys))
        .route("/u/{local}/did.json", get(documents::user))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(documents::not_found)
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
        .with_state(documents)
        .layer(pipeline)
}

async fn overload(error: BoxError) -> (StatusCode, &'static str) {
    if error.is::<tower::timeout::error::Elapsed>() {
        (StatusCode::SERVICE_UNAVAILABLE, "took too long\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "busy\n")
    }
}

#[cfg(test)]
mod tests;
