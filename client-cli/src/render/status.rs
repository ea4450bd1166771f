//! How the person, the homeserver and its peers are.

use entente_sdk::{ConnectionState, PeerReach, PeerStatus, ServerStatus, Status, UnixMillis};
use serde::Serialize;

use super::event::connection_words;
use super::screen::{BAD, FAINT, Fact, GOOD, STRONG, WARNING};
use super::{inert, moment};

/// How everything is.
#[derive(Debug, Serialize)]
pub struct StatusFact {
    handle: String,
    connection: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    address: Option<String>,
    key_exchange: Option<String>,
    round_trip_ms: Option<f64>,
    outbox: usize,
    unsettled_rooms: Vec<String>,
    problems: Vec<String>,
    server: Option<ServerFact>,
}

/// What came of a `sync`.
#[derive(Debug, Serialize)]
pub struct SyncFact {
    /// Messages of others that were not marked as read.
    pub unread: u64,
    /// Own messages that are still on their way to a room's log.
    pub waiting: usize,
    /// Invitations that wait for an answer.
    pub invites: usize,
}

#[derive(Debug, Serialize)]
struct ServerFact {
    server: String,
    version: String,
    started_ms: u64,
    waiting: u32,
    peers: Vec<PeerFact>,
}

#[derive(Debug, Serialize)]
struct PeerFact {
    server: String,
    reach: &'static str,
    unreachable_since_ms: Option<u64>,
    owed: u64,
}

impl StatusFact {
    /// The status of the person with this handle.
    #[must_use]
    pub fn new(handle: String, status: Status) -> Self {
        let (connection, detail) = connection_words(&status.connection);
        let (address, key_exchange, round_trip_ms) = match &status.connection {
            ConnectionState::Online {
                address,
                key_exchange,
                round_trip,
            } => (
                Some(address.to_string()),
                Some(key_exchange.to_string()),
                Some(round_trip.as_secs_f64() * 1000.0),
            ),
            ConnectionState::Offline
            | ConnectionState::Connecting
            | ConnectionState::Waiting { .. }
            | ConnectionState::Rejected { .. } => (None, None, None),
        };
        let rooms = status.pending_rooms.iter();
        let problems = status
            .problems
            .iter()
            .filter_map(|record| match &record.event {
                entente_sdk::Event::Problem(problem) => Some(problem.text.clone()),
                _ => None,
            });
        Self {
            handle,
            connection,
            detail,
            address,
            key_exchange,
            round_trip_ms,
            outbox: status.outbox.len(),
            unsettled_rooms: rooms
                .map(|room| format!("{} ({})", room.name, room.state.name()))
                .collect(),
            problems: problems.collect(),
            server: status.server.map(ServerFact::from),
        }
    }

    fn connection_text(&self) -> String {
        let detail = self.detail.as_deref().map(inert::line).unwrap_or_default();
        match (&self.address, &self.key_exchange, self.round_trip_ms) {
            (Some(address), Some(group), Some(ms)) => format!(
                "{GOOD}✓ online{GOOD:#} {FAINT}{address}, {group}, {ms:.1} ms round trip{FAINT:#}"
            ),
            _ => format!("{WARNING}{}{WARNING:#} {detail}", self.connection),
        }
    }
}

impl From<ServerStatus> for ServerFact {
    fn from(status: ServerStatus) -> Self {
        Self {
            server: status.server.domain().to_string(),
            version: status.version,
            started_ms: status.started.0,
            waiting: status.waiting,
            peers: status.peers.into_iter().map(PeerFact::from).collect(),
        }
    }
}

impl From<PeerStatus> for PeerFact {
    fn from(peer: PeerStatus) -> Self {
        let (reach, since) = match peer.reach {
            PeerReach::Connected => ("connected", None),
            PeerReach::Idle => ("idle", None),
            PeerReach::Unreachable { since } => ("unreachable", Some(since.0)),
        };
        Self {
            server: peer.server.domain().to_string(),
            reach,
            unreachable_since_ms: since,
            owed: peer.owed,
        }
    }
}

impl Fact for StatusFact {
    fn text(&self, now: UnixMillis) -> String {
        let mut lines = vec![format!(
            "{STRONG}{}{STRONG:#}  {}",
            self.handle,
            self.connection_text()
        )];
        if self.outbox > 0 {
            lines.push(format!(
                "outbox   {WARNING}{} on their way{WARNING:#}",
                self.outbox
            ));
        }
        for room in &self.unsettled_rooms {
            lines.push(format!(
                "room     {WARNING}{}{WARNING:#}",
                inert::line(room)
            ));
        }
        for problem in &self.problems {
            lines.push(format!("problem  {BAD}{}{BAD:#}", inert::line(problem)));
        }
        if let Some(server) = &self.server {
            lines.push(server.text(now));
        }
        lines.join("\n")
    }
}

impl ServerFact {
    fn text(&self, now: UnixMillis) -> String {
        let version = inert::line(&self.version);
        let up = moment::span(now.since(UnixMillis(self.started_ms)));
        let mut lines = vec![format!("server   {} {version}, up for {up}", self.server)];
        lines.extend(self.peers.iter().map(|peer| peer.text(now)));
        lines.join("\n")
    }
}

impl PeerFact {
    fn text(&self, now: UnixMillis) -> String {
        let reach = match self.unreachable_since_ms {
            Some(since) => {
                let ago = moment::ago(UnixMillis(since), now);
                format!("{BAD}unreachable{BAD:#}, since {ago}")
            }
            None => self.reach.to_owned(),
        };
        let owed = match self.owed {
            0 => String::new(),
            owed => format!(", {owed} owed"),
        };
        format!("peer     {} {reach}{owed}", self.server)
    }
}

impl Fact for SyncFact {
    fn text(&self, _: UnixMillis) -> String {
        let mut parts = vec![format!("{} unread", self.unread)];
        if self.invites > 0 {
            parts.push(format!("{} invitations", self.invites));
        }
        if self.waiting > 0 {
            parts.push(format!("{} on their way", self.waiting));
        }
        format!("{GOOD}✓{GOOD:#} up to date: {}", parts.join(", "))
    }
}
