//! Commits and proposals in numbers and in bad faith, against real rules, operations and MLS, over stores
//! in memory.

#[expect(dead_code, reason = "shared with tests that need more of it")]
mod cast;
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod world;

use std::collections::BTreeMap;

use cast::{Cast, cast, checked, claim, join, queue, request, room_row, ticket};
use entente_groups::{
    CommitBundle, KeyPackageRef, Member, MessageId, PublicRoom, RoomId, WelcomeOffer,
};
use entente_homeserver_core::group_rows;
use entente_homeserver_core::propose::{self, CheckedProposal};
use entente_homeserver_ops::{Answer, Command, Store, execute};
use entente_identity::{ServerDid, SigningKey};
use entente_protocol::call::{ClaimedKeyPackage, Proposal, RoomAccess};
use entente_protocol::entry::Seq;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{DeviceItem, WelcomeItem};
use entente_protocol::limits::MAX_PENDING_PROPOSALS;
use futures::executor::block_on;
use world::{Person, Seat, World, asker, code, is_ordered, server};

/// How many commits are made on one epoch.
const COMMITS: usize = 100;

/// One commit of many, with the member that made it.
struct Contender {
    member: Member,
    reference: KeyPackageRef,
}

/// Each of the members adds Carol by another KeyPackage of hers, over and over from the same epoch.
fn contenders(cast: &mut Cast, packages: &[ClaimedKeyPackage]) -> Vec<(Contender, Command)> {
    let world = &mut cast.world;
    let mut makers = Vec::new();
    for (person, seat) in [&mut cast.alice, &mut cast.bob, &mut cast.eve] {
        let rows = seat.member.take_delta().puts;
        makers.push((&*person, rows));
    }
    let makers = makers.iter().cycle();
    let contender = |((person, rows), package): (&(&Person, Vec<_>), &ClaimedKeyPackage)| {
        let mut member = Member::load(cast.room, rows.clone()).expect("own rows");
        let packages = std::slice::from_ref(&package.key_package);
        let bundle = member.add(packages, world.now, &person.key).expect("adds");
        let request = request(world, cast.room, bundle);
        let command = checked(world, &cast.hub, &asker(person), request);
        let made = Contender {
            member,
            reference: package.reference.clone(),
        };
        (made, command.expect("each is good by itself"))
    };
    makers.zip(packages).map(contender).collect()
}

/// Hands all of them to the hub at once, from several threads; gives the place of each with its answer.
fn race(world: &World, hub: &ServerDid, commands: Vec<Command>) -> Vec<Result<Answer, Fault>> {
    const THREADS: usize = 4;
    let (server, now) = (&world.servers[hub], world.now);
    let mut shares: Vec<Vec<(usize, Command)>> = (0..THREADS).map(|_| Vec::new()).collect();
    for (index, command) in commands.into_iter().enumerate() {
        shares[index % THREADS].push((index, command));
    }
    let mut answers = BTreeMap::new();
    std::thread::scope(|scope| {
        let racers: Vec<_> = shares
            .into_iter()
            .map(|share| {
                scope.spawn(move || {
                    let (places, commands): (Vec<_>, Vec<_>) = share.into_iter().unzip();
                    let mut commands = commands.into_iter();
                    let mut answers = Vec::new();
                    // Transactions of one, two, three… commands.
                    for size in 1.. {
                        let batch: Vec<_> = commands.by_ref().take(size).collect();
                        if batch.is_empty() {
                            break;
                        }
                        let executed = execute(&server.store, &server.here, batch, now);
                        answers.extend(block_on(executed).answers);
                    }
                    places.into_iter().zip(answers).collect::<Vec<_>>()
                })
            })
            .collect();
        for racer in racers {
            answers.extend(racer.join().expect("no panic"));
        }
    });
    answers.into_values().collect()
}

#[test]
fn c1_of_100_concurrent_commits_on_one_epoch_one_is_ordered_and_no_losers_welcome_is_delivered() {
    let mut cast = cast();
    let mut carol = cast.world.register("carol@org-c.example");
    cast.world.publish(&mut carol, COMMITS);
    let packages = claim(&mut cast.world, cast.room, &carol, COMMITS);
    let (mut made, commands): (Vec<_>, Vec<_>) =
        contenders(&mut cast, &packages).into_iter().unzip();
    let before = room_row(&cast.world, &cast.hub, cast.room);
    let answers = race(&cast.world, &cast.hub, commands);
    assert_eq!(answers.len(), COMMITS);
    let won = |answer: &Result<Answer, Fault>| matches!(answer, Ok(Answer::Ordered(_)));
    let winner = answers.iter().position(won).expect("somebody wins");
    for (index, answer) in answers.iter().enumerate().filter(|(i, _)| *i != winner) {
        let code = answer.as_ref().map_err(|fault| fault.code);
        assert_eq!(code, Err(FaultCode::WrongEpoch), "commit {index}");
    }
    let after = room_row(&cast.world, &cast.hub, cast.room);
    assert_eq!(after.epoch, before.epoch.next());
    assert_eq!(after.head.seq, before.head.seq.next());
    cast.world.deliver();
    let world = &mut cast.world;
    let [row] = &queue(world, &carol)[..] else {
        panic!("one Welcome");
    };
    let DeviceItem::Welcome(item) = &row.item else {
        panic!("a Welcome, not {row:?}");
    };
    assert_eq!(item.reference, made[winner].reference);
    // Everybody is in the winner's epoch, its maker by its own commit.
    let maker = [&mut cast.alice, &mut cast.bob, &mut cast.eve]
        .into_iter()
        .nth(winner % 3)
        .expect("of three");
    maker.1.member = made.swap_remove(winner).member;
    let mut carols = welcomed(world, &cast.alice.0, &mut carol, item.clone());
    for (person, seat) in [&mut cast.alice, &mut cast.bob, &mut cast.eve] {
        world.read(person, seat);
        assert_eq!(
            seat.member.epoch_authenticator(),
            carols.member.epoch_authenticator()
        );
    }
    let (alice, a) = &mut cast.alice;
    assert!(is_ordered(&world.say(alice, a, "welcome")));
    world.deliver();
    world.read(&carol, &mut carols);
    assert_eq!(carols.read, ["welcome"]);
}

/// Joins by a Welcome, with the tree that the hub shows to a member.
fn welcomed(world: &mut World, member: &Person, newcomer: &mut Person, item: WelcomeItem) -> Seat {
    let hub = server("org-a");
    let reply = world.group_info(&hub, member, item.room, RoomAccess::Member);
    let offer = WelcomeOffer {
        room: item.room,
        welcome: item.welcome.as_slice().to_vec(),
        tree: reply.expect("a member").tree.inline.expect("a small tree"),
    };
    let member = Member::join_by_welcome(&offer, &mut newcomer.packages).expect("is welcome");
    Seat {
        member,
        at: item.at.seq,
        read: Vec::new(),
    }
}

#[test]
fn c6_a_commit_with_the_group_info_of_another_epoch_or_bundle_leaves_no_trace() {
    let mut cast = cast();
    let (alice, a) = &mut cast.alice;
    let world = &mut cast.world;
    let current = world.group_info(&cast.hub, alice, cast.room, RoomAccess::Member);
    let one = a.member.refresh(None, &alice.key).expect("a commit");
    a.member.discard_pending().expect("discarded");
    let two = a.member.refresh(None, &alice.key).expect("a commit");
    let before = room_row(world, &cast.hub, cast.room);
    for group_info in [current.expect("a member").group_info, one.group_info] {
        let lying = CommitBundle {
            group_info,
            ..two.clone()
        };
        let lying = request(world, cast.room, lying);
        let refused = world.commit(&cast.hub, alice, lying);
        assert_eq!(code(refused), FaultCode::CommitRefused);
        assert_eq!(room_row(world, &cast.hub, cast.room), before);
    }
    let good = request(world, cast.room, two);
    world.commit(&cast.hub, alice, good).expect("ordered");
}

/// A SelfRemove of a member whose device does not bother to have a group: the hub cannot check the
/// membership tag at its end (RFC 9420 §6.2).
fn leaving(room: RoomId, context: &[u8], leaf: u32, key: &SigningKey) -> Vec<u8> {
    const SELF_REMOVE: u16 = 0x000a;
    let head: [u8; 5] = [0, 1, 0, 1, 32];
    let content = [
        &head[..],
        &room.0,
        // The epoch stands in the GroupContext after version, suite and group id.
        &context[37..45],
        &[1],
        &leaf.to_be_bytes(),
        &[0, 2],
        &SELF_REMOVE.to_be_bytes(),
    ]
    .concat();
    let signed = [&content[..], context].concat();
    let label = b"MLS 1.0 FramedContentTBS";
    let length = u16::try_from(signed.len()).expect("short") | 0x4000;
    let input = [
        &[u8::try_from(label.len()).expect("short")][..],
        label,
        &length.to_be_bytes(),
        &signed,
    ]
    .concat();
    let signature = key.sign(&input);
    [
        &content[..],
        &[0x40, 64],
        signature.as_bytes(),
        &[32],
        &[0; 32],
    ]
    .concat()
}

/// The GroupContext in a GroupInfo: all before the list of the GroupInfo's own extensions, which holds
/// one key of 32 bytes.
fn context_of(group_info: &[u8]) -> Vec<u8> {
    const EXTENSIONS: usize = 1 + 2 + 1 + 1 + 32;
    const TAG_SIGNER_SIGNATURE: usize = 33 + 4 + 66;
    let end = group_info.len() - TAG_SIGNER_SIGNATURE - EXTENSIONS;
    group_info[4..end].to_vec()
}

/// Checks a proposal against the room as it is, which is loaded once.
struct Hub {
    group: PublicRoom,
    context: Vec<u8>,
}

impl Hub {
    fn of(world: &World, room: RoomId) -> Self {
        let mut read = block_on(world.servers[&server("org-a")].store.read()).expect("a view");
        let rows = block_on(read.group(&room)).expect("a group");
        let group = group_rows::restore(room, &rows.into_iter().collect()).expect("a group");
        let epoch = block_on(read.epoch(&room, group.epoch())).expect("a read");
        let context = context_of(&epoch.expect("the current epoch").group_info);
        Self { group, context }
    }

    fn check(&self, id: MessageId, sender: &Person, leaf: u32) -> Box<CheckedProposal> {
        let room = self.group.room();
        let request = Proposal {
            room,
            message_id: id,
            proposal: leaving(room, &self.context, leaf, &sender.key),
        };
        let sender = (sender.account, sender.device);
        Box::new(propose::check(&self.group, sender, request).expect("a good proposal"))
    }
}

fn run_all(world: &World, commands: Vec<Command>) -> Vec<Result<Answer, Fault>> {
    let server = &world.servers[&server("org-a")];
    let executed = execute(&server.store, &server.here, commands, world.now);
    block_on(executed).answers
}

#[test]
fn c8_of_10_000_proposals_of_one_sender_one_waits() {
    let mut cast = cast();
    let hub = Hub::of(&cast.world, cast.room);
    let eve = &cast.eve.0;
    let leaf = cast.eve.1.member.own_leaf().0;
    let mut ordered = 0;
    for _ in 0..20 {
        let commands = (0..500)
            .map(|_| Command::Propose {
                origin: eve.home.clone(),
                proposal: hub.check(cast.world.message_id(), eve, leaf),
            })
            .collect();
        for answer in run_all(&cast.world, commands) {
            match answer {
                Ok(Answer::Ordered(_)) => ordered += 1,
                refused => assert_eq!(code(refused), FaultCode::NotMember),
            }
        }
    }
    assert_eq!(ordered, 1);
    let row = room_row(&cast.world, &cast.hub, cast.room);
    assert_eq!(row.pending, [row.head.seq]);
    let shown = cast.world.sync(eve, cast.room, Seq(0));
    assert!(shown.iter().all(|entry| entry.header.seq <= row.head.seq));
}

#[test]
fn c8_proposals_of_an_epoch_are_capped_and_the_next_commit_clears_them() {
    const LEAVERS: usize = MAX_PENDING_PROPOSALS + 4;
    let mut cast = cast();
    let mut leavers = Vec::new();
    let mut packages = Vec::new();
    for number in 0..LEAVERS {
        let mut person = cast.world.register(&format!("p{number}@org-a.example"));
        cast.world.publish(&mut person, 1);
        let claimed = claim(&mut cast.world, cast.room, &person, 1);
        packages.extend(claimed.into_iter().map(|package| package.key_package));
        leavers.push(person);
    }
    let (alice, a) = &mut cast.alice;
    let bundle = a.member.add(&packages, cast.world.now, &alice.key);
    let add = request(&mut cast.world, cast.room, bundle.expect("adds"));
    let hub = cast.hub.clone();
    cast.world.commit(&hub, alice, add).expect("ordered");
    let hub = Hub::of(&cast.world, cast.room);
    let members: Vec<_> = hub.group.members().cloned().collect();
    let leaf_of = |person: &Person| {
        let member = members.iter().find(|m| m.account == person.account);
        member.expect("was added").leaf.0
    };
    let commands = leavers.iter().map(|person| Command::Propose {
        origin: person.home.clone(),
        proposal: hub.check(cast.world.message_id(), person, leaf_of(person)),
    });
    let commands = commands.collect();
    let answers = run_all(&cast.world, commands);
    let (taken, refused) = answers.split_at(MAX_PENDING_PROPOSALS);
    assert!(taken.iter().all(Result::is_ok), "{:?}", taken.last());
    for answer in refused {
        assert_eq!(code(answer.clone()), FaultCode::CommitRefused);
    }
    let row = room_row(&cast.world, &cast.hub, cast.room);
    assert_eq!(row.pending.len(), MAX_PENDING_PROPOSALS);
    // The room is not stuck: whoever comes next covers them, and then the others leave.
    let guest = cast.world.register("guest@org-c.example");
    let invite = ticket(&cast.world, (&cast.eve.0, &cast.eve.1), guest.account);
    join(&mut cast.world, cast.room, &guest, &invite).expect("joins");
    let row = room_row(&cast.world, &cast.hub, cast.room);
    assert!(row.pending.is_empty());
    let hub = Hub::of(&cast.world, cast.room);
    assert_eq!(hub.group.members().len(), 3 + 4 + 1);
    let last = leavers.last().expect("many");
    let again = Command::Propose {
        origin: last.home.clone(),
        proposal: hub.check(cast.world.message_id(), last, leaf_of(last)),
    };
    assert!(matches!(
        run_all(&cast.world, vec![again])[..],
        [Ok(Answer::Ordered(_))]
    ));
}
