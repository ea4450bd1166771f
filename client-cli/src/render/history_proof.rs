//! What `room verify` finds: one history, or the proof of two.

use entente_sdk::{Equivocation, EquivocationFault, RoomId, UnixMillis};
use serde::Serialize;

use super::inert;
use super::screen::Fact;

/// What a check of a room's history came to.
#[derive(Debug, Serialize)]
pub struct HistoryFact {
    room_id: String,
    two_histories: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<ProofFact>,
}

/// What a proof shows.
#[derive(Debug, Serialize)]
struct ProofFact {
    hub: String,
    hub_key: String,
    term: u32,
    seq: u64,
    one_sha256: String,
    other_sha256: String,
}

impl HistoryFact {
    /// Nothing is known against the hub.
    #[must_use]
    pub fn one(room: RoomId) -> Self {
        Self {
            room_id: room.to_string(),
            two_histories: false,
            proof: None,
        }
    }

    /// Checks a proof.
    ///
    /// # Errors
    /// It proves nothing.
    pub fn two(proof: &Equivocation) -> Result<Self, EquivocationFault> {
        let shown = proof.verify()?;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            room_id: shown.room.to_string(),
            two_histories: true,
            proof: Some(ProofFact {
                hub: proof.hub.to_string(),
                hub_key: proof.key.to_string(),
                term: shown.one.term.0,
                seq: shown.seq.0,
                one_sha256: hex(&shown.one.hash.0),
                other_sha256: hex(&shown.other.hash.0),
            }),
        })
    }
}

impl Fact for HistoryFact {
    fn text(&self, _now: UnixMillis) -> String {
        let Some(proof) = &self.proof else {
            return "No second history of this room has shown.".to_owned();
        };
        format!(
            "TWO HISTORIES: {hub} signed two different entries for position {seq} of room {room}.\n\
             one    {one}\n\
             other  {other}\n\
             signed with the key {key}\n\
             If that is the key of {hub} (its administrator sees it with `entente-homeserver keys \
             show`), the hub or whoever has its key is not honest.",
            hub = inert::line(&proof.hub),
            seq = proof.seq,
            room = self.room_id,
            one = proof.one_sha256,
            other = proof.other_sha256,
            key = proof.hub_key,
        )
    }
}
