//! Founding, joining, adding, removing, talking.

use crate::{
    GroupMessage, InviteRight, KeyPackageUse, KeyPackages, Member, MemberFault, ProcessFault, Role,
    RuleFault, Suite, WelcomeOffer,
};

use super::world::{HOUR_MS, NOW, Person, World, order};

#[test]
fn people_join_by_ticket_and_talk_in_both_suites() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 3);
        world.talk(0, "hello");
        world.talk(2, "good evening");
        world.talk(0, "how are you");
        let roles: Vec<_> = world.hub.members().map(|m| m.role).collect();
        assert_eq!(roles, [Role::Admin, Role::Member, Role::Member]);
        let homes: Vec<_> = world.hub.members().map(|m| m.home.to_string()).collect();
        assert_eq!(homes[1], "did:web:org-b.example");
    }
}

#[test]
fn servers_read_the_header_of_a_message_and_nothing_else() {
    let mut world = World::of(Suite::default(), 2);
    let bytes = world.talk(1, "a secret");
    let Ok(GroupMessage::Application(message)) = GroupMessage::parse(&bytes) else {
        panic!("an application message");
    };
    assert_eq!(message.room, world.hub.room());
    assert_eq!(message.epoch, world.hub.epoch());
    assert_eq!(message.aad.seen_seq, 7);
    assert_eq!(world.hub.check_application(&message), Ok(()));
    assert!(!bytes.windows(8).any(|window| window == b"a secret"));
}

#[test]
fn lengths_are_padded() {
    let mut world = World::of(Suite::Classical, 2);
    let short = world.seats[0].say("a").len();
    let longer = world.seats[0].say("a few words more").len();
    assert_eq!(short, longer);
}

#[test]
fn people_are_added_by_key_package_and_welcomed() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 2);
        let checked = world.add(1, &[Person::new(5), Person::new(6)]);
        assert_eq!(checked.welcome_refs.len(), 2);
        assert_eq!(checked.roster.joined.len(), 2);
        assert!(!checked.by_joiner);
        world.talk(3, "thank you");
        world.talk(0, "you are welcome");
    }
}

#[test]
fn a_key_package_of_last_resort_stays() {
    let mut world = World::found(Suite::Classical);
    let person = Person::new(1);
    let mut store = KeyPackages::new();
    let wanted = crate::KeyPackageOrder {
        usage: KeyPackageUse::LastResort,
        ..order(Suite::Classical)
    };
    let made = store.generate(wanted, &person.identity, &person.key);
    let made = made.expect("made").remove(0);
    let rows = store.take_delta().puts;
    let mut store = KeyPackages::load(rows).expect("own rows");
    let founder = &mut world.seats[0];
    let bundle = founder
        .member
        .add(&[made.bytes], NOW, &founder.person.key)
        .expect("adds");
    let checked = world.commit(&bundle).expect("a good commit");
    assert_eq!(checked.welcome_refs, vec![made.reference.clone()]);
    let offer = WelcomeOffer {
        room: world.hub.room(),
        welcome: bundle.welcome.expect("a Welcome"),
        tree: world.hub.ratchet_tree(),
    };
    Member::join_by_welcome(&offer, &mut store).expect("is welcome");
    assert!(store.contains(&made.reference));
    store.discard(&made.reference);
    assert!(store.is_empty());
    assert_eq!(
        Member::join_by_welcome(&offer, &mut store).map(|_| ()),
        Err(MemberFault::NoKeyPackage)
    );
}

#[test]
fn who_is_removed_reads_nothing_more() {
    let mut world = World::of(Suite::default(), 3);
    let removed = Person::new(1).account;
    let founder = &mut world.seats[0];
    let bundle = founder
        .member
        .remove(&removed, &founder.person.key)
        .expect("an admin removes");
    founder.store();
    let mut out = world.seats.remove(1);
    let merged = out.merge(&bundle.commit);
    assert!(merged.removed_self && !out.member.is_active());
    let checked = world.commit(&bundle).expect("a good commit");
    assert_eq!(checked.roster.left[0].account, removed);
    let bytes = world.talk(1, "among ourselves");
    assert_eq!(
        out.member.process(&bytes, NOW).map(|_| ()),
        Err(ProcessFault::Removed)
    );
    assert_eq!(out.try_say("hello?"), Err(MemberFault::Removed));
    // With what it knew before the commit it reads nothing either.
    let old = out.past.remove(0);
    assert!(out.member.read_late(&old, &bytes).is_err());
}

#[test]
fn the_slower_of_two_commits_loses_and_tries_again() {
    let mut world = World::of(Suite::default(), 3);
    let mut bundles = Vec::new();
    for index in [1, 2] {
        let seat = &mut world.seats[index];
        bundles.push(
            seat.member
                .refresh(None, &seat.person.key)
                .expect("commits"),
        );
        seat.store();
        assert!(seat.member.has_pending_commit());
        assert_eq!(
            seat.member.refresh(None, &seat.person.key).map(|_| ()),
            Err(MemberFault::CommitPending)
        );
    }
    let checked = world.commit(&bundles[1]).expect("the first to be ordered");
    assert_eq!(checked.committer.account, world.seats[2].person.account);
    assert!(world.check(&bundles[0]).is_err());
    assert!(!world.seats[1].member.has_pending_commit());
    let seat = &mut world.seats[1];
    let again = seat.member.refresh(None, &seat.person.key).expect("again");
    world.commit(&again).expect("now it is first");
    world.talk(1, "at last");
}

#[test]
fn a_refused_commit_is_discarded() {
    let mut world = World::of(Suite::Classical, 2);
    let seat = &mut world.seats[1];
    seat.member
        .refresh(None, &seat.person.key)
        .expect("commits");
    seat.store();
    seat.member.discard_pending().expect("discarded");
    seat.store();
    assert!(!seat.member.has_pending_commit());
    world.talk(1, "never mind");
}

#[test]
fn admins_change_the_policy_and_members_do_not() {
    let mut world = World::of(Suite::Classical, 3);
    let second = world.seats[1].person.account;
    let policy = world.hub.policy().with_admin(second).expect("two admins");
    let policy = policy.with_invite(InviteRight::Admins);
    let member = &mut world.seats[2];
    assert!(matches!(
        member.member.set_policy(&policy, &member.person.key),
        Err(MemberFault::Rule(RuleFault::MayNotChangePolicy(_)))
    ));
    let founder = &mut world.seats[0];
    let bundle = founder.member.set_policy(&policy, &founder.person.key);
    let checked = world
        .commit(&bundle.expect("an admin"))
        .expect("a good commit");
    assert_eq!(checked.new_policy, Some(policy));
    assert_eq!(world.hub.role_of(&second), Some(Role::Admin));
    let member = &world.seats[2];
    let guest = Person::new(9).account;
    let ticket = member
        .member
        .issue_ticket(guest, 1, HOUR_MS, NOW, &member.person.key);
    assert!(matches!(
        ticket,
        Err(MemberFault::Rule(RuleFault::MayNotInvite(_)))
    ));
    assert!(world.join(&Person::new(9)).is_ok());
}

#[test]
fn a_device_that_lost_its_state_comes_back() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 4);
        let lost = world.seats.remove(1).person;
        let (member, bundle) =
            Member::resync(&world.offer(), &lost.identity, &lost.key).expect("comes back");
        let checked = world.enter(&lost, member, &bundle).expect("a good commit");
        assert!(checked.by_joiner);
        assert_eq!(world.hub.members().len(), 4);
        world.talk(3, "here I am again");
        world.talk(1, "good to see you");
    }
}

#[test]
fn a_second_device_comes_in_with_a_ticket_of_the_first_and_is_removed_by_it() {
    let mut world = World::of(Suite::Classical, 2);
    let second = world.seats[1].person.second_device(1);
    let first = &world.seats[1];
    let ticket = first
        .member
        .issue_ticket(second.account, 1, HOUR_MS, NOW, &first.person.key)
        .expect("one's own devices always");
    let offer = world.offer();
    let (member, bundle) =
        Member::join_by_ticket(&offer, &ticket, &second.identity, &second.key, NOW)
            .expect("a good offer");
    world
        .enter(&second, member, &bundle)
        .expect("a good commit");
    world.talk(2, "from my telephone");
    let first = &mut world.seats[1];
    let bundle = first.member.remove(&second.account, &first.person.key);
    let checked = world
        .commit(&bundle.expect("own device"))
        .expect("a good commit");
    assert_eq!(checked.roster.left.len(), 1);
    assert_eq!(checked.roster.left[0].device, second.device.id);
}

#[test]
fn a_leaf_is_refreshed_with_what_its_account_says_now() {
    let mut world = World::of(Suite::Classical, 2);
    let mut person = world.seats[1].person.clone();
    let handle = "p1@org-c.example".parse().expect("a handle");
    person.identity.home_record = entente_identity::HomeRecord::first(&person.root, handle, NOW);
    let seat = &mut world.seats[1];
    let bundle = seat.member.refresh(Some(&person.identity), &person.key);
    let checked = world
        .commit(&bundle.expect("commits"))
        .expect("a good commit");
    assert_eq!(checked.committer.home.to_string(), "did:web:org-c.example");
    assert_eq!(checked.roster.joined, vec![checked.committer.clone()]);
    let stranger = Person::new(7);
    let seat = &mut world.seats[1];
    assert!(matches!(
        seat.member
            .refresh(Some(&stranger.identity), &seat.person.key),
        Err(MemberFault::Rule(RuleFault::LeafChangedOwner))
    ));
}
