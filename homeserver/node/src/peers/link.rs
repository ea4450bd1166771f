//! A link to a peer, as everybody but its worker sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::call::PeerReach;
use entente_protocol::fault::{Fault, FaultCode};
use entente_transport::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::clock::now;

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
    wanted: AtomicBool,
    seen: Notify,
    used: AtomicU64,
}

/// What a link is looked at for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The peer is to learn that this server is there.
    pub(super) poked: bool,
    /// Somebody waits for a connection.
    pub(super) call: bool,
}

/// A link.
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    signal: Arc<Signal>,
}

impl Signal {
    /// Waits for something to look at; says what for. For one taker.
    pub(super) async fn wait(&self) -> Wanted {
        self.changed.notified().await;
        Wanted {
            poked: self.poked.swap(false, Ordering::AcqRel),
            call: self.wanted.swap(false, Ordering::AcqRel),
        }
    }

    /// Waits until the peer shows that it is there.
    pub(super) async fn seen(&self) {
        self.seen.notified().await;
    }

    /// How often a connection was asked for so far.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Link {
    pub(super) fn new(state: watch::Receiver<LinkState>, signal: Arc<Signal>) -> Self {
        Self { state, signal }
    }

    /// More is owed, or somebody else drives the link.
    pub(super) fn wake(&self) {
        self.signal.changed.notify_one();
    }

    /// The peer is to learn that this server is there.
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
        self.signal.used.fetch_add(1, Ordering::Relaxed);
        let before = {
            let now = state.borrow();
            if let Some(connection) = live(&now) {
                return Ok(connection);
            }
            now.attempts
        };
        self.signal.wanted.store(true, Ordering::Release);
        self.wake();
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

impl Wanted {
    /// Whether anything is wanted.
    pub(super) fn any(self) -> bool {
        self.poked || self.call
    }

    /// Wants more.
    pub(super) fn add(&mut self, more: Self) {
        self.poked |= more.poked;
        self.call |= more.call;
    }
}

/// A dial led to a connection.
pub(super) fn note_success(
    state: &watch::Sender<LinkState>,
    peer: &ServerDid,
    connection: Connection,
) {
    if state.borrow().failing_since.is_some() {
        tracing::info!(%peer, "reachable again");
    }
    state.send_modify(|state| {
        state.connection = Some(connection);
        state.attempts += 1;
        state.failing_since = None;
        state.reason = None;
    });
}

/// A dial did not lead to a connection.
pub(super) fn note_failure(state: &watch::Sender<LinkState>, peer: &ServerDid, fault: Fault) {
    // The machine forgets its failures when it is poked; the link does not.
    let since = state.borrow().failing_since;
    if since.is_none() {
        tracing::warn!(%peer, reason = %fault.detail, "not reachable; trying again");
    }
    state.send_modify(|state| {
        state.connection = None;
        state.attempts += 1;
        state.failing_since = since.or(Some(now()));
        state.reason = Some(fault);
    });
}

/// The connection, if it is one.
pub(super) fn live(state: &LinkState) -> Option<Connection> {
    let connection = state.connection.as_ref()?;
    connection
        .close_reason()
        .is_none()
        .then(|| connection.clone())
}
