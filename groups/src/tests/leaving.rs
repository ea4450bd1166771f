//! Leaving: a proposal that the next commit has to cover, whoever makes it.

use crate::{CommitFault, Member, MemberFault, ProcessFault, RuleFault, Suite};

use super::world::{NOW, Person, World};

#[test]
fn a_member_leaves_and_another_lets_it_go() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 4);
        world.leave(2);
        assert_eq!(
            world.seats[1].try_say("hm"),
            Err(MemberFault::ProposalsPending)
        );
        assert_eq!(world.seats[2].try_say("bye"), Err(MemberFault::Leaving));
        let leaver = &mut world.seats[2];
        assert_eq!(
            leaver.member.commit_pending_proposals(&leaver.person.key),
            Err(MemberFault::Leaving)
        );
        let account = leaver.person.account;
        let seat = &mut world.seats[1];
        let bundle = seat.member.commit_pending_proposals(&seat.person.key);
        let checked = world
            .commit(&bundle.expect("commits"))
            .expect("a good commit");
        assert_eq!(checked.roster.left[0].account, account);
        assert_eq!(world.seats.len(), 3);
        world.talk(2, "it has become quiet");
        let seat = &mut world.seats[1];
        assert_eq!(
            seat.member.commit_pending_proposals(&seat.person.key),
            Err(MemberFault::NothingPending)
        );
    }
}

#[test]
fn any_commit_covers_those_who_leave() {
    let mut world = World::of(Suite::Classical, 5);
    world.leave(1);
    world.leave(3);
    let leaving = world.seats[1].person.account;
    let founder = &mut world.seats[0];
    assert_eq!(
        founder.member.remove(&leaving, &founder.person.key),
        Err(MemberFault::NoSuchMember(leaving))
    );
    let removed = Person::new(2).account;
    let bundle = founder.member.remove(&removed, &founder.person.key);
    let checked = world
        .commit(&bundle.expect("commits"))
        .expect("a good commit");
    assert_eq!(checked.roster.left.len(), 3);
    world.talk(0, "the two of us");
}

#[test]
fn a_joiner_lets_go_those_who_leave_and_may_take_their_leaf() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 3);
        world.leave(1);
        let checked = world.join(&Person::new(8)).expect("a good commit");
        assert_eq!(checked.roster.left.len(), 1);
        assert_eq!(checked.committer.leaf, checked.roster.left[0].leaf);
        world.talk(2, "I am new here");
    }
}

#[test]
fn a_commit_that_leaves_a_proposal_out_is_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let early = &mut world.seats[0];
    let bundle = early
        .member
        .refresh(None, &early.person.key)
        .expect("commits");
    early.store();
    world.leave(2);
    assert_eq!(
        world.check(&bundle).map(|_| ()),
        Err(CommitFault::Rule(RuleFault::Uncovered(1)))
    );
    for index in [0, 1] {
        let seat = &mut world.seats[index];
        assert_eq!(
            seat.member.process(&bundle.commit, NOW).map(|_| ()),
            Err(ProcessFault::Rule(RuleFault::Uncovered(1)))
        );
        assert!(
            seat.member.take_delta().is_empty(),
            "a fault changes nothing"
        );
    }
    let early = &mut world.seats[0];
    early.member.discard_pending().expect("discarded");
    let bundle = early.member.commit_pending_proposals(&early.person.key);
    world.commit(&bundle.expect("commits")).expect("covers it");
}

#[test]
fn a_joiner_that_was_not_told_of_a_proposal_is_refused() {
    let mut world = World::of(Suite::Classical, 3);
    let stale = world.offer();
    world.leave(2);
    let guest = Person::new(8);
    let founder = &world.seats[0];
    let ticket = founder
        .member
        .issue_ticket(guest.account, 1, 1000, NOW, &founder.person.key)
        .expect("may invite");
    let (_, bundle) = Member::join_by_ticket(&stale, &ticket, &guest.identity, &guest.key, NOW)
        .expect("a good offer");
    assert_eq!(
        world.check(&bundle).map(|_| ()),
        Err(CommitFault::Rule(RuleFault::Uncovered(1)))
    );
}

#[test]
fn only_proposals_to_leave_are_proposals() {
    let mut world = World::of(Suite::Classical, 2);
    let bytes = world.talk(0, "no proposal");
    assert!(world.hub.check_proposal(&bytes).is_err());
    let seat = &mut world.seats[1];
    let bundle = seat
        .member
        .refresh(None, &seat.person.key)
        .expect("commits");
    assert!(world.hub.check_proposal(&bundle.commit).is_err());
    assert_eq!(
        seat.member.leave(&seat.person.key),
        Err(MemberFault::CommitPending)
    );
}
