//! The admin address: health for the machine's own eyes, in plain HTTP on loopback.
//!
//! `/healthz` answers while the process runs; `/readyz` answers 200 once it takes work and 503 with the
//! reason before and while it cannot; `/metrics` says both to Prometheus, and how writes fare.

mod metrics;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

use crate::clock::now;
use crate::writer::Measures;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the server takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet, or not any more.
    NotReady(String),
    /// It does.
    Ready,
}

/// Binds the admin address.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        tracing::warn!("the admin address is not on loopback: others can see the server's health");
    }
    TcpListener::bind(address).await
}

/// Serves until the process ends.
///
/// # Errors
/// The listener broke.
pub(crate) async fn serve(
    listener: TcpListener,
    ready: watch::Receiver<Readiness>,
    writer: Arc<Measures>,
) -> io::Result<()> {
    let pipeline = ServiceBuilder::new()
        .layer(axum::error_handling::HandleErrorLayer::new(
            |_: BoxError| async { (StatusCode::SERVICE_UNAVAILABLE, "took too long\n") },
        ))
        .layer(TimeoutLayer::new(TIMEOUT));
    let began = now();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(
                async move |State(ready): State<Arc<watch::Receiver<Readiness>>>| {
                    let text = metrics::text(&ready.borrow(), began, &writer);
                    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
                },
            ),
        )
        .layer(pipeline)
        .with_state(Arc::new(ready));
    axum::serve(listener, router).await
}

async fn readyz(State(ready): State<Arc<watch::Receiver<Readiness>>>) -> (StatusCode, String) {
    match &*ready.borrow() {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
