//! `room …` and `invites`.

use entente_sdk::{HandleTrust, Invite, InviteId, NewRoom, Person, RoomId};

use super::room_verify;
use crate::args::{RoomCommand, RoomCreate, RoomJoin, RoomOnly, RoomPerson};
use crate::failure::{Exit, Failure};
use crate::render::room::{Deed, InviteFact, MemberFact, RoomDeed, RoomFact, room_name};
use crate::session::Session;

/// Does what a room command says.
pub async fn run(session: &Session<'_>, command: &RoomCommand) -> Result<(), Failure> {
    match command {
        RoomCommand::Create(what) => create(session, what).await,
        RoomCommand::Invite(who) => invite(session, who).await,
        RoomCommand::Add(who) => add(session, who).await,
        RoomCommand::Join(what) => join(session, what).await,
        RoomCommand::List => list(session).await,
        RoomCommand::Members(which) => members(session, which).await,
        RoomCommand::Leave(which) => leave(session, which).await,
        RoomCommand::Remove(who) => remove(session, who).await,
        RoomCommand::Resync(which) => resync(session, which).await,
        RoomCommand::Verify(what) => room_verify::run(session, what).await,
    }
}

/// Lists the invitations.
pub async fn invites(session: &Session<'_>) -> Result<(), Failure> {
    session.try_catch_up().await;
    verify_inviters(session, &session.client.invites().await?).await;
    let invites = session.client.invites().await?;
    let rows: Vec<InviteFact> = invites.iter().map(InviteFact::from).collect();
    session.screen.table(&rows, "No invitations.")
}

async fn create(session: &Session<'_>, what: &RoomCreate) -> Result<(), Failure> {
    session.catch_up().await?;
    let room = NewRoom {
        name: what.name.clone(),
        topic: what.topic.clone(),
        suite: what.suite.into(),
        invite: what.invite.into(),
    };
    let id = session.client.create_room(room).await?;
    session
        .screen
        .show(&RoomDeed::new(id, &what.name, Deed::Created))
}

async fn invite(session: &Session<'_>, who: &RoomPerson) -> Result<(), Failure> {
    session.catch_up().await?;
    let room = session.room(&who.room).await?;
    let Person { account, .. } = session.client.invite(room.id, &who.handle).await?;
    let deed = Deed::Invited {
        handle: who.handle.to_string(),
        account: account.to_string(),
    };
    session
        .screen
        .show(&RoomDeed::new(room.id, &room.name, deed))
}

async fn add(session: &Session<'_>, who: &RoomPerson) -> Result<(), Failure> {
    session.catch_up().await?;
    let room = session.room(&who.room).await?;
    let Person { account, .. } = session.client.add(room.id, &who.handle).await?;
    session.settle(room.id).await;
    let deed = Deed::Added {
        handle: who.handle.to_string(),
        account: account.to_string(),
    };
    session
        .screen
        .show(&RoomDeed::new(room.id, &room.name, deed))
}

async fn join(session: &Session<'_>, what: &RoomJoin) -> Result<(), Failure> {
    session.catch_up().await?;
    let invites = session.client.invites().await?;
    let invite = chosen(&invites, what.invite.as_deref())?;
    verify_inviters(session, std::slice::from_ref(invite)).await;
    let room = session.client.join(invite.id).await?;
    // Looks up everybody in the room, so that their handles are verified from the first message on.
    session.client.members(room).await?;
    let name = name_of(session, room, &invite.name).await;
    session
        .screen
        .show(&RoomDeed::new(room, &name, Deed::Joined))
}

async fn list(session: &Session<'_>) -> Result<(), Failure> {
    session.try_catch_up().await;
    let rooms = session.client.rooms().await?;
    let rows: Vec<RoomFact> = rooms.into_iter().map(RoomFact::from).collect();
    let nothing = "No rooms yet. Found one: `entente room create NAME`.";
    session.screen.table(&rows, nothing)
}

async fn members(session: &Session<'_>, which: &RoomOnly) -> Result<(), Failure> {
    session.try_catch_up().await;
    let room = session.find_room(&which.room).await?;
    let members = session.client.members(room).await?;
    let rows: Vec<MemberFact> = members.into_iter().map(MemberFact::from).collect();
    session.screen.table(&rows, "Nobody is in this room.")
}

async fn leave(session: &Session<'_>, which: &RoomOnly) -> Result<(), Failure> {
    session.catch_up().await?;
    let room = session.room(&which.room).await?;
    session.client.leave(room.id).await?;
    session
        .screen
        .show(&RoomDeed::new(room.id, &room.name, Deed::Left))
}

async fn remove(session: &Session<'_>, who: &RoomPerson) -> Result<(), Failure> {
    session.catch_up().await?;
    let room = session.room(&who.room).await?;
    session.client.remove(room.id, &who.handle).await?;
    let handle = who.handle.to_string();
    session.screen.show(&RoomDeed::new(
        room.id,
        &room.name,
        Deed::Removed { handle },
    ))
}

async fn resync(session: &Session<'_>, which: &RoomOnly) -> Result<(), Failure> {
    session.catch_up().await?;
    let room = session.room(&which.room).await?;
    session.client.resync(room.id).await?;
    session
        .screen
        .show(&RoomDeed::new(room.id, &room.name, Deed::Resynced))
}

async fn verify_inviters(session: &Session<'_>, invites: &[Invite]) {
    let unverified = invites
        .iter()
        .filter(|invite| invite.inviter_trust == HandleTrust::Claimed);
    session
        .verify(unverified.map(|invite| invite.inviter_handle.clone()))
        .await;
}

/// A room's name as its members gave it, which the invitation may tell before the room does.
async fn name_of(session: &Session<'_>, room: RoomId, invited_to: &str) -> String {
    match session.client.room(room).await {
        Ok(room) if !room.name.is_empty() => room.name,
        Ok(_) | Err(_) => invited_to.to_owned(),
    }
}

/// The invitation that a text names by number, room name or the beginning of the room's id; the only
/// one if no text is given.
fn chosen<'i>(invites: &'i [Invite], text: Option<&str>) -> Result<&'i Invite, Failure> {
    let fitting: Vec<&Invite> = match text {
        None => invites.iter().collect(),
        Some(text) => invites
            .iter()
            .filter(|invite| is_named(invite, text))
            .collect(),
    };
    match fitting[..] {
        [only] => Ok(only),
        [] => {
            let message = match text {
                None => "no invitation waits for you".to_owned(),
                Some(_) => "no such invitation; `entente invites` lists them".to_owned(),
            };
            Err(Failure::new(Exit::NotFound, message))
        }
        _ => {
            let known = fitting.iter().map(|invite| {
                let InviteId(number) = invite.id;
                format!("{number} ({})", room_name(&invite.name))
            });
            let known = known.collect::<Vec<_>>().join(", ");
            let message = format!("which invitation? Name one by its number: {known}");
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

fn is_named(invite: &Invite, text: &str) -> bool {
    /// Shorter beginnings of an id could as well be numbers.
    const MIN_ID_DIGITS: usize = 8;
    let InviteId(number) = invite.id;
    let by_id = text.len() >= MIN_ID_DIGITS && invite.room.to_string().starts_with(text);
    number.to_string() == text || invite.name == text || by_id
}
