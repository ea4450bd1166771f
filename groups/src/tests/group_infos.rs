//! What a commit makes of its group: the GroupInfo that says so, and extensions that no room has.

use entente_identity::{AccountDid, encode};
use openmls::prelude::{
    CredentialType, Extension, ExtensionType, Extensions, ExternalSender, GroupContext,
    ProposalType, RequiredCapabilitiesExtension, UnknownExtension,
};
use tls_codec::VLBytes;

use super::forge::Info;
use super::hostile::{propose_extensions, refused};
use super::world::{Person, World};
use crate::config::{LEAF_EXTENSION, LIFETIME_EXTENSION, POLICY_EXTENSION, required_capabilities};
use crate::leaf::credential;
use crate::policy::{InviteRight, PolicyFault, RoomPolicy};
use crate::rules::{RuleFault, group_extensions};
use crate::{CommitBundle, CommitFault, GroupInfoFault, PublicRoom, Suite};

/// A change to a GroupInfo, with a word for it.
type Lie = (&'static str, fn(&mut Info));

/// ExternalPub, and an extension that nobody knows (RFC 9420 §17.3).
const EXTRA: [u8; 5] = [0xf0, 0xff, 2, 1, 2];

const LIES: [Lie; 18] = [
    ("the version", |info| info.version = 2),
    ("the wire format", |info| info.wire_format = 3),
    ("the group's version", |info| info.context.version = 2),
    ("the suite", |info| info.context.suite ^= 0x4f),
    ("another suite", |info| info.context.suite = 3),
    ("the group id", |info| {
        info.context.group_id = vec![9; 32].into()
    }),
    ("a longer group id", |info| {
        info.context.group_id = vec![9; 33].into()
    }),
    ("an earlier epoch", |info| info.context.epoch -= 1),
    ("a later epoch", |info| info.context.epoch += 1),
    ("the tree hash", |info| flip(&mut info.context.tree_hash)),
    ("no tree hash", |info| {
        info.context.tree_hash = Vec::new().into()
    }),
    ("the transcript", |info| {
        flip(&mut info.context.transcript_hash)
    }),
    ("the group's extensions", |info| {
        flip(&mut info.context.extensions)
    }),
    ("the confirmation tag", |info| {
        flip(&mut info.confirmation_tag)
    }),
    ("one more extension", |info| {
        info.extensions = [info.extensions.as_slice(), &EXTRA].concat().into();
    }),
    ("the external key twice", |info| {
        info.extensions = info.extensions.as_slice().repeat(2).into();
    }),
    ("no external key", |info| {
        info.extensions = Vec::new().into()
    }),
    ("the signer", |info| info.signer += 1),
];

fn flip(bytes: &mut VLBytes) {
    let mut changed = bytes.as_slice().to_vec();
    let last = changed.last_mut().expect("not empty");
    *last ^= 1;
    *bytes = changed.into();
}

#[test]
fn c6_a_group_info_that_does_not_match_its_commit_is_refused_with_it() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 3);
        let seat = &mut world.seats[1];
        let key = seat.person.key.clone();
        let bundle = seat.member.refresh(None, &key).expect("commits");
        let before = world.hub.snapshot();
        let honest = Info::parse(&bundle.group_info);
        for (what, lie) in LIES {
            let mut info = honest.clone();
            lie(&mut info);
            // The committer itself signs what it says.
            let lying = CommitBundle {
                group_info: info.signed(&key),
                ..bundle.clone()
            };
            let refused = world.check(&lying).map(|_| ());
            assert!(
                matches!(refused, Err(CommitFault::GroupInfo(_))),
                "{what}: {refused:?}"
            );
            assert_eq!(
                world.hub.snapshot(),
                before,
                "{what}: the hub has not moved"
            );
        }
        let unsigned = CommitBundle {
            group_info: honest.clone().signed(&Person::new(77).key),
            ..bundle.clone()
        };
        let fault = GroupInfoFault::Signature.into();
        assert_eq!(world.check(&unsigned).map(|_| ()), Err(fault));
        let anew = CommitBundle {
            group_info: honest.signed(&key),
            ..bundle
        };
        assert_eq!(
            world.check(&anew).map(|_| ()),
            Ok(()),
            "the same, signed anew"
        );
        world.commit(&anew).expect("a good commit");
    }
}

#[test]
fn c6_a_joiner_refuses_a_group_info_that_is_not_its_trees() {
    let world = World::of(Suite::Classical, 3);
    let (tree, room) = (world.hub.ratchet_tree(), world.hub.room());
    let honest = Info::parse(&world.group_info);
    let signer = usize::try_from(honest.signer).expect("a leaf");
    let key = &world.seats[signer].person.key;
    let adopt = |info: Info| PublicRoom::adopt(room, &info.signed(key), &tree).map(|_| ());
    assert_eq!(adopt(honest.clone()), Ok(()));
    // A joiner cannot know epoch, transcript and tag: with wrong ones, its commit suits no member.
    let unknowable = [
        "an earlier epoch",
        "a later epoch",
        "the transcript",
        "the confirmation tag",
    ];
    for (what, lie) in LIES
        .into_iter()
        .filter(|(what, _)| !unknowable.contains(what))
    {
        let mut info = honest.clone();
        lie(&mut info);
        assert!(adopt(info).is_err(), "{what}");
    }
    let before = super::world::World::of(Suite::Classical, 2)
        .hub
        .ratchet_tree();
    let other_tree = PublicRoom::adopt(room, &world.group_info, &before).map(|_| ());
    assert!(
        matches!(other_tree, Err(CommitFault::Mls(_))),
        "{other_tree:?}"
    );
}

/// The room's extensions with these besides or instead.
fn extensions(list: Vec<Extension>) -> Extensions<GroupContext> {
    Extensions::from_vec(list).expect("may be in a GroupContext")
}

fn policy_extension(bytes: Vec<u8>) -> Extension {
    Extension::Unknown(POLICY_EXTENSION, UnknownExtension(bytes))
}

/// A room's hub is a fact of its log: its group has no component for it, nor any other than two.
#[test]
fn c7_extensions_that_no_room_has_are_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let key = world.seats[0].person.key.clone();
    let policy = || policy_extension(world.hub.policy().to_bytes());
    let required = || Extension::RequiredCapabilities(required_capabilities());
    let outsider = Person::new(66);
    let sender = ExternalSender::new(
        outsider.key.public().as_bytes().to_vec().into(),
        credential(&outsider.account),
    );
    let known = [LEAF_EXTENSION, POLICY_EXTENSION, LIFETIME_EXTENSION];
    let types = known.map(ExtensionType::Unknown);
    let (proposals, credentials) = ([ProposalType::SelfRemove], [CredentialType::Basic]);
    let wanting = |types| RequiredCapabilitiesExtension::new(types, &proposals, &credentials);
    let wants = |types| Extension::RequiredCapabilities(wanting(types));
    let component = Extension::Unknown(LIFETIME_EXTENSION, UnknownExtension(vec![1]));
    // openmls itself wants every extension to be among the required capabilities.
    let cases = [
        vec![wants(&types[..]), policy(), component],
        vec![wants(&types[..]), policy()],
        vec![wants(&types[1..2]), policy()],
        vec![
            required(),
            policy(),
            Extension::ExternalSenders(vec![sender]),
        ],
        vec![required()],
        vec![],
    ];
    for list in cases {
        let bundle = propose_extensions(&mut world, 0, extensions(list), &key);
        refused(&mut world, &bundle, &RuleFault::GroupExtensions);
    }
}

#[test]
fn c7_policies_that_nobody_could_read_or_that_leave_no_admin_are_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let key = world.seats[0].person.key.clone();
    let required = || Extension::RequiredCapabilities(required_capabilities());
    let good = world.hub.policy().to_bytes();
    let admin = world.hub.policy().admins()[0];
    let list = |admins: &[AccountDid]| [&good[..2], &encode(&admins.to_vec())].concat();
    let cases = [
        (list(&[]), PolicyFault::Admins),
        (list(&[admin, admin]), PolicyFault::Admins),
        ([&[2], &good[1..]].concat(), PolicyFault::Version(2)),
    ];
    for (bytes, fault) in cases {
        let list = vec![required(), policy_extension(bytes)];
        let bundle = propose_extensions(&mut world, 0, extensions(list), &key);
        refused(&mut world, &bundle, &fault.into());
    }
    let member = &world.seats[1].person.clone();
    for policy in [
        RoomPolicy::founded_by(member.account),
        world.hub.policy().with_invite(InviteRight::Admins),
    ] {
        let bundle = propose_extensions(&mut world, 1, group_extensions(&policy), &member.key);
        let fault = RuleFault::MayNotChangePolicy(member.account);
        refused(&mut world, &bundle, &fault);
    }
}
