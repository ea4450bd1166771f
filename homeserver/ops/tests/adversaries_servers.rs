//! Servers that hand over what is none of their business, and members who ask for what is none of
//! theirs any more.

mod cast;
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod world;

use cast::{
    Cast, Stream, captured, cast, checked, claim, group, join, owed, queue, request, room_row,
    ticket,
};
use entente_groups::{
    CommitBundle, Epoch, JoinOffer, KeyPackageOrder, KeyPackageRef, KeyPackageUse,
    MAX_TICKET_LIFETIME_MS, Member, MessageId, RoomId, Suite, Ticket,
};
use entente_homeserver_core::Change;
use entente_homeserver_core::commit::Asker;
use entente_homeserver_core::propose;
use entente_homeserver_core::rows::{KeyPackageRow, QueuedRow};
use entente_homeserver_ops::read::group::{may_claim, tree_chunk};
use entente_homeserver_ops::read::pull::pull;
use entente_homeserver_ops::{Answer, Command, Page, Store};
use entente_identity::{AccountDid, DeviceId, Signed, SigningKey};
use entente_protocol::call::{Proposal, PublishKeyPackages, Pull, RoomAccess, TreeChunkRequest};
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{InviteItem, Submission, WelcomeItem};
use entente_protocol::limits::{MAX_WAITING_INVITES, MAX_WAITING_INVITES_OF_SERVER};
use entente_protocol::relay::{Item, RelayedSubmission};
use futures::executor::block_on;
use world::{Person, World, asker, code, server};

/// Everything at once.
const ALL: Page = Page {
    items: usize::MAX,
    bytes: usize::MAX,
};

/// A Welcome of Alice's for Carol, as the hub would hand it over to org-c.
fn welcome_for(cast: &mut Cast, carol: &Person) -> WelcomeItem {
    let [package] = &claim(&mut cast.world, cast.room, carol, 1)[..] else {
        panic!("one");
    };
    let (alice, a) = &mut cast.alice;
    let packages = std::slice::from_ref(&package.key_package);
    let bundle = a.member.add(packages, cast.world.now, &alice.key);
    let bundle = bundle.expect("adds");
    WelcomeItem {
        room: cast.room,
        hub: cast.hub.clone(),
        reference: package.reference.clone(),
        welcome: bundle.welcome.expect("a Welcome").into(),
        epoch: a.member.epoch().next(),
        tree_hash: [0; 32],
        tree_bytes: 0,
        at: room_row(&cast.world, &cast.hub, cast.room).head,
    }
}

#[test]
fn c11_a_welcome_for_an_unknown_or_unclaimed_key_package_or_another_room_is_dropped() {
    let mut cast = cast();
    let mut carol = cast.world.register("carol@org-c.example");
    cast.world.publish(&mut carol, 2);
    let good = welcome_for(&mut cast, &carol);
    let unknown = WelcomeItem {
        reference: KeyPackageRef::new(&[9; 32]),
        ..good.clone()
    };
    let other_room = WelcomeItem {
        room: RoomId([9; 32]),
        ..good.clone()
    };
    let order = KeyPackageOrder {
        count: 1,
        suite: Suite::Classical,
        usage: KeyPackageUse::Once,
        now: cast.world.now,
        lifetime_ms: 1_000_000,
    };
    let made = carol.packages.generate(order, &carol.identity, &carol.key);
    let unclaimed = made.expect("made").remove(0);
    let publish = Command::Publish {
        owner: (carol.account, carol.device),
        request: PublishKeyPackages {
            packages: vec![unclaimed.bytes],
        },
    };
    cast.world.run(&carol.home, publish).expect("published");
    let unclaimed = WelcomeItem {
        reference: unclaimed.reference,
        ..good.clone()
    };
    let mut stream = Stream::open(&mut cast.world, "org-a", "org-c");
    for item in [unknown, other_room, unclaimed] {
        stream.hand(&mut cast.world, &Item::Welcome(item));
        assert_eq!(queue(&cast.world, &carol), []);
    }
    // None of them used up what the good one needs.
    stream.hand(&mut cast.world, &Item::Welcome(good.clone()));
    assert_eq!(queue(&cast.world, &carol).len(), 1);
    // A second time it answers nothing any more.
    stream.hand(&mut cast.world, &Item::Welcome(good));
    assert_eq!(queue(&cast.world, &carol).len(), 1);
}

#[test]
fn c12_a_ciphertext_is_ordered_under_the_message_id_that_it_is_bound_to_and_no_other() {
    let mut cast = cast();
    let (submission, _) = captured(&mut cast);
    let before = room_row(&cast.world, &cast.hub, cast.room);
    let renamed = Submission {
        message_id: cast.world.message_id(),
        ..submission.clone()
    };
    let at_home = cast.world.submit(&cast.bob.0, renamed.clone());
    assert_eq!(code(at_home), FaultCode::BadRequest);
    // Bob's server could leave that out.
    let relayed = Item::Submission(RelayedSubmission {
        submission: renamed,
        account: cast.bob.0.account,
        device: cast.bob.0.device,
    });
    let mut stream = Stream::open(&mut cast.world, "org-b", "org-a");
    stream.hand(&mut cast.world, &relayed);
    assert_eq!(room_row(&cast.world, &cast.hub, cast.room), before);
    assert_eq!(owed(&cast.world, "org-a", "org-b"), 1, "the refusal");
}

#[test]
fn f5_a_message_for_which_a_third_server_vouches_is_refused() {
    let mut cast = cast();
    let (submission, (account, device)) = captured(&mut cast);
    let relayed = Item::Submission(RelayedSubmission {
        submission: submission.clone(),
        account,
        device,
    });
    let before = room_row(&cast.world, &cast.hub, cast.room);
    let mut stream = Stream::open(&mut cast.world, "org-c", "org-a");
    stream.hand(&mut cast.world, &relayed);
    assert_eq!(room_row(&cast.world, &cast.hub, cast.room), before);
    // org-c is told that it is refused; from org-b the same bytes are ordered.
    assert_eq!(owed(&cast.world, "org-a", "org-c"), 1);
    let world = &mut cast.world;
    world.submit(&cast.bob.0, submission).expect("stored");
    world.deliver();
    let after = room_row(world, &cast.hub, cast.room);
    assert_eq!(after.head.seq, before.head.seq.next());
    let (alice, a) = &mut cast.alice;
    world.read(alice, a);
    assert_eq!(a.read, ["from bob"]);
}

#[test]
fn f5_a_commit_or_proposal_for_which_a_third_server_vouches_is_refused() {
    let mut cast = cast();
    let (world, hub) = (&mut cast.world, cast.hub.clone());
    let (bob, b) = &mut cast.bob;
    let bundle = b.member.refresh(None, &bob.key).expect("a commit");
    let commit = request(world, cast.room, bundle);
    let by = |origin: &str| Asker {
        origin: server(origin),
        ..asker(bob)
    };
    // Nobody in the room is known as theirs, so they learn no more than that there is nothing for them.
    let eve = Asker {
        origin: bob.home.clone(),
        ..asker(&cast.eve.0)
    };
    for stranger in [by("org-c"), by("org-a"), eve] {
        let refused = checked(world, &hub, &stranger, commit.clone());
        let fault = refused.map(|_| ()).expect_err("refused");
        assert_eq!(fault.code, FaultCode::NoSuchRoom);
    }
    // A member hands in what another member made.
    let alice = asker(&cast.alice.0);
    let refused = checked(world, &hub, &alice, commit.clone()).map(|_| ());
    assert_eq!(refused.expect_err("refused").code, FaultCode::CommitRefused);
    b.member.discard_pending().expect("discarded");
    let leave = Proposal {
        room: cast.room,
        message_id: world.message_id(),
        proposal: b.member.leave(&bob.key).expect("leaves"),
    };
    let group = group(world, cast.room);
    let sender = (bob.account, bob.device);
    let proposal = propose::check(&group, sender, leave.clone()).expect("Bob's own");
    for origin in ["org-c", "org-a"] {
        let propose = Command::Propose {
            origin: server(origin),
            proposal: Box::new(proposal.clone()),
        };
        assert_eq!(code(world.run(&hub, propose)), FaultCode::NotMember);
    }
    let eve = (cast.eve.0.account, cast.eve.0.device);
    assert!(propose::check(&group, eve, leave).is_err());
    let ordered = checked(world, &hub, &by("org-b"), commit).expect("Bob's own");
    assert!(matches!(world.run(&hub, ordered), Ok(Answer::Ordered(_))));
}

/// Everything that somebody who was removed may ask for, and is not given.
fn gets_nothing(cast: &mut Cast, person: &Person, ticket: &Signed<Ticket>, last: Seq) {
    let world = &mut cast.world;
    let shown = world.sync(person, cast.room, Seq(0));
    assert!(shown.iter().all(|entry| entry.header.seq <= last));
    let hub = cast.hub.clone();
    let asked = world.group_info(&hub, person, cast.room, RoomAccess::Member);
    assert_eq!(code(asked), FaultCode::NotMember);
    let by_ticket = RoomAccess::Ticket(Box::new(ticket.clone()));
    let asked = world.group_info(&hub, person, cast.room, by_ticket.clone());
    let fault = asked.expect_err("the ticket is from before");
    assert_eq!(fault.code, FaultCode::TicketRefused);
    assert!(
        fault.detail.contains("before the invitee left"),
        "{}",
        fault.detail
    );
    let row = room_row(world, &hub, cast.room);
    let mut read = block_on(world.servers[&hub].store.read()).expect("a view");
    let epoch = block_on(read.epoch(&cast.room, row.epoch)).expect("a read");
    let hash = epoch.expect("the current epoch").tree_hash;
    let asker = asker(person);
    for access in [RoomAccess::Member, by_ticket] {
        let request = TreeChunkRequest {
            room: cast.room,
            access,
            epoch: row.epoch,
            hash,
            offset: 0,
        };
        let chunk = tree_chunk(&mut *read, &hub, &asker, &request, world.now);
        assert!(block_on(chunk).is_err());
    }
    let claim = may_claim(&mut *read, &hub, &asker, cast.room);
    assert_eq!(code(block_on(claim)), FaultCode::NotMember);
}

/// A join by a ticket, made from what a member sees, whatever the ticket is worth.
fn smuggled(cast: &mut Cast, joiner: &Person, ticket: &Signed<Ticket>) -> Result<(), Fault> {
    let bundle = joining((cast.room, &cast.alice.0), &mut cast.world, joiner, ticket);
    let (room, hub) = (cast.room, cast.hub.clone());
    let request = request(&mut cast.world, room, bundle);
    cast.world.commit(&hub, joiner, request).map(|_| ())
}

/// A join by a ticket, made from what a member of the room sees.
fn joining(
    (room, member): (RoomId, &Person),
    world: &mut World,
    joiner: &Person,
    ticket: &Signed<Ticket>,
) -> CommitBundle {
    let hub = member.home.clone();
    let reply = world.group_info(&hub, member, room, RoomAccess::Member);
    let reply = reply.expect("a member");
    let offer = JoinOffer {
        room,
        group_info: reply.group_info,
        tree: reply.tree.inline.expect("a small tree"),
        pending: reply.pending,
    };
    // The joiner's own view begins with this tree: it does not know who left before.
    let joined = Member::join_by_ticket(&offer, ticket, &joiner.identity, &joiner.key, world.now);
    joined.expect("a join as far as it sees").1
}

#[test]
fn f7_whoever_was_removed_is_served_nothing_more_by_any_server_nor_by_its_old_ticket() {
    for name in ["bob", "eve"] {
        let mut cast = cast();
        let home = if name == "bob" { "org-b" } else { "org-a" };
        let old = cast.world.register(&format!("{name}-too@{home}.example"));
        let invite = ticket(&cast.world, (&cast.alice.0, &cast.alice.1), old.account);
        let mut seat = join(&mut cast.world, cast.room, &old, &invite).expect("joins");
        cast.world.deliver();
        let (alice, a) = &mut cast.alice;
        cast.world.read(alice, a);
        let bundle = a.member.remove(&old.account, &alice.key).expect("an admin");
        let remove = request(&mut cast.world, cast.room, bundle);
        let hub = cast.hub.clone();
        let ordered = cast.world.commit(&hub, alice, remove).expect("ordered");
        cast.world.read(alice, a);
        cast.world.say(alice, a, "a secret").expect("ordered");
        cast.world.deliver();
        gets_nothing(&mut cast, &old, &invite, ordered.at.seq);
        let refused = smuggled(&mut cast, &old, &invite).expect_err("refused");
        assert_eq!(refused.code, FaultCode::CommitRefused);
        assert!(
            refused.detail.contains("before the invitee left"),
            "{}",
            refused.detail
        );
        cast.world.read(&old, &mut seat);
        assert!(!seat.member.is_active());
        assert_eq!(seat.read, [""; 0]);
        // Invited anew, it comes in, and sees nothing of the time between.
        let (alice, a) = (&cast.alice.0, &cast.alice.1);
        let anew = ticket(&cast.world, (alice, a), old.account);
        let back = join(&mut cast.world, cast.room, &old, &anew).expect("joins again");
        cast.world.deliver();
        let shown = cast.world.sync(&old, cast.room, Seq(0));
        assert!(shown.iter().all(|entry| entry.header.seq >= back.at));
    }
}

#[test]
fn f7_a_server_whose_last_member_was_removed_gets_no_entry_after_that() {
    let mut cast = cast();
    let (alice, a) = &mut cast.alice;
    let world = &mut cast.world;
    let bob = &cast.bob.0;
    let bundle = a.member.remove(&bob.account, &alice.key).expect("an admin");
    let remove = request(world, cast.room, bundle);
    let ordered = world.commit(&cast.hub, alice, remove).expect("ordered");
    world.read(alice, a);
    world.say(alice, a, "a secret").expect("ordered");
    world.deliver();
    let followed = room_row(world, &bob.home, cast.room);
    assert_eq!(followed.head, ordered.at, "its removal is the last entry");
    let row = room_row(world, &cast.hub, cast.room);
    assert!(row.followers.is_empty());
    let request = Pull {
        room: cast.room,
        after: followed.head,
        until: Seq(u64::MAX),
    };
    let mut read = block_on(world.servers[&cast.hub].store.read()).expect("a view");
    let pulled = block_on(pull(&mut *read, &bob.home, &request));
    assert_eq!(code(pulled), FaultCode::NoSuchRoom);
    // What it still sends for its user is not ordered.
    drop(read);
    let (submission, _) = captured(&mut cast);
    cast.world.submit(&cast.bob.0, submission).ok();
    cast.world.deliver();
    assert_eq!(room_row(&cast.world, &cast.hub, cast.room).head, row.head);
}

#[test]
fn c11_a_welcome_that_another_server_than_its_hub_hands_over_is_dropped() {
    let mut cast = cast();
    let mut carol = cast.world.register("carol@org-c.example");
    cast.world.publish(&mut carol, 1);
    let good = welcome_for(&mut cast, &carol);
    let mut stranger = Stream::open(&mut cast.world, "org-b", "org-c");
    stranger.hand(&mut cast.world, &Item::Welcome(good.clone()));
    assert_eq!(queue(&cast.world, &carol), []);
    let mut hub = Stream::open(&mut cast.world, "org-a", "org-c");
    hub.hand(&mut cast.world, &Item::Welcome(good));
    assert_eq!(
        queue(&cast.world, &carol).len(),
        1,
        "its KeyPackage was not used up"
    );
}

#[test]
fn c11_a_welcome_of_a_hub_that_did_not_claim_the_key_package_is_dropped() {
    let mut cast = cast();
    let mut carol = cast.world.register("carol@org-c.example");
    cast.world.publish(&mut carol, 1);
    let good = welcome_for(&mut cast, &carol);
    // It knows room and KeyPackage, and says of itself that it is the hub.
    let posing = WelcomeItem {
        hub: server("org-b"),
        ..good.clone()
    };
    let mut stranger = Stream::open(&mut cast.world, "org-b", "org-c");
    stranger.hand(&mut cast.world, &Item::Welcome(posing));
    assert_eq!(queue(&cast.world, &carol), []);
    let mut hub = Stream::open(&mut cast.world, "org-a", "org-c");
    hub.hand(&mut cast.world, &Item::Welcome(good));
    assert_eq!(queue(&cast.world, &carol).len(), 1);
}

#[test]
fn f7_a_server_that_comes_back_gets_nothing_from_before_however_much_it_knows() {
    let mut cast = cast();
    let (alice, a) = &mut cast.alice;
    let (world, bob) = (&mut cast.world, &cast.bob.0);
    let bundle = a.member.remove(&bob.account, &alice.key).expect("an admin");
    let remove = request(world, cast.room, bundle);
    let removed = world.commit(&cast.hub, alice, remove).expect("ordered").at;
    world.read(alice, a);
    world.say(alice, a, "a secret").expect("ordered");
    world.deliver();
    world.now = world.now.after(1);
    let anew = ticket(world, (alice, a), bob.account);
    let back = join(world, cast.room, bob, &anew).expect("joins again");
    let mut read = block_on(world.servers[&cast.hub].store.read()).expect("a view");
    let head = |entry: &Entry| entry.header.head();
    let all = block_on(read.entries(&cast.room, Seq(0), back.at, ALL)).expect("entries");
    let before = all.iter().map(head).take_while(|head| head.seq < back.at);
    for known in before {
        let request = Pull {
            room: cast.room,
            after: known,
            until: Seq(u64::MAX),
        };
        let pulled = block_on(pull(&mut *read, &bob.home, &request)).expect("a member's server");
        let seqs: Vec<Seq> = pulled.iter().map(|entry| entry.header.seq).collect();
        assert_eq!(seqs, [back.at], "after {known:?}, removed by {removed:?}");
    }
}

#[test]
fn f7_a_server_gets_what_was_ordered_while_a_member_was_there_that_left_since() {
    let mut cast = cast();
    let carol = cast.world.register("carol@org-b.example");
    let (alice, a) = &mut cast.alice;
    let (world, bob) = (&mut cast.world, &cast.bob.0);
    let known = room_row(world, &bob.home, cast.room).head;
    world.say(alice, a, "bob is here").expect("ordered");
    let ticket = ticket(world, (alice, a), carol.account);
    join(world, cast.room, &carol, &ticket).expect("joins");
    world.read(alice, a);
    let bundle = a.member.remove(&bob.account, &alice.key).expect("an admin");
    let remove = request(world, cast.room, bundle);
    let removed = world.commit(&cast.hub, alice, remove).expect("ordered").at;
    let request = Pull {
        room: cast.room,
        after: known,
        until: Seq(u64::MAX),
    };
    let mut read = block_on(world.servers[&cast.hub].store.read()).expect("a view");
    let pulled = block_on(pull(&mut *read, &bob.home, &request)).expect("a member's server");
    let seqs: Vec<u64> = pulled.iter().map(|entry| entry.header.seq.0).collect();
    let all: Vec<u64> = (known.seq.0 + 1..=removed.seq.0).collect();
    assert_eq!(seqs, all, "without a gap");
}

/// What somebody is told who asks about a room by a ticket, and who commits by it.
fn by_ticket(
    cast: &mut Cast,
    room: RoomId,
    who: &Person,
    (ticket, joining): (&Signed<Ticket>, &CommitBundle),
) -> [Fault; 4] {
    let hub = cast.hub.clone();
    let access = RoomAccess::Ticket(Box::new(ticket.clone()));
    let world = &mut cast.world;
    let shown = world.group_info(&hub, who, room, access.clone());
    let chunk = TreeChunkRequest {
        room,
        access,
        epoch: Epoch(0),
        hash: [0; 32],
        offset: 0,
    };
    let mut read = block_on(world.servers[&hub].store.read()).expect("a view");
    let asker = asker(who);
    let chunk = tree_chunk(&mut *read, &hub, &asker, &chunk, world.now);
    let chunk = block_on(chunk).map(|_| ());
    drop(read);
    let (alice, a) = &mut cast.alice;
    let of_member = a.member.refresh(None, &alice.key).expect("a commit");
    a.member.discard_pending().expect("discarded");
    let commit = request(world, room, of_member);
    let by_member = world.commit(&hub, who, commit);
    let commit = request(world, room, joining.clone());
    let by_joiner = world.commit(&hub, who, commit);
    [
        shown.map(|_| ()).expect_err("no group"),
        chunk.expect_err("no tree"),
        by_member.map(|_| ()).expect_err("not ordered"),
        by_joiner.map(|_| ()).expect_err("not ordered"),
    ]
}

#[test]
fn f4_no_ticket_but_a_true_one_tells_that_a_room_exists() {
    let mut cast = cast();
    let founder = cast.world.register("mallory@org-a.example");
    let stranger = cast.world.register("trudy@org-b.example");
    let (own_room, own) = cast.world.found(&founder);
    let (inviter, seat) = (&cast.alice.0, &cast.alice.1);
    let for_other = ticket(&cast.world, (inviter, seat), cast.bob.0.account);
    let forged = Ticket {
        room: cast.room,
        ..for_other.claimed_body().expect("a ticket")
    };
    let forged = Ticket {
        invitee: stranger.account,
        ..forged
    };
    let forged = forged.sign(&founder.key, cast.world.now, 1_000_000);
    let of_other_room = ticket(&cast.world, (&founder, &own), stranger.account);
    let place = (own_room, &founder);
    let joining = joining(place, &mut cast.world, &stranger, &of_other_room);
    let unknown = RoomId([0xaa; 32]);
    assert_ne!(own_room, unknown);
    for ticket in [for_other, forged, of_other_room] {
        let room = cast.room;
        let shown = (&ticket, &joining);
        let known = by_ticket(&mut cast, room, &stranger, shown);
        assert_eq!(known, by_ticket(&mut cast, unknown, &stranger, shown));
        assert!(
            known
                .iter()
                .all(|fault| fault.code == FaultCode::NoSuchRoom)
        );
    }
}

#[test]
fn f4_a_follower_does_not_tell_a_stranger_that_it_has_the_room() {
    let mut cast = cast();
    let stranger = cast.world.register("trudy@org-b.example");
    let (inviter, seat) = (&cast.alice.0, &cast.alice.1);
    let invite = ticket(&cast.world, (inviter, seat), stranger.account);
    let follower = &cast.bob.0.home;
    for access in [RoomAccess::Member, RoomAccess::Ticket(Box::new(invite))] {
        let [known, unknown] = [cast.room, RoomId([0xaa; 32])].map(|room| {
            let shown = cast
                .world
                .group_info(follower, &stranger, room, access.clone());
            shown.map(|_| ()).expect_err("it is not the hub")
        });
        assert_eq!(known, unknown);
        assert_eq!(known.code, FaultCode::NoSuchRoom);
    }
}

#[test]
fn f4_who_was_truly_invited_is_told_why_its_ticket_does_not_count() {
    let mut cast = cast();
    let carol = cast.world.register("carol@org-c.example");
    let (inviter, seat) = (&cast.alice.0, &cast.alice.1);
    let invite = ticket(&cast.world, (inviter, seat), carol.account);
    let (room, member) = (cast.room, &cast.alice.0);
    let joining = joining((room, member), &mut cast.world, &carol, &invite);
    cast.world.now = cast.world.now.after(MAX_TICKET_LIFETIME_MS + 1);
    let shown = (&invite, &joining);
    let [shown, chunk, by_member, by_joiner] = by_ticket(&mut cast, room, &carol, shown);
    for fault in [shown, chunk] {
        assert_eq!(fault.code, FaultCode::TicketRefused);
    }
    assert_eq!(
        by_member.code,
        FaultCode::NoSuchRoom,
        "no ticket of its own"
    );
    assert_eq!(by_joiner.code, FaultCode::CommitRefused);
}

#[test]
fn f3_of_10_000_invitations_of_one_server_a_bounded_number_waits_and_keeps_no_other_out() {
    let mut cast = cast();
    let alice = (cast.alice.0.account, cast.alice.0.device);
    let inviters: Vec<AccountDid> = (0..1_000_u16)
        .map(|n| {
            let mut seed = [1; 32];
            seed[..2].copy_from_slice(&n.to_le_bytes());
            AccountDid::new(SigningKey::from_seed(&seed).public())
        })
        .collect();
    let invite = |n: u32| {
        Item::Invite(InviteItem {
            account: alice.0,
            device: alice.1,
            inviter: inviters[n as usize % inviters.len()],
            message_id: MessageId(u128::from(n).to_be_bytes()),
            sealed: vec![7; 40].into(),
        })
    };
    let flood: Vec<Item> = (0..10_000).map(invite).collect();
    let world = &mut cast.world;
    let mut stream = Stream::open(world, "org-b", "org-a");
    for batch in flood.chunks(500) {
        stream.hand_all(world, batch);
    }
    let waiting = queued(world, "org-a", alice);
    assert_eq!(waiting.len(), MAX_WAITING_INVITES_OF_SERVER as usize);
    let mut other = Stream::open(world, "org-c", "org-a");
    other.hand(world, &invite(20_000));
    assert_eq!(queued(world, "org-a", alice).len(), waiting.len() + 1);
    // However many servers there are, the rows are bounded.
    for name in ["org-d", "org-e", "org-f", "org-g", "org-h"] {
        world.add_server(name);
        let mut stream = Stream::open(world, name, "org-a");
        for batch in flood[..1_500].chunks(500) {
            stream.hand_all(world, batch);
        }
    }
    let all = queued(world, "org-a", alice);
    assert_eq!(all.len(), MAX_WAITING_INVITES as usize);
    // What the device took makes room, also within the same transaction.
    let acknowledge = Command::AcknowledgeQueue {
        device: alice,
        up_to: waiting.last().expect("many").number,
    };
    let one_too_many = stream.batch(world, &[invite(30_000)]);
    let fits = stream.batch(world, &[invite(30_001)]);
    world.run_all(&server("org-a"), vec![one_too_many, acknowledge, fits]);
    let left = queued(world, "org-a", alice).len();
    assert_eq!(left, all.len() - waiting.len() + 1);
}

/// Makes a KeyPackage of somebody one of last resort.
fn serves_again(world: &World, person: &Person, reference: &KeyPackageRef) {
    let store = &world.servers[&person.home].store;
    block_on(async {
        let mut tx = store.begin().await.expect("a transaction");
        let package = tx.key_package(reference).await.expect("an answer");
        let again = KeyPackageRow {
            usage: KeyPackageUse::LastResort,
            ..package.expect("a KeyPackage")
        };
        let change = Change::PutKeyPackage(again);
        tx.apply(vec![change]).await.expect("applied");
        tx.commit().await.expect("committed");
    });
}

#[test]
fn c11_a_welcome_in_the_name_of_another_hub_is_dropped_whatever_the_key_package() {
    let mut cast = cast();
    let mut carol = cast.world.register("carol@org-c.example");
    cast.world.publish(&mut carol, 1);
    let good = welcome_for(&mut cast, &carol);
    serves_again(&cast.world, &carol, &good.reference);
    let mut stranger = Stream::open(&mut cast.world, "org-b", "org-c");
    stranger.hand(&mut cast.world, &Item::Welcome(good));
    assert_eq!(queue(&cast.world, &carol), []);
}

#[test]
fn f3_welcomes_by_a_key_package_that_serves_again_are_bounded_as_invitations_are() {
    let mut cast = cast();
    let mut carol = cast.world.register("carol@org-c.example");
    cast.world.publish(&mut carol, 1);
    let good = welcome_for(&mut cast, &carol);
    serves_again(&cast.world, &carol, &good.reference);
    let world = &mut cast.world;
    let mut stream = Stream::open(world, "org-a", "org-c");
    let most = MAX_WAITING_INVITES_OF_SERVER as usize;
    for batch in vec![Item::Welcome(good); most + 400].chunks(200) {
        stream.hand_all(world, batch);
    }
    let waiting = queued(world, "org-c", (carol.account, carol.device));
    assert_eq!(waiting.len(), most);
}

/// Everything in a device's queue.
fn queued(world: &World, home: &str, (account, device): (AccountDid, DeviceId)) -> Vec<QueuedRow> {
    let mut read = block_on(world.servers[&server(home)].store.read()).expect("a view");
    block_on(read.queued(&account, &device, 0, ALL)).expect("a queue")
}
