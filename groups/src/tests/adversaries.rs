//! What must be refused, by hub and members alike.

use crate::{
    CommitBundle, CommitFault, CreateRecord, FoundingFault, GroupInfoFault, GroupMessage,
    KeyPackageFault, LeafFault, LeafIdentity, Member, MemberFault, PublicRoom, RoomPolicy,
    RuleFault, Suite, Ticket, TicketFault, judge_key_package,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use entente_identity::{CLOCK_TOLERANCE_MS, HomeRecord, Signed};

use super::world::{HOUR_MS, NOW, Person, World, order};

fn ticket(world: &World, guest: &Person) -> Signed<Ticket> {
    let seat = &world.seats[0];
    seat.member
        .issue_ticket(guest.account, 1, HOUR_MS, NOW, &seat.person.key)
        .expect("may invite")
}

/// Joins with a ticket that the joiner's own software would have refused: the ticket is changed behind
/// its back by taking the offer of a room in which it is good.
fn bundle_with(
    world: &World,
    guest: &Person,
    ticket: &Signed<Ticket>,
) -> Result<CommitBundle, MemberFault> {
    Member::join_by_ticket(&world.offer(), ticket, &guest.identity, &guest.key, NOW)
        .map(|(_, bundle)| bundle)
}

#[test]
fn c9_a_ticket_is_for_one_account_room_and_time() {
    let world = World::of(Suite::Classical, 2);
    let (guest, other) = (Person::new(8), Person::new(9));
    let good = ticket(&world, &guest);
    assert_eq!(
        bundle_with(&world, &other, &good).map(|_| ()),
        Err(RuleFault::Ticket(TicketFault::OtherInvitee).into())
    );
    let elsewhere = World::found_as(Suite::Classical, 1).filled(2);
    assert!(matches!(
        bundle_with(&elsewhere, &guest, &good),
        Err(MemberFault::Rule(RuleFault::Ticket(TicketFault::Signed(_))))
    ));
    let late = NOW.after(HOUR_MS + CLOCK_TOLERANCE_MS + 1);
    let offer = world.offer();
    assert!(matches!(
        Member::join_by_ticket(&offer, &good, &guest.identity, &guest.key, late),
        Err(MemberFault::Rule(RuleFault::Ticket(TicketFault::Signed(_))))
    ));
    // The hub judges by the time at which it orders, members by the same time in the entry.
    let bundle = bundle_with(&world, &guest, &good).expect("in time");
    assert!(matches!(
        world.hub.check_commit(&bundle, &[], late),
        Err(CommitFault::Rule(RuleFault::Ticket(TicketFault::Signed(_))))
    ));
    let mut world = world;
    let founder = &mut world.seats[0].member;
    assert!(founder.process(&bundle.commit, late).is_err());
    assert!(founder.process(&bundle.commit, NOW).is_ok());
}

#[test]
fn c9_a_ticket_ends_with_its_inviters_membership() {
    let mut world = World::of(Suite::Classical, 3);
    let guest = Person::new(8);
    let inviter = &world.seats[1];
    let ticket = inviter
        .member
        .issue_ticket(guest.account, 1, HOUR_MS, NOW, &inviter.person.key)
        .expect("may invite");
    let gone = inviter.person.account;
    let founder = &mut world.seats[0];
    let bundle = founder.member.remove(&gone, &founder.person.key);
    world
        .commit(&bundle.expect("commits"))
        .expect("a good commit");
    assert_eq!(
        bundle_with(&world, &guest, &ticket).map(|_| ()),
        Err(RuleFault::Ticket(TicketFault::InviterGone).into())
    );
}

#[test]
fn c9_a_ticket_wants_a_recent_device_list_and_promises_no_role() {
    let world = World::of(Suite::Classical, 2);
    let guest = Person::new(8);
    let seat = &world.seats[0];
    let newer = seat
        .member
        .issue_ticket(guest.account, 2, HOUR_MS, NOW, &seat.person.key)
        .expect("may invite");
    assert!(matches!(
        bundle_with(&world, &guest, &newer),
        Err(MemberFault::Rule(RuleFault::Ticket(
            TicketFault::OldDeviceList { wanted: 2, got: 1 }
        )))
    ));
    let mut body = newer.claimed_body().expect("own ticket");
    body.min_list_version = 1;
    body.role = crate::Role::Admin;
    let promising = body.sign(&seat.person.key, NOW, HOUR_MS);
    assert_eq!(
        bundle_with(&world, &guest, &promising).map(|_| ()),
        Err(RuleFault::Ticket(TicketFault::Role).into())
    );
}

#[test]
fn c9_nobody_joins_without_a_ticket_or_twice() {
    let mut world = World::of(Suite::Classical, 3);
    let guest = Person::new(8);
    assert_eq!(
        Member::resync(&world.offer(), &guest.identity, &guest.key).map(|_| ()),
        Err(RuleFault::Ticket(TicketFault::Missing).into())
    );
    let inside = world.seats[1].person.clone();
    let own = ticket(&world, &inside);
    assert_eq!(
        bundle_with(&world, &inside, &own).map(|_| ()),
        Err(RuleFault::AlreadyMember.into())
    );
    // A commit that brings a device back from before its removal finds the removal done.
    let offer = world.offer();
    let (_, back) = Member::resync(&offer, &inside.identity, &inside.key).expect("is inside");
    let founder = &mut world.seats[0];
    let removal = founder.member.remove(&inside.account, &founder.person.key);
    world
        .commit(&removal.expect("commits"))
        .expect("a good commit");
    assert!(matches!(
        world.check(&back).map(|_| ()),
        Err(CommitFault::WrongEpoch { .. })
    ));
    assert!(Member::resync(&world.offer(), &inside.identity, &inside.key).is_err());
}

#[test]
fn f6_forged_leaves_are_refused_by_the_joiner_itself() {
    let (honest, forger) = (Person::new(1), Person::new(2));
    let mut stolen = forger.identity.clone();
    stolen.account = honest.account;
    assert!(matches!(stolen.verify(), Err(LeafFault::Certificate(_))));
    let mut foreign_home = honest.identity.clone();
    foreign_home.home_record = forger.identity.home_record.clone();
    assert!(matches!(
        foreign_home.verify(),
        Err(LeafFault::HomeRecord(_))
    ));
    let mut no_chain = honest.identity.clone();
    no_chain.chain.clear();
    assert!(matches!(no_chain.verify(), Err(LeafFault::Certificate(_))));
    let world = World::of(Suite::Classical, 1);
    let good = ticket(&world, &honest);
    for identity in [&stolen, &foreign_home, &no_chain] {
        let offer = world.offer();
        let join = Member::join_by_ticket(&offer, &good, identity, &forger.key, NOW);
        assert!(matches!(join, Err(MemberFault::Rule(RuleFault::Leaf(_)))));
    }
    let wrong_key =
        Member::join_by_ticket(&world.offer(), &good, &honest.identity, &forger.key, NOW);
    assert_eq!(wrong_key.map(|_| ()), Err(MemberFault::WrongKey));
}

#[test]
fn a_home_record_may_be_signed_by_a_manager_that_is_shown() {
    let person = Person::new(1);
    let second = person.second_device(1);
    let certificate = second.identity.chain[0].clone();
    let home = person
        .identity
        .home_record
        .claimed_body()
        .expect("own record");
    let context = person
        .identity
        .home_record
        .claimed_context()
        .expect("own record");
    let context = entente_identity::SigningContext {
        key_id: second.key.public().to_string(),
        ..context
    };
    let moved = HomeRecord { seq: 2, ..home };
    let moved = Signed::sign(&moved, &context, &second.key);
    let unshown = LeafIdentity::new(person.account, person.identity.chain.clone(), moved);
    assert!(matches!(unshown.verify(), Err(LeafFault::HomeRecord(_))));
    let shown = unshown.with_home_signer(vec![certificate]);
    assert_eq!(shown.verify().map(|leaf| leaf.home.seq), Ok(2));
}

#[test]
fn key_packages_end_and_cannot_be_changed() {
    let person = Person::new(1);
    let (_, bytes) = person.key_package(Suite::Classical);
    let judged = judge_key_package(&bytes, NOW).expect("a good KeyPackage");
    assert_eq!(judged.owner.account, person.account);
    assert_eq!(judged.expires, NOW.after(24 * HOUR_MS));
    let ended = NOW.after(24 * HOUR_MS);
    assert_eq!(
        judge_key_package(&bytes, ended),
        Err(KeyPackageFault::NotCurrent)
    );
    let before = NOW.before(HOUR_MS);
    assert_eq!(
        judge_key_package(&bytes, before),
        Err(KeyPackageFault::NotCurrent)
    );
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(judge_key_package(&changed, NOW).is_err(), "byte {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(judge_key_package(&longer, NOW).is_err());
    let mut world = World::found(Suite::PostQuantum);
    let founder = &mut world.seats[0];
    let add = founder.member.add(&[bytes], NOW, &founder.person.key);
    assert!(matches!(add, Err(MemberFault::OtherSuite { .. })));
}

#[test]
fn an_expired_key_package_is_refused_at_ordering() {
    let mut world = World::found(Suite::Classical);
    let (_, bytes) = Person::new(1).key_package(Suite::Classical);
    let founder = &mut world.seats[0];
    let bundle = founder.member.add(&[bytes], NOW, &founder.person.key);
    let bundle = bundle.expect("still good");
    let ended = NOW.after(25 * HOUR_MS);
    assert_eq!(
        world.hub.check_commit(&bundle, &[], ended).map(|_| ()),
        Err(RuleFault::KeyPackage(KeyPackageFault::NotCurrent).into())
    );
    assert!(founder.member.process(&bundle.commit, ended).is_err());
    assert!(founder.member.process(&bundle.commit, NOW).is_ok());
}

#[test]
fn c6_a_bundle_is_one_unit() {
    let mut world = World::of(Suite::default(), 3);
    let guests = [Person::new(8), Person::new(9)].map(|p| p.key_package(Suite::default()).1);
    let founder = &mut world.seats[0];
    let one = founder
        .member
        .add(&guests[..1], NOW, &founder.person.key)
        .expect("adds");
    founder.member.discard_pending().expect("discarded");
    let two = founder
        .member
        .add(&guests, NOW, &founder.person.key)
        .expect("adds");
    let check = |bundle: CommitBundle| world.check(&bundle).map(|_| ());
    assert_eq!(check(two.clone()), Ok(()));
    let no_welcome = CommitBundle {
        welcome: None,
        ..two.clone()
    };
    assert_eq!(check(no_welcome), Err(CommitFault::Welcome));
    let other_welcome = CommitBundle {
        welcome: one.welcome.clone(),
        ..two.clone()
    };
    assert_eq!(check(other_welcome), Err(CommitFault::Welcome));
    let other_info = CommitBundle {
        group_info: one.group_info.clone(),
        ..two.clone()
    };
    assert_eq!(check(other_info), Err(GroupInfoFault::Mismatch.into()));
    let old_info = CommitBundle {
        group_info: world.group_info.clone(),
        ..two.clone()
    };
    assert_eq!(check(old_info), Err(GroupInfoFault::Mismatch.into()));
    let mut info = two.group_info.clone();
    let last = info.len() - 1;
    info[last] ^= 1;
    let unsigned = CommitBundle {
        group_info: info,
        ..two.clone()
    };
    assert_eq!(check(unsigned), Err(GroupInfoFault::Signature.into()));
    let longer = CommitBundle {
        group_info: [&two.group_info[..], &[0]].concat(),
        ..two.clone()
    };
    assert!(matches!(
        check(longer),
        Err(CommitFault::GroupInfo(GroupInfoFault::Message(_)))
    ));
}

#[test]
fn no_changed_byte_of_a_commit_is_ordered() {
    let mut world = World::of(Suite::Classical, 3);
    let founder = &mut world.seats[0];
    let bundle = founder
        .member
        .refresh(None, &founder.person.key)
        .expect("commits");
    let reader = &mut world.seats[1];
    for at in (0..bundle.commit.len()).step_by(5) {
        let mut commit = bundle.commit.clone();
        commit[at] ^= 1;
        // The membership tag, which ends a handshake, is for members to check (RFC 9420 §6.2).
        assert!(reader.member.process(&commit, NOW).is_err(), "byte {at}");
        if at + 33 < commit.len() {
            let changed = CommitBundle {
                commit,
                ..bundle.clone()
            };
            assert!(
                world.hub.check_commit(&changed, &[], NOW).is_err(),
                "byte {at}"
            );
        }
    }
    let longer = [&bundle.commit[..], &[0]].concat();
    assert!(GroupMessage::parse(&longer).is_err());
    assert!(reader.member.take_delta().is_empty());
    assert!(reader.member.process(&bundle.commit, NOW).is_ok());
}

#[test]
fn a_room_is_what_its_record_says() {
    let founder = Person::new(0);
    let hub = "did:web:org-a.example".parse().expect("a server");
    let mut rng = StdRng::seed_from_u64(1);
    let body = CreateRecord::new(founder.account, hub, Suite::Classical, NOW, &mut rng);
    let record = body.sign(&founder.key);
    let founding = Member::create(&record, &founder.identity, &founder.key).expect("founded");
    let (info, tree) = (&founding.group_info, &founding.tree);
    assert!(PublicRoom::from_create(&record, info, tree).is_ok());
    let other = CreateRecord {
        nonce: [0; 16],
        ..body.clone()
    }
    .sign(&founder.key);
    assert_eq!(
        PublicRoom::from_create(&other, info, tree).map(|_| ()),
        Err(FoundingFault::Commit(CommitFault::OtherRoom))
    );
    let stranger = Person::new(1);
    let theirs = CreateRecord {
        creator: stranger.account,
        ..body.clone()
    }
    .sign(&stranger.key);
    assert_eq!(
        Member::create(&theirs, &founder.identity, &founder.key).map(|_| ()),
        Err(MemberFault::WrongKey)
    );
    let policy = RoomPolicy::founded_by(stranger.account);
    let odd = CreateRecord { policy, ..body }.sign(&founder.key);
    let odd_founding = Member::create(&odd, &founder.identity, &founder.key).expect("founded");
    assert!(PublicRoom::from_create(&odd, &odd_founding.group_info, &odd_founding.tree).is_ok());
    assert!(PublicRoom::from_create(&odd, info, tree).is_err());
    let mut cut = tree.clone();
    cut.pop();
    assert!(PublicRoom::from_create(&record, info, &cut).is_err());
}

#[test]
fn a10_messages_of_other_rooms_are_refused() {
    let mut here = World::of(Suite::Classical, 2);
    let mut there = World::found_as(Suite::Classical, 1).filled(2);
    let bytes = there.talk(0, "elsewhere");
    assert!(here.seats[0].member.process(&bytes, NOW).is_err());
    let seat = &mut there.seats[0];
    let bundle = seat
        .member
        .refresh(None, &seat.person.key)
        .expect("commits");
    assert_eq!(here.check(&bundle).map(|_| ()), Err(CommitFault::OtherRoom));
    let order = crate::KeyPackageOrder {
        count: 3,
        ..order(Suite::Classical)
    };
    let person = Person::new(3);
    let mut store = crate::KeyPackages::new();
    let made = store
        .generate(order, &person.identity, &person.key)
        .expect("made");
    assert_eq!((made.len(), store.len()), (3, 3));
}
