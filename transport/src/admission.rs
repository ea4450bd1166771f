//! Newcomers: how many handshakes may be under way, who has to prove its address first, and when
//! nobody is let in.
//!
//! A stranger costs nothing lasting until its address is proven: beyond a few handshakes under way
//! it gets a Retry packet (RFC 9000 §8.1.2), which holds no memory here. Where places are short,
//! newcomers wait a moment before they are refused, so that a crowd of honest ones gets in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use crate::close::{CloseCode, CloseReason};
use crate::connection::Connection;
use crate::limits::{AdmissionLimits, HANDSHAKE_LIMIT};

/// How long a newcomer waits for a place before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);

/// The door of one endpoint.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    half_open: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    retried: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// What happened at the door so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmissionCounts {
    /// Newcomers sent back to prove their address.
    pub retried: u64,
    /// Newcomers refused because too much was going on.
    pub refused: u64,
    /// Handshakes that failed or broke the rules.
    pub failed: u64,
}

impl Admission {
    pub(crate) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            half_open: Arc::new(Semaphore::new(limits.half_open)),
            strangers: Arc::new(Semaphore::new(limits.strangers)),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(crate) fn counts(&self) -> AdmissionCounts {
        AdmissionCounts {
            retried: self.retried.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Sends a newcomer back to prove its address, if there is a crowd and it has not.
    fn filter(&self, incoming: quinn::Incoming) -> Option<quinn::Incoming> {
        let free = self.half_open.available_permits();
        let under_way = self.limits.half_open.saturating_sub(free);
        if under_way < self.limits.retry_above || incoming.remote_address_validated() {
            return Some(incoming);
        }
        self.retried.fetch_add(1, Ordering::Relaxed);
        incoming
            .retry()
            .expect("an unproven address may be retried");
        None
    }

    /// Waits for the two places that a newcomer takes: among the handshakes and among the
    /// strangers.
    async fn places(&self) -> Option<[OwnedSemaphorePermit; 2]> {
        let both = async {
            let half_open = Arc::clone(&self.half_open).acquire_owned().await;
            let stranger = Arc::clone(&self.strangers).acquire_owned().await;
            [half_open, stranger].map(|place| place.expect("never closed"))
        };
        timeout(PATIENCE, both).await.ok()
    }

    /// Takes one newcomer through its handshake.
    async fn welcome(&self, incoming: quinn::Incoming, accepted: mpsc::Sender<Connection>) {
        let Some([half_open, stranger]) = self.places().await else {
            return self.refuse(incoming);
        };
        let address = incoming.remote_address();
        let connection = match handshake(incoming, stranger).await {
            Ok(connection) => connection,
            Err(reason) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%address, %reason, "a newcomer did not get in");
                return;
            }
        };
        let weak = connection.downgrade();
        // A closed receiver means that the endpoint is going away.
        let _ = accepted.send(connection).await;
        drop((accepted, half_open));
        sleep(self.limits.trust_within).await;
        if let Some(stranger) = weak.upgrade().filter(|peer| !peer.is_trusted()) {
            stranger.close(CloseCode::UNAUTHENTICATED, "no login or greeting in time");
        }
    }

    fn refuse(&self, incoming: quinn::Incoming) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(address = %incoming.remote_address(), "no place for a newcomer");
        incoming.refuse();
    }
}

/// Lets newcomers in until the endpoint closes.
pub(crate) async fn run(
    quic: quinn::Endpoint,
    admission: Arc<Admission>,
    accepted: mpsc::Sender<Connection>,
) {
    while let Some(incoming) = quic.accept().await {
        let Some(incoming) = admission.filter(incoming) else {
            continue;
        };
        if quic.open_connections() >= admission.limits.connections {
            admission.refuse(incoming);
            continue;
        }
        let (admission, accepted) = (Arc::clone(&admission), accepted.clone());
        tokio::spawn(async move { admission.welcome(incoming, accepted).await });
    }
}

/// Why a newcomer did not get in.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error("{0}")]
    Ended(CloseReason),
    #[error("too slow")]
    TooSlow,
    #[error("{0}")]
    Rules(CloseCode),
}

async fn handshake(
    incoming: quinn::Incoming,
    stranger: OwnedSemaphorePermit,
) -> Result<Connection, Rejection> {
    let ended = |error: quinn::ConnectionError| Rejection::Ended(error.into());
    let connecting = incoming.accept().map_err(ended)?;
    let quic = timeout(HANDSHAKE_LIMIT, connecting).await;
    let quic = quic.map_err(|_| Rejection::TooSlow)?.map_err(ended)?;
    Connection::accepted(quic, stranger).map_err(Rejection::Rules)
}
