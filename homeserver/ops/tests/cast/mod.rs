//! A room of three people at two of three organizations, and what a server may do to it.

use entente_groups::{CommitBundle, JoinOffer, Member, PublicRoom, RoomId, Suite, Ticket};
use entente_homeserver_core::commit::Asker;
use entente_homeserver_core::group_rows;
use entente_homeserver_core::rows::{Claimant, QueuedRow, RoomRow};
use entente_homeserver_ops::read::group::{Checked, check_commit};
use entente_homeserver_ops::read::sync;
use entente_homeserver_ops::{Answer, Command, Page, Store};
use entente_identity::{AccountDid, DeviceId, ServerDid, Signed};
use entente_protocol::call::{ClaimedKeyPackage, CommitRequest, RoomAccess};
use entente_protocol::fault::Fault;
use entente_protocol::flow::Submission;
use entente_protocol::limits::TICKET_LIFETIME_MS;
use entente_protocol::relay::{Batch, Item, RelayReply};
use futures::executor::block_on;

use crate::world::{Person, Seat, World, server};

/// Three organizations; a room of Alice's at the first, with Bob of the second and Eve of the first.
pub struct Cast {
    pub world: World,
    pub room: RoomId,
    pub hub: ServerDid,
    pub alice: (Person, Seat),
    pub bob: (Person, Seat),
    pub eve: (Person, Seat),
}

pub fn cast() -> Cast {
    let mut world = World::new(&["org-a", "org-b", "org-c"]);
    let alice = world.register("alice@org-a.example");
    let bob = world.register("bob@org-b.example");
    let eve = world.register("eve@org-a.example");
    let (room, mut a) = world.found(&alice);
    let mut seats = Vec::new();
    for person in [&bob, &eve] {
        let ticket = ticket(&world, (&alice, &a), person.account);
        let seat = join(&mut world, room, person, &ticket).expect("joins");
        seats.push(seat);
        world.deliver();
        world.read(&alice, &mut a);
    }
    let e = seats.pop().expect("two");
    let mut b = seats.pop().expect("two");
    world.read(&bob, &mut b);
    Cast {
        world,
        room,
        hub: alice.home.clone(),
        alice: (alice, a),
        bob: (bob, b),
        eve: (eve, e),
    }
}

pub fn ticket(
    world: &World,
    (inviter, seat): (&Person, &Seat),
    invitee: AccountDid,
) -> Signed<Ticket> {
    let member = &seat.member;
    member
        .issue_ticket(invitee, 1, TICKET_LIFETIME_MS, world.now, &inviter.key)
        .expect("may invite")
}

pub fn join(
    world: &mut World,
    room: RoomId,
    joiner: &Person,
    ticket: &Signed<Ticket>,
) -> Result<Seat, Fault> {
    let hub = server("org-a");
    let access = RoomAccess::Ticket(Box::new(ticket.clone()));
    let reply = world.group_info(&hub, joiner, room, access)?;
    let offer = JoinOffer {
        room,
        group_info: reply.group_info,
        tree: match reply.tree.inline {
            Some(tree) => tree,
            None => group(world, room).ratchet_tree(),
        },
        pending: reply.pending,
    };
    let (member, bundle) =
        Member::join_by_ticket(&offer, ticket, &joiner.identity, &joiner.key, world.now)
            .expect("a join");
    let request = request(world, room, bundle);
    let ordered = world.commit(&hub, joiner, request)?;
    Ok(Seat {
        member,
        at: ordered.at.seq,
        read: Vec::new(),
    })
}

pub fn request(world: &mut World, room: RoomId, bundle: CommitBundle) -> CommitRequest {
    CommitRequest {
        room,
        message_id: world.message_id(),
        bundle,
    }
}

pub fn room_row(world: &World, at: &ServerDid, room: RoomId) -> RoomRow {
    let mut read = block_on(world.servers[at].store.read()).expect("a view");
    let row = block_on(read.room(&room)).expect("a read");
    row.expect("the room is held here")
}

/// The room's group, as its hub has it.
pub fn group(world: &World, room: RoomId) -> PublicRoom {
    let mut read = block_on(world.servers[&server("org-a")].store.read()).expect("a view");
    let rows = block_on(read.group(&room)).expect("a group");
    group_rows::restore(room, &rows.into_iter().collect()).expect("a group")
}

pub fn queue(world: &World, person: &Person) -> Vec<QueuedRow> {
    let device = (person.account, person.device);
    let mut read = block_on(world.servers[&person.home].store.read()).expect("a view");
    block_on(sync::queue_page(&mut *read, device, 0)).expect("a queue")
}

/// KeyPackages of a person, claimed for the room as its hub notes it.
pub fn claim(
    world: &mut World,
    room: RoomId,
    person: &Person,
    count: usize,
) -> Vec<ClaimedKeyPackage> {
    (0..count)
        .map(|_| {
            let claim = Command::Claim {
                claimant: Claimant {
                    room,
                    hub: server("org-a"),
                },
                account: person.account,
                suite: Suite::Classical,
            };
            let claimed = world.run(&person.home, claim);
            let Ok(Answer::Claimed(package)) = claimed else {
                panic!("nothing claimed: {claimed:?}");
            };
            let note = Command::NoteClaim {
                room,
                reference: package.reference.clone(),
                home: person.home.clone(),
            };
            world.run(&server("org-a"), note).expect("noted");
            package
        })
        .collect()
}

/// Checks a commit at the hub, as a server does before it queues it for the writer.
pub fn checked(
    world: &World,
    hub: &ServerDid,
    asker: &Asker,
    request: CommitRequest,
) -> Result<Command, Fault> {
    let mut read = block_on(world.servers[hub].store.read()).expect("a view");
    match block_on(check_commit(&mut *read, hub, asker, request, world.now))? {
        Checked::Now(bundle) => Ok(Command::Commit {
            origin: asker.origin.clone(),
            bundle,
        }),
        Checked::Before(ordered) => panic!("ordered before: {ordered:?}"),
    }
}

/// A stream of items from one server to another, of the sender's own making.
pub struct Stream {
    pub from: ServerDid,
    pub to: ServerDid,
    pub next: u64,
}

impl Stream {
    const EPOCH: u64 = 1 << 40;

    pub fn open(world: &mut World, from: &str, to: &str) -> Self {
        let stream = Self {
            from: server(from),
            to: server(to),
            next: 1,
        };
        let greeted = Command::Greeted {
            peer: stream.from.clone(),
            stream_epoch: Self::EPOCH,
            begins_after: 0,
        };
        world.run(&stream.to, greeted).expect("greeted");
        stream
    }

    /// Hands an item over; it is taken whatever it says, so that the stream goes on.
    pub fn hand(&mut self, world: &mut World, item: &Item) {
        self.hand_all(world, std::slice::from_ref(item));
    }

    /// Hands a batch over.
    pub fn hand_all(&mut self, world: &mut World, items: &[Item]) {
        let batch = self.batch(world, items);
        let answer = world.run(&self.to, batch);
        let Ok(Answer::Received(RelayReply::Ack { up_to, .. })) = answer else {
            panic!("not taken: {answer:?}");
        };
        assert_eq!(up_to, self.next - 1);
    }

    /// The next batch, as a command to its receiver.
    pub fn batch(&mut self, world: &World, items: &[Item]) -> Command {
        let origin = &world.servers[&self.from];
        let signer = ("fed-test", &origin.here.key, world.now);
        let numbers = (Self::EPOCH, self.next);
        let bytes = items.iter().map(Item::to_bytes).collect();
        let batch = Batch::sign(&self.from, &self.to, numbers, bytes, signer);
        let key = origin.here.key.public();
        let batch = batch.verify(&self.from, &self.to, &key).expect("as signed");
        self.next += items.len() as u64;
        Command::Receive(batch)
    }
}

/// Bob's message, captured by somebody who hands it in elsewhere.
pub fn captured(cast: &mut Cast) -> (Submission, (AccountDid, DeviceId)) {
    let (bob, b) = &mut cast.bob;
    let (_, submission) = cast.world.encrypted(bob, b, "from bob");
    (submission, (bob.account, bob.device))
}

/// How much a server owes another.
pub fn owed(world: &World, from: &str, to: &str) -> usize {
    let mut read = block_on(world.servers[&server(from)].store.read()).expect("a view");
    let page = Page {
        items: 1000,
        bytes: usize::MAX,
    };
    let row = block_on(read.peer(&server(to))).expect("a read");
    let after = row.map_or(0, |row| row.acked);
    let rows = block_on(read.owed(&server(to), after, page)).expect("a read");
    rows.len()
}
