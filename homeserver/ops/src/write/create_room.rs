//! A device founds a room.

use entente_homeserver_core::create_room::CheckedRoom;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(work: &mut Work<'_>, room: CheckedRoom) -> Outcome {
    let me = work.here.me.clone();
    let existing = work.room(&room.room()).await?;
    let ordered = work.ordered(room.room(), &me, room.message_id()).await?;
    match room.found(&me, existing.as_ref(), ordered, work.now) {
        Ok(decision) => Ok(Ok(Answer::Ordered(work.record(decision).await?))),
        Err(code) => refuse(code),
    }
}
