//! Newcomers: how many handshakes may be under way, who has to prove its address first, and when
//! nobody is let in.
//!
//! A stranger costs nothing lasting until its address is proven: beyond a few handshakes under way, in
//! all or of its address, it gets a Retry packet (RFC 9000 §8.1.2), which holds no memory here. Where
//! places are short, newcomers wait a moment before they are refused, so that a crowd of honest ones
//! gets in.

mod visitors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use crate::address_block::AddressBlock;
use crate::close::{CloseCode, CloseReason};
use crate::connection::Connection;
use crate::limits::{AdmissionLimits, HANDSHAKE_LIMIT};
use crate::memory::Memory;
use visitors::{TurnedAway, Visit, Visitors};

/// How long a newcomer waits for a place before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);
/// Newcomers of one address that are not trusted yet from which on the next has to prove it.
const UNPROVEN_PER_ADDRESS: usize = 8;

/// The door of one endpoint.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    half_open: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    visitors: Arc<Visitors>,
    retried: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// What happened at the door so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmissionCounts {
    /// Newcomers sent back to prove their address.
    pub retried: u64,
    /// Newcomers refused because too much was going on, in all or from their address.
    pub refused: u64,
    /// Handshakes that failed or broke the rules.
    pub failed: u64,
}

/// A stranger's place, in all and among those of its address, until it is trusted or gone.
#[derive(Debug)]
pub(crate) struct StrangerPlace {
    _of_all: OwnedSemaphorePermit,
    _of_address: OwnedSemaphorePermit,
    _visit: Visit,
}

impl Admission {
    pub(crate) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            half_open: Arc::new(Semaphore::new(limits.half_open)),
            strangers: Arc::new(Semaphore::new(limits.strangers)),
            visitors: Arc::new(Visitors::new(&limits)),
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
    fn filter(&self, incoming: quinn::Incoming, block: AddressBlock) -> Option<quinn::Incoming> {
        let free = self.half_open.available_permits();
        let under_way = self.limits.half_open.saturating_sub(free);
        let crowd = under_way >= self.limits.retry_above
            || self.visitors.inside(block) >= UNPROVEN_PER_ADDRESS;
        if !crowd || incoming.remote_address_validated() {
            return Some(incoming);
        }
        self.retried.fetch_add(1, Ordering::Relaxed);
        incoming
            .retry()
            .expect("an unproven address may be retried");
        None
    }

    /// Waits for the places that a newcomer takes: among the strangers of its address, among the
    /// handshakes, and among all strangers.
    async fn places(&self, visit: Visit) -> Option<(OwnedSemaphorePermit, StrangerPlace)> {
        let all = async {
            let of_address = visit.place().await;
            let half_open = Arc::clone(&self.half_open).acquire_owned().await;
            let of_all = Arc::clone(&self.strangers).acquire_owned().await;
            let [half_open, of_all] = [half_open, of_all].map(|place| place.expect("never closed"));
            (of_address, half_open, of_all)
        };
        let (of_address, half_open, of_all) = timeout(PATIENCE, all).await.ok()?;
        let place = StrangerPlace {
            _of_all: of_all,
            _of_address: of_address,
            _visit: visit,
        };
        Some((half_open, place))
    }

    /// Takes one newcomer through its handshake.
    async fn welcome(
        &self,
        incoming: quinn::Incoming,
        visit: Visit,
        (accepted, memory): (mpsc::Sender<Connection>, Arc<Memory>),
    ) {
        let Some((half_open, place)) = self.places(visit).await else {
            return self.refuse(incoming, "no place for a newcomer");
        };
        let address = incoming.remote_address();
        let connection = match handshake(incoming, place, memory).await {
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

    fn refuse(&self, incoming: quinn::Incoming, reason: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(address = %incoming.remote_address(), reason, "a newcomer is refused");
        incoming.refuse();
    }
}

/// Lets newcomers in until the endpoint closes.
pub(crate) async fn run(
    quic: quinn::Endpoint,
    admission: Arc<Admission>,
    accepted: mpsc::Sender<Connection>,
    memory: Arc<Memory>,
) {
    while let Some(incoming) = quic.accept().await {
        let block = AddressBlock::of(incoming.remote_address().ip());
        let Some(incoming) = admission.filter(incoming, block) else {
            continue;
        };
        if quic.open_connections() >= admission.limits.connections {
            admission.refuse(incoming, "too many connections");
            continue;
        }
        let visit = match admission.visitors.enter(block) {
            Ok(visit) => visit,
            Err(TurnedAway::Crowd) => {
                admission.refuse(incoming, "too many newcomers of its address");
                continue;
            }
            Err(TurnedAway::Haste) => {
                admission.refuse(incoming, "too many handshakes of its address");
                continue;
            }
        };
        let admission = Arc::clone(&admission);
        let into = (accepted.clone(), Arc::clone(&memory));
        tokio::spawn(async move { admission.welcome(incoming, visit, into).await });
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
    place: StrangerPlace,
    memory: Arc<Memory>,
) -> Result<Connection, Rejection> {
    let ended = |error: quinn::ConnectionError| Rejection::Ended(error.into());
    let connecting = incoming.accept().map_err(ended)?;
    let quic = timeout(HANDSHAKE_LIMIT, connecting).await;
    let quic = quic.map_err(|_| Rejection::TooSlow)?.map_err(ended)?;
    Connection::accepted(quic, place, memory).map_err(Rejection::Rules)
}
