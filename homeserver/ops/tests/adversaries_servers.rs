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
    JoinOffer, KeyPackageOrder, KeyPackageRef, KeyPackageUse, Member, RoomId, Suite, Ticket,
};
use entente_homeserver_core::commit::Asker;
use entente_homeserver_core::propose;
use entente_homeserver_ops::read::group::{may_claim, tree_chunk};
use entente_homeserver_ops::read::pull::pull;
use entente_homeserver_ops::{Answer, Command, Store};
use entente_identity::Signed;
use entente_protocol::call::{Proposal, PublishKeyPackages, Pull, RoomAccess, TreeChunkRequest};
use entente_protocol::entry::Seq;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::WelcomeItem;
use entente_protocol::relay::{Item, RelayedSubmission};
use futures::executor::block_on;
use world::{Person, asker, code, server};

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
    for origin in ["org-c", "org-a"] {
        let refused = checked(world, &hub, &by(origin), commit.clone());
        let fault = refused.map(|_| ()).expect_err("refused");
        assert_eq!(fault.code, FaultCode::CommitRefused);
        let says =
            format!("names did:web:org-b.example as its server, it came from did:web:{origin}");
        assert!(fault.detail.contains(&says), "{}", fault.detail);
    }
    // Vouched for by the right server, but as another device's.
    let eve = Asker {
        origin: bob.home.clone(),
        ..asker(&cast.eve.0)
    };
    let refused = checked(world, &hub, &eve, commit.clone()).map(|_| ());
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
    let hub = cast.hub.clone();
    let alice = &cast.alice.0;
    let reply = cast
        .world
        .group_info(&hub, alice, cast.room, RoomAccess::Member)
        .expect("a member");
    let offer = JoinOffer {
        room: cast.room,
        group_info: reply.group_info,
        tree: reply.tree.inline.expect("a small tree"),
        pending: reply.pending,
    };
    let now = cast.world.now;
    // The joiner's own view begins with this tree: it does not know who left before.
    let joined = Member::join_by_ticket(&offer, ticket, &joiner.identity, &joiner.key, now);
    let bundle = joined.expect("a join as far as it sees").1;
    let request = request(&mut cast.world, cast.room, bundle);
    cast.world.commit(&hub, joiner, request).map(|_| ())
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
