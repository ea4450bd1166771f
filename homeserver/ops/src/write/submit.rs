//! A device hands in an application message.

use entente_homeserver_core::submit::{Known, submit};
use entente_identity::{AccountDid, DeviceId};
use entente_protocol::flow::Submission;

use super::{Outcome, refuse};
use crate::command::{Answer, Command};
use crate::store::StoreFault;
use crate::wanted::Wanted;
use crate::work::Work;

/// Loads what all messages of a batch will ask for.
pub(crate) async fn prepare(work: &mut Work<'_>, commands: &[Command]) -> Result<(), StoreFault> {
    let me = work.here.me.clone();
    let submissions = || {
        commands.iter().filter_map(|command| match command {
            Command::Submit { sender, submission } => Some((sender, submission)),
            _ => None,
        })
    };
    let mut wanted = Wanted::default();
    for ((account, device), submission) in submissions() {
        let room = submission.room;
        wanted.rooms.insert(room);
        wanted.members.insert((room, *account, *device));
        let message = (room, me.clone(), submission.message_id);
        wanted.messages.insert(message);
    }
    work.load(wanted).await?;
    let mut elsewhere = Wanted::default();
    for (_, submission) in submissions() {
        let room = work.room(&submission.room).await?;
        if room.is_some_and(|room| room.hub != me) {
            let key = (submission.room, submission.message_id);
            elsewhere.pending.insert(key);
        }
    }
    work.load(elsewhere).await
}

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
