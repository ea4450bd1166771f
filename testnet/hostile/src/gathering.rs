//! A room of three organizations: alice's at the hub, bob's behind it, and a member of a hostile one.

use anyhow::{Result, bail};
use entente_groups::{RoomId, Ticket};
use entente_identity::Signed;
use entente_protocol::call::{
    ClientRequest, CommitRequest, GroupInfoReply, GroupInfoRequest, HubCall, Ordered, PeerRequest,
    PeerResponse, RoomAccess, Vouched,
};
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::flow::{Submission, SubmitOutcome};
use entente_protocol::relay::{Item, RelayedSubmission};

use crate::arena::Arena;
use crate::device::{Device, ordered};
use crate::dice::Dice;
use crate::patience::until;
use crate::peer::{self, Peer, PeerLink};
use crate::person::Person;
use crate::room::{Seat, joining};

/// The room and who is in it.
pub struct Gathering {
    /// Its founder and admin, at org-a.test, which is the hub.
    pub alice: Device,
    /// Her place.
    pub alice_seat: Seat,
    /// A member at org-b.test.
    pub bob: Device,
    /// His place.
    pub bob_seat: Seat,
    /// A member at Mallory's organization.
    pub mole: Person,
    /// The mole's place.
    pub mole_seat: Seat,
    /// The ticket with which the mole came in.
    pub mole_ticket: Signed<Ticket>,
}

impl Gathering {
    /// Founds the room and brings everybody in.
    ///
    /// # Errors
    /// A server does not let somebody in who may come in.
    pub async fn new(arena: &Arena, dice: &mut Dice) -> Result<Self> {
        let alice = arena.newcomer(&arena.a, "alice", dice).await?;
        let bob = arena.newcomer(&arena.b, "bob", dice).await?;
        let mallory = arena.mallory()?;
        let handle = format!("{}@{}", arena.fresh("mole"), mallory.did.domain());
        let mole = Person::new(handle.parse()?, dice);
        let mut alice_seat = alice.found(dice).await?;
        let (hub, room) = (arena.a.did.clone(), alice_seat.room());
        let ticket = alice_seat.ticket(bob.person.account, &alice.person)?;
        let mut bob_seat = bob.join(&hub, room, &ticket, dice).await?;
        let mole_ticket = alice_seat.ticket(mole.account, &alice.person)?;
        let link = mallory.link(&arena.a).await?;
        let mole_seat = join_through(&link, &mole, room, &mole_ticket, dice).await?;
        catch_up(&alice, &mut alice_seat, mole_seat.head.seq).await?;
        catch_up(&bob, &mut bob_seat, mole_seat.head.seq).await?;
        Ok(Self {
            alice,
            alice_seat,
            bob,
            bob_seat,
            mole,
            mole_seat,
            mole_ticket,
        })
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.alice_seat.room()
    }

    /// Alice says something; the position of it.
    ///
    /// # Errors
    /// The hub does not order it.
    pub async fn alice_says(&mut self, text: &str, dice: &mut Dice) -> Result<Seq> {
        let message = self
            .alice_seat
            .encrypt(&self.alice.person, text.as_bytes(), dice)?;
        let mut flow = self.alice.submitting().await?;
        match flow.submit(&self.alice_seat.hub, message).await? {
            SubmitOutcome::Ordered { seq, .. } => Ok(seq),
            other => bail!("alice's message: {other:?}"),
        }
    }

    /// Alice removes the mole from the room; the position of the commit.
    ///
    /// # Errors
    /// The hub does not order it.
    pub async fn alice_removes_the_mole(&mut self, dice: &mut Dice) -> Result<Seq> {
        let head = self.mole_seat.head.seq;
        catch_up(&self.alice, &mut self.alice_seat, head).await?;
        let gone = self.mole.account;
        let request = self.alice_seat.removing(&self.alice.person, &gone, dice)?;
        let ordered = self.alice_commits(request).await?;
        catch_up(&self.alice, &mut self.alice_seat, ordered.at.seq).await?;
        Ok(ordered.at.seq)
    }

    /// Hands a commit of alice's in.
    ///
    /// # Errors
    /// The hub does not order it.
    pub async fn alice_commits(&self, request: CommitRequest) -> Result<Ordered> {
        let hub = self.alice_seat.hub.clone();
        let request = ClientRequest::Commit(HubCall { hub, request });
        ordered(self.alice.link.call(&request).await?)
    }

    /// Wraps something that the mole asks.
    #[must_use]
    pub fn mole_asks<T>(&self, request: T) -> Vouched<T> {
        vouched(&self.mole, request)
    }
}

/// What a person asks, as its home server passes it on.
#[must_use]
pub fn vouched<T>(person: &Person, request: T) -> Vouched<T> {
    Vouched {
        account: person.account,
        device: person.device,
        request,
    }
}

/// A person's message, as its home server relays it.
#[must_use]
pub fn relayed(person: &Person, submission: Submission) -> Item {
    Item::Submission(RelayedSubmission {
        submission,
        account: person.account,
        device: person.device,
    })
}

/// Reads a room's log up to a position.
///
/// # Errors
/// It does not come, or does not hold.
pub async fn catch_up(device: &Device, seat: &mut Seat, to: Seq) -> Result<()> {
    let cursors = vec![(seat.room(), seat.head.seq)];
    let mut inbox = device.inbox(cursors, u64::MAX).await?;
    while seat.head.seq < to {
        let entry = inbox.entry().await?;
        if entry.header.room == seat.room() {
            seat.read(&entry)?;
        }
    }
    Ok(())
}

/// Asks a hub for what joining takes, as a hostile organization for one of its people.
///
/// # Errors
/// As of the call.
pub async fn group_info_through(
    link: &PeerLink,
    person: &Person,
    room: RoomId,
    access: RoomAccess,
) -> Result<GroupInfoReply> {
    let request = vouched(person, GroupInfoRequest { room, access });
    match link.ask(&PeerRequest::GroupInfo(request)).await? {
        PeerResponse::GroupInfo(reply) => Ok(reply),
        other => bail!("another reply: {other:?}"),
    }
}

/// Brings a person of a hostile organization into a room by a ticket.
///
/// # Errors
/// The hub does not let it in.
pub async fn join_through(
    link: &PeerLink,
    person: &Person,
    room: RoomId,
    ticket: &Signed<Ticket>,
    dice: &mut Dice,
) -> Result<Seat> {
    let access = RoomAccess::Ticket(Box::new(ticket.clone()));
    let reply = group_info_through(link, person, room, access).await?;
    let (member, request) = joining(person, room, &reply, ticket, dice)?;
    let request = PeerRequest::Commit(vouched(person, request));
    let ordered = peer::ordered(link.ask(&request).await?)?;
    Ok(Seat {
        member,
        head: ordered.at,
        hub: link.to.clone(),
    })
}

/// The entries of a room that a hostile organization was handed, once `enough` says so.
///
/// # Errors
/// They do not come.
pub async fn handed_over(
    peer: &Peer,
    (hub, room): (&entente_identity::ServerDid, RoomId),
    what: &str,
    enough: impl Fn(&[Entry]) -> bool,
) -> Result<Vec<Entry>> {
    until(what, async || {
        let items = peer.reception.items_from(hub).into_iter();
        let entries = items.filter_map(|item| match item {
            Item::Entry(entry) if entry.header.room == room => Some(entry),
            _ => None,
        });
        let entries: Vec<Entry> = entries.collect();
        Ok(enough(&entries).then_some(entries))
    })
    .await
}
