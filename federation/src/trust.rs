//! With which servers this one deals at all.

use std::collections::BTreeSet;

use entente_identity::ServerDid;

/// The operator's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PeerPolicy {
    /// With every server.
    #[default]
    Open,
    /// Only with these.
    Allow(BTreeSet<ServerDid>),
    /// With every server but these.
    Deny(BTreeSet<ServerDid>),
}

impl PeerPolicy {
    /// Whether this server deals with `peer`.
    #[must_use]
    pub fn admits(&self, peer: &ServerDid) -> bool {
        match self {
            Self::Open => true,
            Self::Allow(servers) => servers.contains(peer),
            Self::Deny(servers) => !servers.contains(peer),
        }
    }
}
