//! A device hands in an application message.

use entente_homeserver_core::submit::{Known, submit};
use entente_identity::{AccountDid, DeviceId};
use entente_protocol::flow::Submission;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    sender: (AccountDid, DeviceId),
    submission: Submission,
) -> Outcome {
    let me = work.here.me.clone();
    let (id, message_id) = (submission.room, submission.message_id);
    let ordered = work.ordered(id, &me, message_id).await?;
    let room = work.room(&id).await?;
    let member = work.member(id, sender).await?;
    let elsewhere = room.as_ref().is_some_and(|room| room.hub != me);
    let pending = elsewhere && work.pending(id, message_id).await?.is_some();
    let known = Known {
        room: room.as_ref(),
        member: member.as_ref(),
        ordered,
        pending,
        standing: work.standing(&id).await?,
    };
    match submit(&me, known, sender, &submission, work.now) {
        Ok(decision) => Ok(Ok(Answer::Submitted(work.record(decision).await?))),
        Err(code) => refuse(code),
    }
}
