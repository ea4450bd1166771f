//! Two and three organizations in one room, with real MLS, over stores in memory.

mod world;

use entente_groups::{JoinOffer, Member, RoomId, WelcomeOffer};
use entente_homeserver_core::rows::Claimant;
use entente_homeserver_core::submit::Submitted;
use entente_homeserver_ops::read::pull::pull;
use entente_homeserver_ops::read::{group, outbox, sync};
use entente_homeserver_ops::{Answer, Command, Store};
use entente_identity::ServerDid;
use entente_protocol::call::{CommitRequest, Proposal, Pull, RoomAccess, TreeChunkRequest};
use entente_protocol::entry::{Head, Seq};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::DeviceItem;
use entente_protocol::limits::TICKET_LIFETIME_MS;
use entente_protocol::relay::{Batch, RelayReply};
use futures::executor::block_on;
use world::{Person, Seat, World, asker, code, is_ordered, server};

/// Joins by a ticket of `inviter`.
fn join(world: &mut World, room: RoomId, inviter: (&Person, &Seat), joiner: &Person) -> Seat {
    let hub = inviter.0.home.clone();
    let ticket = inviter
        .1
        .member
        .issue_ticket(
            joiner.account,
            1,
            TICKET_LIFETIME_MS,
            world.now,
            &inviter.0.key,
        )
        .expect("a ticket");
    let access = RoomAccess::Ticket(Box::new(ticket.clone()));
    let reply = world
        .group_info(&hub, joiner, room, access)
        .expect("the ticket opens the room");
    let offer = JoinOffer {
        room,
        group_info: reply.group_info,
        tree: reply.tree.inline.expect("a small tree"),
        pending: reply.pending,
    };
    let (member, bundle) =
        Member::join_by_ticket(&offer, &ticket, &joiner.identity, &joiner.key, world.now)
            .expect("a join");
    let request = CommitRequest {
        room,
        message_id: world.message_id(),
        bundle,
    };
    let ordered = world
        .commit(&hub, joiner, request.clone())
        .expect("ordered");
    let again = world
        .commit(&hub, joiner, request)
        .expect("the first answer again");
    assert_eq!(again, ordered);
    Seat {
        member,
        at: ordered.at.seq,
        read: Vec::new(),
    }
}

struct Cast {
    world: World,
    room: RoomId,
    alice: (Person, Seat),
    bob: (Person, Seat),
}

fn alice_and_bob() -> Cast {
    let mut world = World::new(&["org-a", "org-b", "org-c"]);
    let alice = world.register("alice@org-a.example");
    let bob = world.register("bob@org-b.example");
    let (room, mut seat) = world.found(&alice);
    let bobs = join(&mut world, room, (&alice, &seat), &bob);
    world.deliver();
    world.read(&alice, &mut seat);
    Cast {
        world,
        room,
        alice: (alice, seat),
        bob: (bob, bobs),
    }
}

#[test]
fn messages_go_both_ways_once_and_in_one_order() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    for n in 0..20 {
        assert!(is_ordered(&world.say(alice, a, &format!("a{n}"))));
        let answer = world.say(bob, b, &format!("b{n}"));
        assert_eq!(answer, Ok(Answer::Submitted(Submitted::Stored)));
        if n % 3 == 0 {
            world.deliver_once();
        }
    }
    world.deliver();
    world.read(alice, a);
    world.read(bob, b);
    let theirs = |seat: &Seat| -> Vec<String> {
        let read = seat.read.iter().filter(|line| !line.starts_with("me "));
        read.cloned().collect()
    };
    let expect = |who: &str| (0..20).map(|n| format!("{who}{n}")).collect::<Vec<_>>();
    assert_eq!(theirs(a), expect("b"));
    assert_eq!(theirs(b), expect("a"));
    let at_a = world.sync(alice, cast.room, Seq(2));
    let at_b = world.sync(bob, cast.room, Seq(2));
    let hashes = |entries: &[entente_protocol::entry::Entry]| {
        entries.iter().map(|e| e.header.hash()).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&at_a), hashes(&at_b));
    assert!(at_b.last().expect("entries").attestation.is_some());
}

#[test]
fn everything_is_delivered_and_both_servers_know() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    world.say(alice, a, "one").expect("ordered");
    world.say(bob, b, "two").expect("stored");
    world.deliver();
    for person in [&*alice, &*bob] {
        let device = (person.account, person.device);
        let mut read = block_on(world.servers[&person.home].store.read()).expect("a view");
        let page = block_on(sync::room_page(&mut *read, device, cast.room, Seq(0)));
        let page = page.expect("a page").expect("a member");
        assert_eq!(page.delivered, page.at, "at {}", person.home);
    }
}

#[test]
fn repeating_a_message_returns_the_first_answer() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let (_, submission) = world.encrypted(alice, a, "once");
    let first = world.submit(alice, submission.clone());
    assert!(is_ordered(&first));
    assert_eq!(world.submit(alice, submission), first);
    let (_, submission) = world.encrypted(bob, b, "once");
    let stored = Ok(Answer::Submitted(Submitted::Stored));
    assert_eq!(world.submit(bob, submission.clone()), stored);
    assert_eq!(world.submit(bob, submission.clone()), stored);
    world.deliver();
    assert!(is_ordered(&world.submit(bob, submission)));
    world.read(alice, a);
    let once = a.read.iter().filter(|line| *line == "once").count();
    assert_eq!(once, 1);
}

#[test]
fn c1_only_the_first_commit_of_an_epoch_is_ordered() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let hub = alice.home.clone();
    let request = |world: &mut World, person: &Person, seat: &mut Seat| CommitRequest {
        room: cast.room,
        message_id: world.message_id(),
        bundle: seat.member.refresh(None, &person.key).expect("a commit"),
    };
    let first = request(world, alice, a);
    let second = request(world, bob, b);
    world.commit(&hub, alice, first).expect("the first wins");
    let refused = world.commit(&hub, bob, second);
    assert_eq!(code(refused), FaultCode::WrongEpoch);
    world.deliver();
    world.read(alice, a);
    world.read(bob, b);
    assert_eq!(
        a.member.epoch_authenticator(),
        b.member.epoch_authenticator()
    );
}

#[test]
fn somebody_is_added_by_a_key_package_of_a_third_organization() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let mut carol = world.register("carol@org-c.example");
    world.publish(&mut carol, 3);
    let claim = Command::Claim {
        claimant: Claimant {
            room: cast.room,
            hub: server("org-a"),
        },
        account: carol.account,
        suite: entente_groups::Suite::Classical,
    };
    let claimed = world.run(&server("org-c"), claim);
    let Ok(Answer::Claimed(package)) = claimed else {
        panic!("nothing claimed: {claimed:?}");
    };
    let add = |world: &mut World, a: &mut Seat| CommitRequest {
        room: cast.room,
        message_id: world.message_id(),
        bundle: a
            .member
            .add(
                std::slice::from_ref(&package.key_package),
                world.now,
                &alice.key,
            )
            .expect("an add"),
    };
    let unclaimed = add(world, a);
    let hub = alice.home.clone();
    let refused = world.commit(&hub, alice, unclaimed);
    assert_eq!(code(refused), FaultCode::CommitRefused);
    a.member.discard_pending().expect("discarded");
    let note = Command::NoteClaim {
        room: cast.room,
        reference: package.reference.clone(),
        home: server("org-c"),
    };
    world.run(&hub, note).expect("noted");
    let request = add(world, a);
    let ordered = world.commit(&hub, alice, request).expect("ordered");
    world.deliver();
    world.read(alice, a);
    world.read(bob, b);
    let mut carols = welcome(world, cast.room, &mut carol, ordered.at.seq);
    world.say(alice, a, "welcome").expect("ordered");
    world.deliver();
    world.read(&carol, &mut carols);
    world.read(bob, b);
    assert_eq!(carols.read, ["welcome"]);
    assert_eq!(b.read, ["welcome"]);
}

fn welcome(world: &mut World, room: RoomId, person: &mut Person, at: Seq) -> Seat {
    let device = (person.account, person.device);
    let mut read = block_on(world.servers[&person.home].store.read()).expect("a view");
    let queue = block_on(sync::queue_page(&mut *read, device, 0)).expect("a queue");
    drop(read);
    let [row] = queue.as_slice() else {
        panic!("one welcome, not {queue:?}");
    };
    let DeviceItem::Welcome(item) = &row.item else {
        panic!("a welcome, not {row:?}");
    };
    let request = TreeChunkRequest {
        room,
        access: RoomAccess::Member,
        epoch: item.epoch,
        hash: item.tree_hash,
        offset: 0,
    };
    let hub = item.hub.clone();
    let mut read = block_on(world.servers[&hub].store.read()).expect("a view");
    let asker = asker(person);
    let chunk = group::tree_chunk(&mut *read, &hub, &asker, &request, world.now);
    let offer = WelcomeOffer {
        room,
        welcome: item.welcome.as_slice().to_vec(),
        tree: block_on(chunk).expect("the tree"),
    };
    let member = Member::join_by_welcome(&offer, &mut person.packages).expect("joined");
    Seat {
        member,
        at,
        read: Vec::new(),
    }
}

#[test]
fn f7_a_removed_member_gets_its_removal_and_nothing_after() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let request = CommitRequest {
        room: cast.room,
        message_id: world.message_id(),
        bundle: a.member.remove(&bob.account, &alice.key).expect("a remove"),
    };
    let hub = alice.home.clone();
    let ordered = world.commit(&hub, alice, request).expect("ordered");
    let (_, late) = world.encrypted(bob, b, "too late");
    world
        .submit(bob, late)
        .expect("stored: org-b does not know yet");
    world.read(alice, a);
    world.say(alice, a, "secret").expect("ordered");
    world.deliver();
    let shown = world.sync(bob, cast.room, b.at);
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].header.seq, ordered.at.seq);
    world.read(bob, b);
    assert!(!b.member.is_active());
    assert!(b.read.iter().all(|line| line != "secret"));
    let org_b = &world.servers[&server("org-b")];
    let mut read = block_on(org_b.store.read()).expect("a view");
    let device = (bob.account, bob.device);
    let queue = block_on(sync::queue_page(&mut *read, device, 0)).expect("a queue");
    let [row] = queue.as_slice() else {
        panic!("one refusal, not {queue:?}");
    };
    let DeviceItem::Refused(refused) = &row.item else {
        panic!("a refusal, not {row:?}");
    };
    assert_eq!(refused.fault_code(), Some(FaultCode::NotMember));
}

#[test]
fn whoever_leaves_is_cut_off_at_once_and_the_next_commit_covers_it() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let hub = alice.home.clone();
    let request = Proposal {
        room: cast.room,
        message_id: world.message_id(),
        proposal: b.member.leave(&bob.key).expect("a proposal"),
    };
    let left = world.leave(&hub, bob, request.clone());
    assert!(matches!(left, Ok(Answer::Ordered(_))), "{left:?}");
    assert_eq!(world.leave(&hub, bob, request), left);
    world.read(alice, a);
    let uncovered = CommitRequest {
        room: cast.room,
        message_id: world.message_id(),
        bundle: a
            .member
            .commit_pending_proposals(&alice.key)
            .expect("a commit"),
    };
    world
        .commit(&hub, alice, uncovered)
        .expect("it covers the leave");
    world.read(alice, a);
    world.say(alice, a, "alone").expect("ordered");
    world.deliver();
    assert_eq!(
        world.sync(bob, cast.room, b.at).len(),
        1,
        "its own leave only"
    );
    let members: Vec<_> = a.member.members().expect("members");
    assert_eq!(members.len(), 1);
}

#[test]
fn c10_a_message_of_an_epoch_too_old_comes_back_to_its_sender() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let hub = alice.home.clone();
    let (id, submission) = world.encrypted(bob, b, "old");
    for _ in 0..4 {
        let request = CommitRequest {
            room: cast.room,
            message_id: world.message_id(),
            bundle: a.member.refresh(None, &alice.key).expect("a commit"),
        };
        world.commit(&hub, alice, request).expect("ordered");
        world.read(alice, a);
    }
    world.submit(bob, submission).expect("stored");
    world.deliver();
    let org_b = &world.servers[&server("org-b")];
    let mut read = block_on(org_b.store.read()).expect("a view");
    let device = (bob.account, bob.device);
    let queue = block_on(sync::queue_page(&mut *read, device, 0)).expect("a queue");
    drop(read);
    let [row] = queue.as_slice() else {
        panic!("one refusal, not {queue:?}");
    };
    let DeviceItem::Refused(refused) = &row.item else {
        panic!("a refusal, not {row:?}");
    };
    assert_eq!(refused.message_id, id);
    assert_eq!(refused.fault_code(), Some(FaultCode::WrongEpoch));
    world.read(bob, b);
    world.say(bob, b, "again").expect("stored");
    world.deliver();
    world.read(alice, a);
    assert_eq!(a.read.last().map(String::as_str), Some("again"));
}

/// Hands over only the last thing that is owed, as if the items before had been lost with a backup.
fn hand_over_last(world: &mut World, from: &ServerDid, to: &ServerDid) -> RelayReply {
    let origin = &world.servers[from];
    let mut read = block_on(origin.store.read()).expect("a view");
    let row = block_on(read.peer(to)).expect("a read").expect("a peer");
    let run = block_on(outbox::next_run(&mut *read, to, row.last_out - 1, 1));
    let run = run.expect("a read").expect("something is owed");
    let signer = ("fed-test", &origin.here.key, world.now);
    let batch = Batch::sign(from, to, (7, run.first), run.items, signer);
    let key = origin.here.key.public();
    drop(read);
    let batch = batch.verify(from, to, &key).expect("as signed");
    let greeted = Command::Greeted {
        peer: from.clone(),
        stream_epoch: 7,
        begins_after: row.last_out - 1,
    };
    world.run(to, greeted).expect("greeted");
    match world.run(to, Command::Receive(batch)) {
        Ok(Answer::Received(reply)) => reply,
        other => panic!("not received: {other:?}"),
    }
}

#[test]
fn d1_a_gap_is_parked_pulled_and_filled() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let (hub, follower) = (alice.home.clone(), bob.home.clone());
    for n in 0..5 {
        world.say(alice, a, &format!("{n}")).expect("ordered");
    }
    let reply = hand_over_last(world, &hub, &follower);
    assert!(
        matches!(reply, RelayReply::Ack { .. }),
        "it is owned: {reply:?}"
    );
    let shown = world.sync(bob, cast.room, b.at).len();
    assert_eq!(shown, 0, "nothing is shown out of order");
    let mut read = block_on(world.servers[&follower].store.read()).expect("a view");
    let parked = block_on(read.parked_count(&hub)).expect("a count");
    assert_eq!(parked, 1);
    let row = block_on(read.room(&cast.room))
        .expect("a read")
        .expect("a room");
    drop(read);
    let request = Pull {
        room: cast.room,
        after: row.head,
        until: Seq(u64::MAX),
    };
    let mut read = block_on(world.servers[&hub].store.read()).expect("a view");
    let stranger = block_on(pull(&mut *read, &server("org-c"), &request));
    assert_eq!(code(stranger), FaultCode::NoSuchRoom);
    let entries = block_on(pull(&mut *read, &follower, &request)).expect("entries");
    drop(read);
    assert_eq!(entries.len(), 5);
    let repair = Command::Repair {
        room: cast.room,
        from: hub.clone(),
        entries,
    };
    let repaired = world.run(&follower, repair);
    assert!(matches!(repaired, Ok(Answer::Repaired(_))), "{repaired:?}");
    world.read(bob, b);
    assert_eq!(b.read, ["0", "1", "2", "3", "4"]);
    let mut read = block_on(world.servers[&follower].store.read()).expect("a view");
    assert_eq!(block_on(read.parked_count(&hub)).expect("a count"), 0);
}

#[test]
fn d1_a_hub_that_shows_one_message_twice_holds_up_nobody() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    world.say(alice, a, "once").expect("ordered");
    world.deliver();
    let entry = world.sync(alice, cast.room, a.at).pop().expect("an entry");
    let head = entry.header.head();
    let mut again = entry.clone();
    again.header.seq = head.seq.next();
    again.header.prev_hash = head.hash;
    let (hub, follower) = (alice.home.clone(), bob.home.clone());
    let repair = Command::Repair {
        room: cast.room,
        from: hub,
        entries: vec![again],
    };
    assert_eq!(
        code(world.run(&follower, repair)),
        FaultCode::PeerMisbehaved
    );
    world.read(bob, b);
    assert_eq!(b.read, ["once"]);
}

const KEEP_MS: u64 = 31 * 24 * 3600 * 1000;

/// Deletes what a server has kept for long enough; gives the first entry that it still has.
fn retain(world: &mut World, at: &ServerDid, room: RoomId) -> Seq {
    let keep_ms = KEEP_MS;
    while world.run(at, Command::Retain { room, keep_ms }) == Ok(Answer::More) {}
    let mut read = block_on(world.servers[at].store.read()).expect("a view");
    let row = block_on(read.retention(&room)).expect("a read");
    row.expect("it was looked at").kept_from
}

#[test]
fn logs_go_back_a_month_and_no_debt_is_forgotten() {
    let mut cast = alice_and_bob();
    let (world, (alice, a), (bob, b)) = (&mut cast.world, &mut cast.alice, &mut cast.bob);
    let (hub, follower, room) = (alice.home.clone(), bob.home.clone(), cast.room);
    for n in 0..5 {
        world.say(alice, a, &format!("{n}")).expect("ordered");
    }
    world.deliver();
    let known = world.sync(bob, room, Seq(0));
    world.say(alice, a, "owed").expect("ordered");
    let first = retain(world, &hub, room);
    assert_eq!(retain(world, &hub, room), first);
    retain(world, &follower, room);
    world.now.0 += KEEP_MS - 1_000;
    assert_eq!(retain(world, &hub, room), first);
    world.now.0 += 1_000;
    let last = known.last().expect("an entry").header.head();
    // The first that is owed to the follower stays, and reaches it.
    assert_eq!(retain(world, &hub, room), Seq(last.seq.0 + 1));
    world.deliver();
    world.read(bob, b);
    assert_eq!(b.read, ["0", "1", "2", "3", "4", "owed"]);
    // The follower's own end then was the last entry that it knew.
    assert_eq!(retain(world, &follower, room), Seq(last.seq.0 + 1));
    let shown = world.sync(bob, room, Seq(0)).len();
    assert_eq!(shown, 1, "what is left is shown");
    let mut read = block_on(world.servers[&hub].store.read()).expect("a view");
    let mut asks = |after| {
        let until = Seq(u64::MAX);
        block_on(pull(&mut *read, &follower, &Pull { room, after, until }))
    };
    assert_eq!(asks(last).expect("what comes after it is there").len(), 1);
    let other = Head {
        hash: known[0].header.hash(),
        ..last
    };
    assert_eq!(code(asks(other)), FaultCode::PeerMisbehaved);
    let before = known[known.len() - 2].header.head();
    assert_eq!(code(asks(before)), FaultCode::Gone);
}
