//! At the hub: notes for which room a KeyPackage was claimed.

use entente_groups::{KeyPackageRef, RoomId};
use entente_homeserver_core::key_packages::note_claim;
use entente_identity::ServerDid;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    room: RoomId,
    reference: KeyPackageRef,
    home: ServerDid,
) -> Outcome {
    let decision = note_claim(room, reference, home, work.now);
    work.record(decision).await?;
    Ok(Ok(Answer::Done))
}
