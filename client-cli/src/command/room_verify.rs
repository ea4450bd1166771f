//! `room verify`: whether a room's hub showed two histories, checked without asking anybody.

use std::path::Path;

use entente_sdk::Equivocation;

use crate::args::RoomVerify;
use crate::failure::{Exit, Failure};
use crate::render::history_proof::HistoryFact;
use crate::session::Session;

/// Largest proof that is read from a file, in bytes.
const MAX_PROOF_BYTES: u64 = 8 * 1024 * 1024;

/// Shows what is known, and fails with the code for what does not add up if there are two histories.
pub async fn run(session: &Session<'_>, what: &RoomVerify) -> Result<(), Failure> {
    let proof = match (&what.room, &what.file) {
        (_, Some(file)) => read(file)?,
        (Some(room), None) => {
            let room = session.room(room).await?.id;
            let Some(proof) = session.client.equivocation(room).await? else {
                return session.screen.show(&HistoryFact::one(room));
            };
            proof
        }
        (None, None) => {
            return Err(Failure::new(
                Exit::Usage,
                "name a room, or a proof's --file",
            ));
        }
    };
    let fact = HistoryFact::two(&proof)
        .map_err(|fault| Failure::new(Exit::Integrity, format!("this proves nothing: {fault}")))?;
    if let Some(file) = &what.save {
        let written = std::fs::write(file, proof.to_bytes());
        written.map_err(|error| Failure::io("the proof cannot be written", &error))?;
    }
    session.screen.show(&fact)?;
    let message = "the room's hub showed two histories";
    Err(Failure::new(Exit::Integrity, message))
}

fn read(file: &Path) -> Result<Equivocation, Failure> {
    let failed = |error| Failure::io("the proof cannot be read", &error);
    let size = std::fs::metadata(file).map_err(failed)?.len();
    if size > MAX_PROOF_BYTES {
        let message = format!("{} is too large for a proof", file.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    Equivocation::from_bytes(&bytes).map_err(|fault| {
        let message = format!("{} is no proof: {fault}", file.display());
        Failure::new(Exit::Integrity, message)
    })
}
