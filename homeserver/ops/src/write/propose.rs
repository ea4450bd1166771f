//! A checked SelfRemove proposal is ordered.

use entente_homeserver_core::propose::CheckedProposal;
use entente_identity::ServerDid;
use entente_protocol::fault::FaultCode;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    origin: ServerDid,
    proposal: CheckedProposal,
) -> Outcome {
    let me = work.here.me.clone();
    let id = proposal.request().room;
    let message_id = proposal.request().message_id;
    if let Some(ordered) = work.ordered(id, &origin, message_id).await? {
        return Ok(Ok(Answer::Ordered(ordered)));
    }
    let Some(room) = work.room(&id).await? else {
        return refuse(FaultCode::NoSuchRoom);
    };
    let members = work.tx().await?.members(&id).await?;
    match proposal.order(&me, &origin, &room, &members, work.now) {
        Ok(decision) => Ok(Ok(Answer::Ordered(work.record(decision).await?))),
        Err(code) => refuse(code),
    }
}
