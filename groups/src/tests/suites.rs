//! Suites and keys that do not belong together, and one bad signature of two.

use entente_identity::{Signed, SigningKey, encode};
use openmls::prelude::{
    Capabilities, CredentialType, ExtensionType, KeyPackage, MlsMessageOut, ProposalType,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::forge::{
    SIGNATURE_BYTES, handshake_with, key_package_with, leaf_of, path_leaf, sign, verified,
};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::config::{
    LEAF_EXTENSION, LIFETIME_EXTENSION, POLICY_EXTENSION, capabilities, unbounded_lifetime,
};
use crate::key_package::KeyPackageLifetime;
use crate::member_view::DeviceSigner;
use crate::message::mls_bytes;
use crate::provider::Provider;
use crate::{
    CommitBundle, CommitFault, CreateRecord, FoundingFault, KeyPackageFault, KeyPackageUse,
    LeafFault, Member, MemberFault, PublicRoom, RuleFault, Suite, WelcomeOffer, judge_key_package,
    room_id,
};

#[test]
fn a12_one_bad_signature_of_two_refuses_the_whole() {
    let (person, other) = (Person::new(1), Person::new(2));
    let (_, good) = person.key_package(Suite::Classical);
    // Either signature by somebody else, the other one in order.
    let leaf = leaf_of(&good);
    let old = &leaf[leaf.len() - 64..];
    let theirs = sign(
        &other.key,
        "LeafNodeTBS",
        &leaf[..leaf.len() - SIGNATURE_BYTES],
    );
    let inner = key_package_with(&good, old, &theirs, &person.key);
    let outer = key_package_with(&good, old, old, &other.key);
    for bytes in [inner, outer] {
        let judged = judge_key_package(&bytes, NOW);
        assert!(
            matches!(judged, Err(KeyPackageFault::Invalid(_))),
            "{judged:?}"
        );
    }
    // Of a chain of two certificates, either one by another key.
    let second = person.second_device(1);
    let chain = |first: &Person, second: &Person| {
        let mut identity = person.identity.clone();
        identity.chain = [&first.identity.chain[..], &second.identity.chain].concat();
        identity.verify().map(|leaf| leaf.device.id)
    };
    let by_manager = certified_by(&second, &person.key);
    assert_eq!(chain(&person, &by_manager), Ok(second.device.id));
    for broken in [
        chain(&other, &by_manager),
        chain(&person, &certified_by(&second, &other.key)),
    ] {
        assert!(
            matches!(broken, Err(LeafFault::Certificate(_))),
            "{broken:?}"
        );
    }
}

/// The same device, certified by another key.
fn certified_by(person: &Person, key: &SigningKey) -> Person {
    let mut certified = person.clone();
    let first = &person.identity.chain[0];
    let context = entente_identity::SigningContext {
        key_id: key.public().to_string(),
        ..first.claimed_context().expect("own certificate")
    };
    let body = first.claimed_body().expect("own certificate");
    certified.identity.chain[0] = Signed::sign(&body, &context, key);
    certified
}

#[test]
fn a12_key_packages_of_other_suites_are_added_by_nobody() {
    let person = Person::new(5);
    let (_, classical) = person.key_package(Suite::Classical);
    let with_suite = |suite: u16| {
        let (old, new) = ([0, 1, 0, 5, 0, 1, 0, 1], suite.to_be_bytes());
        let new = [&old[..6], &new].concat();
        key_package_with(&classical, &old, &new, &person.key)
    };
    let foreign = judge_key_package(&with_suite(3), NOW);
    assert!(
        matches!(
            foreign,
            Err(KeyPackageFault::Suite(_) | KeyPackageFault::Invalid(_))
        ),
        "{foreign:?}"
    );
    let mixed = judge_key_package(&with_suite(0x4e), NOW);
    assert_eq!(mixed, Err(KeyPackageFault::InitKey));
    for (room, other) in [
        (Suite::PostQuantum, Suite::Classical),
        (Suite::Classical, Suite::PostQuantum),
    ] {
        let mut world = World::of(room, 2);
        let (_, bytes) = person.key_package(other);
        let founder = &mut world.seats[0];
        let (key, got) = (founder.person.key.clone(), other);
        let bundle = std::slice::from_ref(&bytes);
        let add = founder.member.add(bundle, NOW, &key).map(|_| ());
        assert_eq!(add, Err(MemberFault::OtherSuite { room, got }));
    }
    // In a commit that some other software made.
    let mut world = World::of(Suite::Classical, 2);
    let founder = &mut world.seats[0];
    let key = founder.person.key.clone();
    let add = std::slice::from_ref(&classical);
    let bundle = founder.member.add(add, NOW, &key).expect("adds");
    founder.member.discard_pending().expect("discarded");
    founder.store();
    for suite in [1, 3, 0x4e] {
        let names = (&classical[4..], &with_suite(suite)[4..]);
        let commit = handshake_with(&world, &bundle.commit, names, 2, &key);
        let changed = CommitBundle {
            commit: commit.clone(),
            ..bundle.clone()
        };
        let hub = world.check(&changed).map(|_| ());
        if suite == 1 {
            assert_eq!(hub, Ok(()), "the same, signed anew");
            continue;
        }
        assert!(
            matches!(hub, Err(CommitFault::Mls(_) | CommitFault::Rule(_))),
            "{hub:?}"
        );
        let reader = &mut world.seats[1].member;
        assert!(reader.process(&commit, NOW).is_err());
        assert!(reader.take_delta().is_empty());
    }
}

/// A key of this length that nobody can encrypt to: X25519 gives zero with it (RFC 9180 §7.1.4).
fn unusable(key: &[u8]) -> Vec<u8> {
    vec![0; key.len()]
}

#[test]
fn a12_keys_to_which_nobody_can_encrypt_come_into_no_room() {
    let person = Person::new(5);
    let mut world = World::of(Suite::Classical, 2);
    let (_, good) = person.key_package(Suite::Classical);
    let made = verified(&good);
    let init = made.hpke_init_key().as_slice();
    let init = key_package_with(&good, init, &unusable(init), &person.key);
    assert_eq!(judge_key_package(&init, NOW), Err(KeyPackageFault::InitKey));
    let leaf = with_unusable_key(&leaf_of(&good), &[], &person.key);
    let leaf = key_package_with(&good, &leaf_of(&good), &leaf, &person.key);
    let bad_leaf = KeyPackageFault::Leaf(LeafFault::EncryptionKey);
    assert_eq!(judge_key_package(&leaf, NOW), Err(bad_leaf.clone()));
    // Added by a member that does not look.
    let founder = &mut world.seats[0];
    let key = founder.person.key.clone();
    let bundle = founder.member.add(std::slice::from_ref(&good), NOW, &key);
    let bundle = bundle.expect("adds");
    founder.member.discard_pending().expect("discarded");
    let added = founder
        .member
        .commit(&key, |builder| Ok(builder.propose_adds([verified(&leaf)])));
    let added = added.expect("commits without looking");
    founder.member.discard_pending().expect("discarded");
    founder.store();
    refused_by_rule(&mut world, &added.commit, &added, &bad_leaf.into());
    let names = (&good[4..], &init[4..]);
    let commit = handshake_with(&world, &bundle.commit, names, 2, &key);
    let fault = KeyPackageFault::InitKey.into();
    refused_by_rule(&mut world, &commit, &bundle, &fault);
    // In a member's own new leaf.
    let seat = &mut world.seats[0].member;
    let bundle = seat.refresh(None, &key).expect("commits");
    let leaf = path_leaf(&mut world, 0, &bundle.commit);
    world.seats[0].member.discard_pending().expect("discarded");
    world.seats[0].store();
    let place = [&[32][..], &world.hub.room().0, &[0, 0, 0, 0]].concat();
    let bad = with_unusable_key(&leaf, &place, &key);
    let commit = handshake_with(&world, &bundle.commit, (&leaf, &bad), 2, &key);
    refused_by_rule(
        &mut world,
        &commit,
        &bundle,
        &LeafFault::EncryptionKey.into(),
    );
}

/// The leaf with another encryption key, which comes first in it, signed anew (RFC 9420 §7.2).
fn with_unusable_key(leaf: &[u8], place: &[u8], key: &SigningKey) -> Vec<u8> {
    let (encryption_key, rest) = leaf[1..leaf.len() - SIGNATURE_BYTES].split_at(32);
    assert_eq!(leaf[0], 32, "the key's length");
    let unsigned = [&leaf[..1], &unusable(encryption_key), rest].concat();
    let signature = sign(key, "LeafNodeTBS", &[&unsigned[..], place].concat());
    [unsigned, encode(&tls_codec::VLBytes::from(signature))].concat()
}

/// The hub refuses a changed commit by this rule, and a member refuses it too.
fn refused_by_rule(world: &mut World, commit: &[u8], bundle: &CommitBundle, fault: &RuleFault) {
    let changed = CommitBundle {
        commit: commit.to_vec(),
        ..bundle.clone()
    };
    let hub = world.check(&changed).map(|_| ());
    assert_eq!(hub, Err(CommitFault::Rule(fault.clone())));
    let reader = &mut world.seats[1].member;
    assert!(reader.process(commit, NOW).is_err());
    assert!(reader.take_delta().is_empty());
}

#[test]
fn a12_a_room_has_the_suite_of_its_record() {
    let founder = Person::new(0);
    let hub = "did:web:org-a.example".parse().expect("a server");
    let mut rng = StdRng::seed_from_u64(1);
    let body = CreateRecord::new(founder.account, hub, Suite::PostQuantum, NOW, &mut rng);
    let record = body.sign(&founder.key);
    let founded = |suite| {
        let lying = CreateRecord {
            suite,
            ..body.clone()
        };
        let (room, key) = (room_id(&record), &founder.key);
        let founding = Member::found(room, &lying, &founder.identity, key).expect("founds");
        PublicRoom::from_create(&record, &founding.group_info, &founding.tree).map(|_| ())
    };
    assert_eq!(founded(Suite::PostQuantum), Ok(()));
    let fault = FoundingFault::Record("the cipher suite");
    assert_eq!(founded(Suite::Classical), Err(fault));
}

#[test]
fn a12_a_welcome_of_another_suite_is_refused_and_uses_nothing_up() {
    let mut world = World::of(Suite::Classical, 2);
    let guest = Person::new(5);
    let (mut store, key_package) = guest.key_package(Suite::Classical);
    let founder = &mut world.seats[0];
    let bundle = founder.member.add(&[key_package], NOW, &founder.person.key);
    let bundle = bundle.expect("adds");
    let welcome = bundle.welcome.clone().expect("a Welcome");
    assert_eq!(welcome[4..6], [0, 1], "the suite");
    for suite in [0x4e_u16, 3] {
        let mut other = welcome.clone();
        other[4..6].copy_from_slice(&suite.to_be_bytes());
        let lying = CommitBundle {
            welcome: Some(other.clone()),
            ..bundle.clone()
        };
        let hub = world.check(&lying).map(|_| ());
        assert!(
            matches!(hub, Err(CommitFault::Welcome | CommitFault::Message(_))),
            "{hub:?}"
        );
        let offer = WelcomeOffer {
            room: world.hub.room(),
            welcome: other,
            tree: world.check(&bundle).expect("good").next.ratchet_tree(),
        };
        assert!(Member::join_by_welcome(&offer, &mut store).is_err());
        assert_eq!(store.len(), 1);
    }
}

#[test]
fn a12_a_leaf_that_cannot_do_what_rooms_need_is_refused() {
    let whole = capabilities();
    let lacking = |lack: &str| {
        let keep = |name: &str| name != lack;
        Capabilities::builder()
            .versions(whole.versions().to_vec())
            .ciphersuites(match keep("the room's cipher suite") {
                true => vec![Suite::Classical.mls(), Suite::PostQuantum.mls()],
                false => vec![Suite::PostQuantum.mls()],
            })
            .extensions(
                [
                    ("", ExtensionType::LastResort),
                    ("", ExtensionType::Unknown(LIFETIME_EXTENSION)),
                    (
                        "the leaf identity extension",
                        ExtensionType::Unknown(LEAF_EXTENSION),
                    ),
                    (
                        "the room policy extension",
                        ExtensionType::Unknown(POLICY_EXTENSION),
                    ),
                ]
                .into_iter()
                .filter(|(name, _)| keep(name))
                .map(|(_, extension)| extension)
                .collect(),
            )
            .proposals(match keep("SelfRemove proposals") {
                true => vec![ProposalType::SelfRemove],
                false => vec![],
            })
            .credentials(vec![CredentialType::Basic])
            .build()
    };
    let person = Person::new(5);
    assert!(judge_key_package(&built(&person, lacking("nothing")), NOW).is_ok());
    for what in [
        "the room's cipher suite",
        "the room policy extension",
        "SelfRemove proposals",
    ] {
        let judged = judge_key_package(&built(&person, lacking(what)), NOW);
        let fault = KeyPackageFault::Leaf(LeafFault::Capabilities(what));
        assert_eq!(judged, Err(fault));
    }
}

/// A KeyPackage whose leaf says that it can do this.
fn built(person: &Person, capabilities: Capabilities) -> Vec<u8> {
    let lifetime = KeyPackageLifetime {
        begins: NOW,
        expires: NOW.after(HOUR_MS),
    };
    let bundle = KeyPackage::builder()
        .key_package_lifetime(unbounded_lifetime())
        .key_package_extensions(lifetime.extensions(KeyPackageUse::Once))
        .leaf_node_capabilities(capabilities)
        .leaf_node_extensions(person.identity.extensions())
        .build(
            Suite::Classical.mls(),
            &Provider::default(),
            &DeviceSigner(&person.key),
            person.identity.credential(person.key.public().as_bytes()),
        );
    let key_package = bundle.expect("builds without looking").into_key_package();
    mls_bytes(&MlsMessageOut::from(key_package))
}
