//! A room's hub showed two histories.

use entente_homeserver_core::equivocation;
use entente_protocol::equivocation::{Equivocation, Shown};

use super::Outcome;
use crate::command::Answer;
use crate::store::StoreFault;
use crate::work::Work;

pub(crate) async fn run(work: &mut Work<'_>, proof: Equivocation, shown: Shown) -> Outcome {
    let known = work.room(&shown.room).await?;
    // A proof about another server's signatures says nothing about this room.
    if known.is_some_and(|room| room.hub == proof.hub) {
        record(work, proof, shown).await?;
    }
    Ok(Ok(Answer::Done))
}

/// Freezes a room for a proof about its hub.
pub(super) async fn record(
    work: &mut Work<'_>,
    proof: Equivocation,
    shown: Shown,
) -> Result<(), StoreFault> {
    let standing = work.standing(&shown.room).await?;
    let members = work.tx().await?.members(&shown.room).await?;
    let me = work.here.me.clone();
    let proof = (proof, shown);
    let decision = equivocation::freeze(&me, standing, proof, &members, work.now);
    work.record(decision).await
}
