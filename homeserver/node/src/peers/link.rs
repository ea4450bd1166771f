//! A link to a peer, as everybody but its worker sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use entente_identity::UnixMillis;
use entente_protocol::call::PeerReach;
use entente_protocol::fault::{Fault, FaultCode};
use entente_transport::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long a call waits for a link.
const CALL_WAIT: Duration = Duration::from_secs(10);

/// How a link is.
#[derive(Clone, Default)]
pub(super) struct LinkState {
    /// The greeted connection.
    pub(super) connection: Option<Connection>,
    /// How many dials have ended, well or not.
    pub(super) attempts: u64,
    /// Since when dialling has failed.
    pub(super) failing_since: Option<UnixMillis>,
    /// Why the last dial failed.
    pub(super) reason: Option<Fault>,
}

/// What the worker is told.
#[derive(Default)]
pub(super) struct Signal {
    changed: Notify,
    poked: AtomicBool,
    seen: Notify,
}

/// A link.
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    signal: Arc<Signal>,
}

impl Signal {
    /// Waits for something to look at; says whether a connection is wanted. For one taker.
    pub(super) async fn wait(&self) -> bool {
        self.changed.notified().await;
        self.poked.swap(false, Ordering::AcqRel)
    }

    /// Waits until the peer shows that it is there.
    pub(super) async fn seen(&self) {
        self.seen.notified().await;
    }
}

impl Link {
    pub(super) fn new(state: watch::Receiver<LinkState>, signal: Arc<Signal>) -> Self {
        Self { state, signal }
    }

    /// More is owed.
    pub(super) fn wake(&self) {
        self.signal.changed.notify_one();
    }

    /// A connection is wanted now.
    pub(super) fn poke(&self) {
        self.signal.poked.store(true, Ordering::Release);
        self.wake();
    }

    /// The peer has just shown that it is there.
    pub(super) fn seen(&self) {
        self.signal.seen.notify_one();
        self.poke();
    }

    /// The connection, dialled if need be.
    ///
    /// # Errors
    /// [`FaultCode::PeerUnreachable`], or why the peer is not dealt with.
    pub(super) async fn connection(&self) -> Result<Connection, Fault> {
        let mut state = self.state.clone();
        let before = {
            let now = state.borrow();
            if let Some(connection) = live(&now) {
                return Ok(connection);
            }
            now.attempts
        };
        self.poke();
        let ready = state.wait_for(|state| live(state).is_some() || state.attempts > before);
        let found = match timeout(CALL_WAIT, ready).await {
            Ok(Ok(state)) => live(&state).ok_or_else(|| state.reason.clone()),
            Ok(Err(_)) | Err(_) => Err(None),
        };
        found.map_err(|reason| {
            reason.unwrap_or_else(|| {
                let detail = "the other organization's server does not answer; try again later";
                Fault::new(FaultCode::PeerUnreachable, detail)
            })
        })
    }

    /// How the link is, for people.
    pub(super) fn reach(&self) -> PeerReach {
        let state = self.state.borrow();
        match (live(&state), state.failing_since) {
            (Some(_), _) => PeerReach::Connected,
            (None, Some(since)) => PeerReach::Unreachable { since },
            (None, None) => PeerReach::Idle,
        }
    }
}

fn live(state: &LinkState) -> Option<Connection> {
    let connection = state.connection.as_ref()?;
    connection
        .close_reason()
        .is_none()
        .then(|| connection.clone())
}
