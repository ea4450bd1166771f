//! Rooms: founding, inviting, joining, leaving.

use std::time::Duration;

use entente_client_core::goal::Goal;
use entente_client_core::invite::{Invite, InviteId};
use entente_client_core::person::AccountChange;
use entente_client_core::room::{Member, RoomSummary};
use entente_groups::{InviteRight, Role, RoomId};
use entente_identity::Handle;
use entente_protocol::call::{ClaimKeyPackage, ClientRequest, ClientResponse, HubCall};
use entente_protocol::entry::Seq;
use entente_protocol::equivocation::Equivocation;
use entente_vault::{GoalFate, NewRoom, VaultError};

use super::people::Person;
use super::{CHANGE_LIMIT, Client, settle};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::home::{call, misbehaved};

/// Fewest digits of an id by which a room may be named.
const MIN_ID_DIGITS: usize = 4;
/// How long a call may wait for the connection.
const ONLINE_LIMIT: Duration = Duration::from_secs(10);

impl Client {
    /// Founds a room with the own homeserver as its hub.
    ///
    /// # Errors
    /// The homeserver says no, or cannot be reached in time; it is then founded later.
    pub async fn create_room(&self, new: NewRoom) -> Result<RoomId> {
        let (room, goal) = self
            .vault()
            .run(move |vault, moment| vault.found_room(&new, moment))
            .await?;
        self.reach(goal, "founding the room").await?;
        Ok(room)
    }

    /// The proof that a room's hub showed two histories, if there is one.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn equivocation(&self, room: RoomId) -> Result<Option<Equivocation>> {
        let look = move |vault: &mut entente_vault::Vault| vault.equivocation(&room);
        self.vault().look(look).await
    }

    /// The room that a text names: an id, the beginning of one, or a name.
    ///
    /// # Errors
    /// None, or several.
    pub async fn find_room(&self, text: &str) -> Result<RoomId> {
        let rooms = self.rooms().await?;
        let one = |found: Vec<&RoomSummary>| match found.as_slice() {
            [] => None,
            [room] => Some(Ok(room.id)),
            _ => Some(Err(Error::AmbiguousRoom(text.to_owned()))),
        };
        let named: Vec<_> = rooms.iter().filter(|room| room.name == text).collect();
        let current: Vec<_> = named
            .iter()
            .copied()
            .filter(|r| !r.state.is_over())
            .collect();
        let by_id = || {
            let prefix = text.len() >= MIN_ID_DIGITS;
            let matches = |room: &&RoomSummary| prefix && room.id.to_string().starts_with(text);
            one(rooms.iter().filter(matches).collect())
        };
        one(current)
            .or_else(|| one(named))
            .or_else(by_id)
            .unwrap_or_else(|| Err(Error::NoSuchRoom(text.to_owned())))
    }

    /// All rooms of the profile.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>> {
        self.vault().look(|vault| vault.rooms()).await
    }

    /// One room.
    ///
    /// # Errors
    /// No such room.
    pub async fn room(&self, room: RoomId) -> Result<RoomSummary> {
        self.vault().look(move |vault| vault.room(&room)).await
    }

    /// Who is in a room. Handles that were only claimed so far are looked up if that goes quickly.
    ///
    /// # Errors
    /// No such room.
    pub async fn members(&self, room: RoomId) -> Result<Vec<Member>> {
        if self.shared().session.borrow().is_some() {
            self.confirm_handles(room).await?;
        }
        self.vault().look(move |vault| vault.members(&room)).await
    }

    /// Invites somebody by a sealed ticket; it works while both are offline.
    ///
    /// # Errors
    /// Nobody of that handle, no right to invite, or the homeserver says no.
    pub async fn invite(&self, room: RoomId, handle: &Handle) -> Result<Person> {
        let account = self.meet(handle, AccountChange::Refuse).await?;
        let person = Person::of(&account);
        let invite = self
            .vault()
            .run(move |vault, moment| vault.invite(&room, &account, moment))
            .await?;
        self.connect();
        let fate = self.wait_until(CHANGE_LIMIT, move |vault| {
            match vault.sent_invite_fate(invite)? {
                GoalFate::Open(_) => Ok(None),
                over => Ok(Some(over)),
            }
        });
        settle(fate.await?, "handing the invitation over")?;
        Ok(person)
    }

    /// Adds somebody at once, by a KeyPackage that its homeserver holds.
    ///
    /// # Errors
    /// Nobody of that handle, no KeyPackage, no right to add, or a server says no.
    pub async fn add(&self, room: RoomId, handle: &Handle) -> Result<Person> {
        let account = self.meet(handle, AccountChange::Refuse).await?;
        let person = Person::of(&account);
        let summary = self.room(room).await?;
        let connection = self.live_connection(ONLINE_LIMIT).await?;
        let request = ClientRequest::ClaimKeyPackage(HubCall {
            hub: summary.hub,
            request: ClaimKeyPackage {
                room,
                account: person.account,
                home: person.home.clone(),
                suite: summary.suite,
            },
        });
        let ClientResponse::KeyPackage(claimed) = call(&connection, &request).await? else {
            return Err(misbehaved());
        };
        let added = self
            .vault()
            .run(move |vault, moment| vault.add(&room, &account, &claimed.key_package, moment));
        self.reach(added.await?, "adding somebody").await?;
        Ok(person)
    }

    /// Invitations that wait for an answer.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn invites(&self) -> Result<Vec<Invite>> {
        self.vault().look(|vault| vault.open_invites(now())).await
    }

    /// Accepts an invitation.
    ///
    /// # Errors
    /// No such invitation, or the room's hub does not let this account in.
    pub async fn join(&self, invite: InviteId) -> Result<RoomId> {
        let (room, goal) = self
            .vault()
            .run(move |vault, moment| vault.accept_invite(invite, moment))
            .await?;
        self.reach(goal, "joining the room").await?;
        Ok(room)
    }

    /// Declines an invitation; nobody is told.
    ///
    /// # Errors
    /// No such invitation.
    pub async fn decline(&self, invite: InviteId) -> Result<()> {
        self.vault()
            .run(move |vault, moment| vault.decline_invite(invite, moment))
            .await
    }

    /// Leaves a room.
    ///
    /// # Errors
    /// Not a member, or the hub cannot be reached in time; it is then left later.
    pub async fn leave(&self, room: RoomId) -> Result<()> {
        self.pursue(room, Goal::Leave, "leaving the room").await
    }

    /// Removes somebody from a room.
    ///
    /// # Errors
    /// Not in the room, no right to remove, or the hub cannot be reached in time.
    pub async fn remove(&self, room: RoomId, handle: &Handle) -> Result<()> {
        let account = self.member(room, handle).await?;
        self.pursue(room, Goal::Remove(account), "removing somebody")
            .await
    }

    /// Comes back into a room whose state was lost on this device.
    ///
    /// # Errors
    /// Not a member any more, or the hub cannot be reached in time.
    pub async fn resync(&self, room: RoomId) -> Result<()> {
        self.pursue(room, Goal::Resync, "coming back into the room")
            .await
    }

    /// Gives somebody another role in a room.
    ///
    /// # Errors
    /// Not in the room, no right to do so, or the hub cannot be reached in time.
    pub async fn set_role(&self, room: RoomId, handle: &Handle, role: Role) -> Result<()> {
        let account = self.member(room, handle).await?;
        let goal = match role {
            Role::Admin => Goal::MakeAdmin(account),
            Role::Member => Goal::MakeMember(account),
        };
        self.pursue(room, goal, "changing a role").await
    }

    /// Changes who may invite into a room.
    ///
    /// # Errors
    /// No right to do so, or the hub cannot be reached in time.
    pub async fn set_invite_right(&self, room: RoomId, right: InviteRight) -> Result<()> {
        let goal = Goal::SetInvite(right);
        self.pursue(room, goal, "changing who may invite").await
    }

    /// Gives a room another name and topic.
    ///
    /// # Errors
    /// Not a member.
    pub async fn rename(&self, room: RoomId, name: &str, topic: &str) -> Result<()> {
        let (name, topic) = (name.to_owned(), topic.to_owned());
        self.vault()
            .run(move |vault, moment| vault.rename(&room, &name, &topic, moment))
            .await
            .map(|_| ())
    }

    /// Everything in a room so far has been shown to the person.
    ///
    /// # Errors
    /// No such room.
    pub async fn mark_read(&self, room: RoomId) -> Result<()> {
        self.vault()
            .run(move |vault, moment| vault.mark_read(&room, moment))
            .await
    }

    /// Everything in a room up to a position of its log has been shown to the person.
    ///
    /// # Errors
    /// No such room.
    pub async fn mark_read_to(&self, room: RoomId, seq: Seq) -> Result<()> {
        self.vault()
            .run(move |vault, moment| vault.mark_read_to(&room, seq, moment))
            .await
    }

    async fn pursue(&self, room: RoomId, goal: Goal, what: &str) -> Result<()> {
        let wanted = self
            .vault()
            .run(move |vault, moment| vault.want(&room, &goal, moment))
            .await?;
        self.reach(wanted, what).await
    }

    async fn member(&self, room: RoomId, handle: &Handle) -> Result<entente_identity::AccountDid> {
        let wanted = handle.clone();
        let found = self
            .vault()
            .look(move |vault| vault.member_by_handle(&room, &wanted))
            .await?;
        match found {
            Some(account) => Ok(account),
            None => {
                let person = self.resolve(handle).await?;
                Err(VaultError::NotInRoom(person.account).into())
            }
        }
    }
}
