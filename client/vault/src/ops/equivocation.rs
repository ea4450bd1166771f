//! The proof that a room's hub showed two histories: the room stops, and the proof is kept.

use entente_client_core::event::ProblemKind;
use entente_client_core::room::RoomState;
use entente_groups::RoomId;
use entente_identity::{PublicKey, ServerDid, decode_exact, encode};
use entente_protocol::equivocation::{Equivocation, Shown};
use rusqlite::params;

use crate::columns::{Tls, optional};
use crate::error::VaultError;
use crate::ops::arrive::note_room_state;
use crate::step::Step;
use crate::vault::Vault;

/// Takes a proof that the homeserver handed over. One that does not hold stops nothing.
pub(crate) fn received(step: &mut Step<'_>, proof: &Equivocation) -> Result<(), VaultError> {
    let shown = match checked(step, proof)? {
        Ok(shown) => shown,
        Err(why) => {
            let text = format!("the server handed over a proof of two histories, but {why}");
            let room = proof.claimed_room();
            return step.problem(room, ProblemKind::ServerMisbehaved, &text);
        }
    };
    step.connection.execute(
        "INSERT OR IGNORE INTO equivocation (room, time, proof) VALUES (?1, ?2, ?3)",
        params![shown.room.0, step.now.0, encode(proof)],
    )?;
    if !step.room(&shown.room)?.state.follows_log() {
        return Ok(());
    }
    step.room(&shown.room)?.state = RoomState::Frozen;
    let text = format!(
        "the room is frozen: {} signed two different entries for position {}. `entente room verify` \
         shows the proof; ask the other members what to do",
        proof.hub, shown.seq.0
    );
    step.problem(Some(shown.room), ProblemKind::Forked, &text)?;
    note_room_state(step, &shown.room)
}

/// Checks the signatures, that it is about a room of this device, and about that room's hub.
fn checked(step: &mut Step<'_>, proof: &Equivocation) -> Result<Result<Shown, String>, VaultError> {
    let shown = match proof.verify() {
        Ok(shown) => shown,
        Err(fault) => return Ok(Err(fault.to_string())),
    };
    let Some(row) = step.find_room(&shown.room)? else {
        return Ok(Err("it is of a room that is not known here".to_owned()));
    };
    if row.hub != proof.hub {
        return Ok(Err(format!(
            "it is of {}, not of the room's hub",
            proof.hub
        )));
    }
    let pinned = pinned_keys(step, &proof.hub)?;
    if pinned.is_some_and(|keys| !keys.contains(&proof.key)) {
        return Ok(Err(format!("not with a key of {}", proof.hub)));
    }
    Ok(Ok(shown))
}

fn pinned_keys(step: &Step<'_>, server: &ServerDid) -> Result<Option<Vec<PublicKey>>, VaultError> {
    let sql = "SELECT keys FROM server_pin WHERE server = ?1";
    let mut statement = step.connection.prepare_cached(sql)?;
    let found = statement.query_row([server.to_string()], |row| {
        Ok(row.get::<_, Tls<Vec<PublicKey>>>(0)?.0)
    });
    optional(found)
}

impl Vault {
    /// The proof that a room's hub showed two histories, if there is one.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn equivocation(&mut self, room: &RoomId) -> Result<Option<Equivocation>, VaultError> {
        let sql = "SELECT proof FROM equivocation WHERE room = ?1";
        let found = self
            .connection
            .query_row(sql, [room.0], |row| row.get::<_, Vec<u8>>(0));
        let Some(bytes) = optional(found)? else {
            return Ok(None);
        };
        let proof = decode_exact("equivocation", &bytes);
        proof
            .map(Some)
            .map_err(|_| VaultError::Damaged("a proof of two histories"))
    }
}
