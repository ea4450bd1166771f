//! Newcomers: how many handshakes may be under way, who has to prove its address first, and when
//! nobody is let in.
//!
//! A stranger costs nothing lasting until its address is proven: beyond a few handshakes under way
//! it gets a Retry packet (RFC 9000 §8.1.2), which holds no memory here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::limits::{AdmissionLimits, HANDSHAKE_LIMIT};

/// The door of one endpoint.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    places: Arc<Semaphore>,
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
            places: Arc::new(Semaphore::new(limits.half_open)),
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

    fn under_way(&self) -> usize {
        self.limits.half_open.saturating_sub(self.places.available_permits())
    }

    /// Decides on one newcomer; what comes back may go on with its handshake.
    fn admit(
        &self,
        incoming: quinn::Incoming,
        open_connections: usize,
    ) -> Option<(quinn::Incoming, OwnedSemaphorePermit)> {
        let crowded = self.under_way() >= self.limits.retry_above;
        if crowded && !incoming.remote_address_validated() {
            self.retried.fetch_add(1, Ordering::Relaxed);
            incoming.retry().expect("an unproven address may be retried");
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        match place {
            Ok(place) if open_connections < self.limits.connections => Some((incoming, place)),
            Ok(_) | Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
                None
            }
        }
    }
}

/// Lets newcomers in until the endpoint closes.
pub(crate) async fn run(
    quic: quinn::Endpoint,
    admission: Arc<Admission>,
    accepted: mpsc::Sender<Connection>,
) {
    while let Some(incoming) = quic.accept().await {
        let Some((incoming, place)) = admission.admit(incoming, quic.open_connections()) else {
            continue;
        };
        let (admission, accepted) = (Arc::clone(&admission), accepted.clone());
        tokio::spawn(async move {
            match handshake(incoming).await {
                // A closed receiver means that the endpoint is going away.
                Some(connection) => drop(accepted.send(connection).await),
                None => drop(admission.failed.fetch_add(1, Ordering::Relaxed)),
            }
            drop(place);
        });
    }
}

async fn handshake(incoming: quinn::Incoming) -> Option<Connection> {
    let connecting = incoming.accept().ok()?;
    let quic = timeout(HANDSHAKE_LIMIT, connecting).await.ok()?.ok()?;
    Connection::accepted(quic).ok()
}
