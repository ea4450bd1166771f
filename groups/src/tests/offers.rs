//! What others offer to a member's device: nothing of it is ever signed as it was given.

use entente_identity::SigningKey;
use openmls::group::MlsGroup;
use openmls::prelude::MlsMessageOut;

use super::forge::{content_end, replaced, sign};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::member_view::DeviceSigner;
use crate::message::mls_bytes;
use crate::provider::Provider;
use crate::{
    CommitFault, GroupMessage, HandshakeSender, JoinOffer, Member, MemberFault, ProcessFault,
    RuleFault, Suite, WelcomeOffer,
};

/// The second of two rooms of one founder, with the same people in it.
fn twins() -> (World, World) {
    let here = World::of(Suite::Classical, 3);
    let there = World::found_as(Suite::Classical, 1).filled(3);
    (here, there)
}

fn copy(world: &World, seat: usize) -> Member {
    Member::load(world.hub.room(), world.seats[seat].table.0.clone()).expect("own rows")
}

#[test]
fn a10_an_offer_of_another_room_is_not_joined() {
    let (here, there) = twins();
    let guest = Person::new(8);
    let inviter = &here.seats[0];
    let ticket = inviter
        .member
        .issue_ticket(guest.account, 1, HOUR_MS, NOW, &inviter.person.key)
        .expect("may invite");
    let offer = |group: &World, room: &World| JoinOffer {
        room: room.hub.room(),
        ..group.offer()
    };
    let join = |offer: &JoinOffer| {
        let joined = Member::join_by_ticket(offer, &ticket, &guest.identity, &guest.key, NOW);
        joined.map(|_| ())
    };
    assert_eq!(join(&offer(&here, &here)), Ok(()));
    let named_here = offer(&there, &here);
    assert_eq!(join(&named_here), Err(MemberFault::OtherRoom));
    let ticket_elsewhere = join(&offer(&there, &there));
    assert!(matches!(
        ticket_elsewhere,
        Err(MemberFault::Rule(RuleFault::Ticket(_)))
    ));
    let mixed = JoinOffer {
        tree: there.offer().tree,
        ..here.offer()
    };
    assert!(matches!(join(&mixed), Err(MemberFault::Mls(_))));
    let member = &here.seats[1].person;
    let back = |offer: &JoinOffer| Member::resync(offer, &member.identity, &member.key).map(|_| ());
    assert_eq!(back(&here.offer()), Ok(()));
    assert_eq!(back(&named_here), Err(MemberFault::OtherRoom));
    assert!(matches!(back(&mixed), Err(MemberFault::Mls(_))));
}

#[test]
fn a10_a_welcome_into_another_room_is_not_followed_and_uses_nothing_up() {
    let (mut here, there) = twins();
    let guest = Person::new(8);
    let (mut store, key_package) = guest.key_package(Suite::Classical);
    let founder = &mut here.seats[0];
    let bundle = founder.member.add(&[key_package], NOW, &founder.person.key);
    let bundle = bundle.expect("adds");
    here.commit(&bundle).expect("a good commit");
    let offer = |room: &World, tree: &World| WelcomeOffer {
        room: room.hub.room(),
        welcome: bundle.welcome.clone().expect("a Welcome"),
        tree: tree.hub.ratchet_tree(),
    };
    let _ = store.take_delta();
    let other_room = Member::join_by_welcome(&offer(&there, &here), &mut store);
    assert_eq!(other_room.map(|_| ()), Err(MemberFault::OtherRoom));
    let other_tree = Member::join_by_welcome(&offer(&here, &there), &mut store);
    assert!(matches!(other_tree, Err(MemberFault::Mls(_))));
    assert!(
        store.take_delta().is_empty(),
        "the private key is still there"
    );
    let joined = Member::join_by_welcome(&offer(&here, &here), &mut store);
    assert_eq!(joined.expect("is welcome").epoch(), here.hub.epoch());
}

type Propose = fn(&mut MlsGroup, &Provider, &SigningKey) -> MlsMessageOut;

/// Proposals that members of a room do not make.
const OTHER_KINDS: [(&str, Propose); 3] = [
    ("remove", |group, provider, key| {
        let other = openmls::prelude::LeafNodeIndex::new(0);
        let made = group.propose_remove_member(provider, &DeviceSigner(key), other);
        made.expect("proposes").0
    }),
    ("update", |group, provider, key| {
        let leaf = openmls::prelude::LeafNodeParameters::default();
        let made = group.propose_self_update(provider, &DeviceSigner(key), leaf);
        made.expect("proposes").0
    }),
    ("add", |group, provider, key| {
        let (_, bytes) = Person::new(77).key_package(Suite::Classical);
        let package = super::forge::verified(&bytes);
        let made = group.propose_add_member(provider, &DeviceSigner(key), &package);
        made.expect("proposes").0
    }),
];

/// Proposals that a hub or a member might hand to a device, each with a word for it.
fn bad_proposals(here: &World, there: &World) -> Vec<(&'static str, Vec<u8>)> {
    let (leaver, other) = (&here.seats[1].person, &here.seats[2].person);
    let leaving = copy(here, 1).leave(&leaver.key).expect("leaves");
    let elsewhere = copy(there, 1).leave(&leaver.key).expect("leaves");
    let renamed = replaced(&elsewhere, &there.hub.room().0, &here.hub.room().0);
    // The sender's leaf ends eight bytes before the proposal: nothing is authenticated with it.
    let end = content_end(&leaving, 1, Suite::Classical);
    let mut in_its_name = leaving.clone();
    in_its_name[end - 5] = 2;
    let mut signed_by_other = leaving.clone();
    let context = entente_identity::encode(&super::forge::Info::parse(&here.group_info).context);
    let content = [&leaving[..end], &context].concat();
    let theirs = sign(&other.key, "FramedContentTBS", &content);
    signed_by_other[end + 2..end + 66].copy_from_slice(&theirs);
    let mut list = vec![
        ("of another room", elsewhere),
        ("of another room under this one's name", renamed),
        ("in another's name", in_its_name),
        ("signed by another", signed_by_other),
    ];
    for (what, propose) in OTHER_KINDS {
        let mut member = copy(here, 1);
        let Member {
            group, provider, ..
        } = &mut member;
        list.push((what, mls_bytes(&propose(group, provider, &leaver.key))));
    }
    list
}

#[test]
fn a10_a_proposal_that_is_no_leave_of_this_room_is_never_committed() {
    let (mut here, there) = twins();
    for (what, proposal) in bad_proposals(&here, &there) {
        let hub = here.hub.check_proposal(&proposal).map(|_| ());
        assert!(hub.is_err(), "{what}");
        let kind = matches!(hub, Err(CommitFault::Rule(RuleFault::ProposalKind(_))));
        assert_eq!(
            kind,
            OTHER_KINDS.iter().any(|(name, _)| *name == what),
            "{hub:?}"
        );
        let seat = &mut here.seats[0];
        let read = seat.member.process(&proposal, NOW).map(|_| ());
        assert!(read.is_err(), "{what}");
        if kind {
            assert!(matches!(
                read,
                Err(ProcessFault::Rule(RuleFault::ProposalKind(_)))
            ));
        }
        assert!(seat.member.take_delta().is_empty(), "{what}");
        let commit = seat.member.commit_pending_proposals(&seat.person.key);
        assert_eq!(commit, Err(MemberFault::NothingPending), "{what}");
        // Nor by a joiner to whom the hub says that it waits.
        let guest = Person::new(8);
        let ticket = seat
            .member
            .issue_ticket(guest.account, 1, HOUR_MS, NOW, &seat.person.key)
            .expect("may invite");
        let mut offer = here.offer();
        offer.pending.push(proposal);
        let joined = Member::join_by_ticket(&offer, &ticket, &guest.identity, &guest.key, NOW);
        assert!(joined.is_err(), "{what}");
    }
    here.leave(1);
    assert!(here.seats[0].member.has_pending_proposals());
}

#[test]
fn a10_what_a_device_signs_names_its_own_room_epoch_and_leaf() {
    let (mut here, there) = twins();
    // After everything bad that it was shown.
    for (_, proposal) in bad_proposals(&here, &there) {
        assert!(here.seats[2].member.process(&proposal, NOW).is_err());
    }
    let seat = &mut here.seats[2];
    let (key, leaf) = (seat.person.key.clone(), seat.member.own_leaf());
    let commit = seat.member.refresh(None, &key).expect("commits").commit;
    seat.member.discard_pending().expect("discarded");
    let leaving = seat.member.leave(&key).expect("leaves");
    for bytes in [commit, leaving] {
        match GroupMessage::parse(&bytes).expect("a handshake") {
            GroupMessage::Commit(message) | GroupMessage::Proposal(message) => {
                assert_eq!(message.room, here.hub.room());
                assert_eq!(message.epoch, here.hub.epoch());
                assert_eq!(message.sender, HandshakeSender::Member(leaf));
            }
            GroupMessage::Application(message) => panic!("{message:?}"),
        }
    }
    let guest = Person::new(8).account;
    let ticket =
        here.seats[1]
            .member
            .issue_ticket(guest, 1, HOUR_MS, NOW, &here.seats[1].person.key);
    let body = ticket
        .expect("may invite")
        .claimed_body()
        .expect("own ticket");
    assert_eq!(body.room, here.hub.room());
    assert_eq!(body.inviter, here.seats[1].person.account);
    assert_eq!(body.inviter_leaf, here.seats[1].member.own_leaf());
}
