//! Commits of members and joiners whose software does not check what it makes: hub and members refuse
//! them by the same fault, and nothing changes.

use entente_identity::{AccountDid, Signed, SigningKey};
use openmls::prelude::{
    Extension, Extensions, KeyPackage, LeafNodeParameters, Lifetime, MlsMessageOut, Proposal,
    UnknownExtension,
};

use super::forge::verified;
use super::world::{HOUR_MS, NOW, Person, World};
use crate::config::{LEAF_EXTENSION, capabilities, required_capabilities, unbounded_lifetime};
use crate::key_package::{KeyPackageLifetime, KeyPackageUse};
use crate::leaf::LeafIdentity;
use crate::member_view::DeviceSigner;
use crate::message::{MessageFault, mls_bytes};
use crate::policy::{InviteRight, Role, RoomPolicy};
use crate::provider::Provider;
use crate::rules::{RuleFault, group_extensions};
use crate::state::GroupState;
use crate::suite::Suite;
use crate::ticket::{Ticket, TicketFault};
use crate::{
    CommitBundle, CommitFault, KeyPackageFault, LeafFault, LeafIndex, Member, MemberFault,
    ProcessFault,
};

/// The hub refuses, and so does every member but the one that made it.
pub fn refused(world: &mut World, bundle: &CommitBundle, fault: &RuleFault) {
    let hub = world.check(bundle).map(|_| ());
    assert_eq!(hub, Err(CommitFault::Rule(fault.clone())));
    for seat in &mut world.seats {
        if seat.member.has_pending_commit() {
            seat.member.discard_pending().expect("discarded");
            continue;
        }
        let read = seat.member.process(&bundle.commit, NOW).map(|_| ());
        assert_eq!(read, Err(ProcessFault::Rule(fault.clone())));
        assert!(seat.member.take_delta().is_empty());
    }
    world.agree();
}

pub fn join(world: &World, ticket: Option<Signed<Ticket>>, person: &Person) -> CommitBundle {
    Member::commit_externally(&world.offer(), ticket, &person.identity, &person.key)
        .expect("commits without looking")
        .1
}

pub fn ticket(world: &World, inviter: usize, guest: &Person) -> Ticket {
    let inviter = &world.seats[inviter];
    Ticket {
        room: world.hub.room(),
        invitee: guest.account,
        role: Role::Member,
        min_list_version: 1,
        inviter: inviter.person.account,
        inviter_leaf: inviter.member.own_leaf(),
    }
}

#[test]
fn c9_joiners_with_bad_tickets_are_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let (guest, other) = (Person::new(8), Person::new(9));
    let key = world.seats[1].person.key.clone();
    let good = ticket(&world, 1, &guest);
    let cases = [
        (None, TicketFault::Missing),
        (
            Some(ticket(&world, 1, &other).sign(&key, NOW, HOUR_MS)),
            TicketFault::OtherInvitee,
        ),
        (
            Some(good.sign(&guest.key, NOW, HOUR_MS)),
            TicketFault::InviterGone,
        ),
        (
            Some(
                Ticket {
                    inviter: other.account,
                    ..good.clone()
                }
                .sign(&key, NOW, HOUR_MS),
            ),
            TicketFault::InviterGone,
        ),
        (
            Some(
                Ticket {
                    inviter_leaf: LeafIndex(77),
                    ..good.clone()
                }
                .sign(&key, NOW, HOUR_MS),
            ),
            TicketFault::InviterGone,
        ),
        (
            Some(
                Ticket {
                    role: Role::Admin,
                    ..good.clone()
                }
                .sign(&key, NOW, HOUR_MS),
            ),
            TicketFault::Role,
        ),
        (
            Some(
                Ticket {
                    min_list_version: 2,
                    ..good.clone()
                }
                .sign(&key, NOW, HOUR_MS),
            ),
            TicketFault::OldDeviceList { wanted: 2, got: 1 },
        ),
    ];
    for (ticket, fault) in cases {
        let bundle = join(&world, ticket, &guest);
        refused(&mut world, &bundle, &RuleFault::Ticket(fault));
    }
    let bundle = join(&world, Some(good.sign(&key, NOW, HOUR_MS)), &guest);
    world.commit(&bundle).expect("the good one");
}

#[test]
fn c9_joiners_invited_by_those_who_may_not_are_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 2);
    let closed = world.hub.policy().with_invite(InviteRight::Admins);
    let founder = &mut world.seats[0];
    let bundle = founder.member.set_policy(&closed, &founder.person.key);
    world
        .commit(&bundle.expect("an admin"))
        .expect("a good commit");
    let guest = Person::new(8);
    let key = world.seats[1].person.key.clone();
    let signed = ticket(&world, 1, &guest).sign(&key, NOW, HOUR_MS);
    let bundle = join(&world, Some(signed), &guest);
    refused(&mut world, &bundle, &TicketFault::MayNotInvite.into());
    let (_, key_package) = guest.key_package(Suite::Classical);
    let key_package = verified(&key_package);
    let member = &mut world.seats[1];
    let account = member.person.account;
    let bundle = member
        .member
        .commit(&key, |builder| Ok(builder.propose_adds([key_package])))
        .expect("commits without looking");
    refused(&mut world, &bundle, &RuleFault::MayNotInvite(account));
}

#[test]
fn c9_joiners_with_forged_leaves_are_refused_by_the_hub() {
    let mut world = World::of(Suite::Classical, 2);
    let (honest, forger) = (Person::new(8), Person::new(9));
    let key = world.seats[0].person.key.clone();
    let signed = ticket(&world, 0, &honest).sign(&key, NOW, HOUR_MS);
    // The honest person's certificates over the forger's key.
    let stolen = Person {
        key: forger.key.clone(),
        ..honest.clone()
    };
    let bundle = join(&world, Some(signed.clone()), &stolen);
    refused(&mut world, &bundle, &LeafFault::SignatureKey.into());
    // The forger's certificates under the honest person's name.
    let mut renamed = forger.clone();
    renamed.identity.account = honest.account;
    let bundle = join(&world, Some(signed), &renamed);
    let hub = world.check(&bundle).map(|_| ());
    assert!(matches!(
        hub,
        Err(CommitFault::Rule(RuleFault::Leaf(LeafFault::Certificate(
            _
        ))))
    ));
    let mut homeless = honest;
    homeless.identity.home_record = forger.identity.home_record.clone();
    let bundle = join(&world, None, &homeless);
    assert!(matches!(
        world.check(&bundle).map(|_| ()),
        Err(CommitFault::Rule(RuleFault::Leaf(LeafFault::HomeRecord(_))))
    ));
}

#[test]
fn c7_members_that_take_rights_they_do_not_have_are_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let (key, account) = (
        world.seats[1].person.key.clone(),
        world.seats[1].person.account,
    );
    let victim = world.seats[2].member.own_leaf();
    let member = &mut world.seats[1].member;
    let removal = member.commit(
        &key,
        |builder| Ok(builder.propose_removals([victim.into()])),
    );
    let removal = removal.expect("commits without looking");
    refused(&mut world, &removal, &RuleFault::MayNotRemove(account));
    let mine = RoomPolicy::founded_by(account);
    let bundle = propose_extensions(&mut world, 1, group_extensions(&mine), &key);
    refused(&mut world, &bundle, &RuleFault::MayNotChangePolicy(account));
    let founder = world.seats[0].person.key.clone();
    let bare = Extension::RequiredCapabilities(required_capabilities());
    let bare = Extensions::from_vec(vec![bare]).expect("an extension");
    let bundle = propose_extensions(&mut world, 0, bare, &founder);
    refused(&mut world, &bundle, &RuleFault::GroupExtensions);
}

pub fn propose_extensions(
    world: &mut World,
    seat: usize,
    extensions: Extensions<openmls::prelude::GroupContext>,
    key: &SigningKey,
) -> CommitBundle {
    world.seats[seat]
        .member
        .commit(key, |builder| {
            builder
                .propose_group_context_extensions(extensions)
                .map_err(|error| MemberFault::Mls(error.to_string()))
        })
        .expect("commits without looking")
}

#[test]
fn f6_a_leaf_that_becomes_another_devices_is_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let key = world.seats[1].person.key.clone();
    let other = world.seats[2].person.identity.clone();
    let refresh = |world: &mut World, extensions| {
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(extensions)
            .build();
        let member = &mut world.seats[1].member;
        member
            .commit(&key, |builder| Ok(builder.leaf_node_parameters(leaf)))
            .expect("commits without looking")
    };
    let bundle = refresh(&mut world, other.extensions());
    refused(&mut world, &bundle, &LeafFault::CredentialIdentity.into());
    let garbage = Extension::Unknown(LEAF_EXTENSION, UnknownExtension(vec![1, 2, 3]));
    let garbage = Extensions::single(garbage).expect("an extension");
    let bundle = refresh(&mut world, garbage);
    assert!(matches!(
        world.check(&bundle).map(|_| ()),
        Err(CommitFault::Rule(RuleFault::Leaf(LeafFault::Malformed(_))))
    ));
    world.seats[1].member.discard_pending().expect("discarded");
    let long = Extension::Unknown(LEAF_EXTENSION, UnknownExtension(vec![0; 9000]));
    let long = Extensions::single(long).expect("an extension");
    let bundle = refresh(&mut world, long);
    assert!(matches!(
        world.check(&bundle).map(|_| ()),
        Err(CommitFault::Rule(RuleFault::Leaf(LeafFault::TooLong(_))))
    ));
    world.seats[1].member.discard_pending().expect("discarded");
    let bundle = refresh(&mut world, Extensions::empty());
    refused(&mut world, &bundle, &LeafFault::NoIdentity.into());
}

#[test]
fn commits_with_authenticated_data_or_with_proposals_that_rooms_do_not_use() {
    let mut world = World::of(Suite::Classical, 2);
    let key = world.seats[0].person.key.clone();
    let member = &mut world.seats[0].member;
    member.group.set_aad(vec![1]);
    let bundle = member.refresh(None, &key).expect("commits");
    refused(&mut world, &bundle, &MessageFault::Aad.into());
    let member = &mut world.seats[0].member;
    let ephemeral = openmls::prelude::AppEphemeralProposal::new(1, vec![1]);
    let commit = member.commit(&key, |builder| {
        Ok(builder.add_proposal(Proposal::AppEphemeral(Box::new(ephemeral))))
    });
    assert!(
        commit.is_err(),
        "no leaf says that it supports such proposals"
    );
}

#[test]
fn key_packages_whose_leaf_ends_for_some_members_before_others() {
    let mut world = World::of(Suite::Classical, 2);
    let guest = Person::new(8);
    let good = unbounded_lifetime();
    let ends = Lifetime::init(0, 4_000_000_000);
    assert!(crate::judge_key_package(&key_package(&guest, good, 90), NOW).is_ok());
    let bounded = key_package(&guest, ends, 90);
    assert_eq!(
        crate::judge_key_package(&bounded, NOW).map(|_| ()),
        Err(KeyPackageFault::Leaf(LeafFault::Lifetime))
    );
    let long = key_package(&guest, good, 91);
    let key = world.seats[0].person.key.clone();
    let cases = [
        (bounded, KeyPackageFault::Leaf(LeafFault::Lifetime)),
        (long, KeyPackageFault::Lifetime),
    ];
    for (bytes, fault) in cases {
        let key_package = verified(&bytes);
        let bundle = world.seats[0]
            .member
            .commit(&key, |builder| Ok(builder.propose_adds([key_package])))
            .expect("commits without looking");
        refused(&mut world, &bundle, &fault.into());
    }
}

pub fn key_package(person: &Person, leaf_lifetime: Lifetime, days: u64) -> Vec<u8> {
    let lifetime = KeyPackageLifetime {
        begins: NOW,
        expires: NOW.after(days * 24 * HOUR_MS),
    };
    let built = KeyPackage::builder()
        .key_package_lifetime(leaf_lifetime)
        .key_package_extensions(lifetime.extensions(KeyPackageUse::Once))
        .leaf_node_capabilities(capabilities())
        .leaf_node_extensions(person.identity.extensions())
        .build(
            Suite::Classical.mls(),
            &Provider::new(GroupState::new()),
            &DeviceSigner(&person.key),
            person.identity.credential(person.key.public().as_bytes()),
        );
    let key_package = built.expect("builds without looking").into_key_package();
    mls_bytes(&MlsMessageOut::from(key_package))
}

#[test]
fn f6_a_device_that_comes_back_with_an_older_certificate_is_refused() {
    let mut world = World::of(Suite::Classical, 2);
    let person = world.seats[1].person.clone();
    let newer = newer_identity(&person);
    let seat = &mut world.seats[1];
    let bundle = seat.member.refresh(Some(&newer), &person.key);
    world
        .commit(&bundle.expect("commits"))
        .expect("a good commit");
    let bundle = join(&world, None, &person);
    let hub = world.check(&bundle).map(|_| ());
    assert_eq!(hub, Err(RuleFault::LeafChangedOwner.into()));
    let again = Person {
        identity: newer,
        ..person
    };
    let bundle = join(&world, None, &again);
    assert!(world.check(&bundle).is_ok());
}

/// The same device under version 2 of its account's list.
pub fn newer_identity(person: &Person) -> LeafIdentity {
    let account = AccountDid::new(person.root.public());
    let first = &person.identity.chain[0];
    let body = first.claimed_body().expect("own certificate");
    let newer = entente_identity::DeviceCertificate {
        list_version: 2,
        ..body
    };
    let context = first.claimed_context().expect("own certificate");
    let newer = Signed::sign(&newer, &context, &person.root);
    LeafIdentity::new(account, vec![newer], person.identity.home_record.clone())
}

#[test]
fn c6_a_group_info_with_the_tree_in_it_is_refused_with_its_commit() {
    let mut world = World::of(Suite::Classical, 2);
    let key = world.seats[0].person.key.clone();
    let member = &mut world.seats[0].member;
    let bundle = member.refresh(None, &key).expect("commits");
    let merged = Member::load(member.room(), {
        world.seats[0].store();
        world.seats[0].table.0.clone()
    });
    let mut merged = merged.expect("own rows");
    merged.process(&bundle.commit, NOW).expect("own commit");
    let with_tree = merged
        .group
        .export_group_info(&merged.provider.crypto, &DeviceSigner(&key), true)
        .expect("exports");
    let fat = CommitBundle {
        group_info: mls_bytes(&with_tree),
        ..bundle.clone()
    };
    assert_eq!(
        world.check(&fat).map(|_| ()),
        Err(crate::GroupInfoFault::Extensions.into())
    );
    let thin = merged
        .group
        .export_group_info(&merged.provider.crypto, &DeviceSigner(&key), false)
        .expect("exports");
    let good = CommitBundle {
        group_info: mls_bytes(&thin),
        ..bundle
    };
    assert!(world.check(&good).is_ok());
}
