//! Every kind of MLS object with bytes changed, cut off, added and claimed to be endless: refused by
//! hub and members, without a panic and without a trace in what they store.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tls_codec::VLBytes;

use entente_identity::{decode_exact, encode};

use super::hostile::{join, ticket};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::{
    CommitBundle, GroupMessage, JoinOffer, KeyPackages, MAX_APPLICATION_BYTES,
    MAX_GROUP_INFO_BYTES, MAX_HANDSHAKE_BYTES, MAX_KEY_PACKAGE_BYTES, MAX_TREE_BYTES,
    MAX_WELCOME_BYTES, Member, MessageFault, PublicRoom, Suite, WelcomeOffer, judge_key_package,
};

/// How many places of each object are changed; short objects are changed everywhere.
const PLACES: usize = 120;
/// The longest length that the encoding knows, in the bytes before a vector (RFC 9420 §2.1.2).
const ENDLESS: [u8; 4] = [0xbf, 0xff, 0xff, 0xff];

/// What became of an object's bytes.
#[derive(Clone, Debug)]
enum Change {
    Bit(usize),
    Gone(usize),
    Extra(usize),
    CutAt(usize),
    EndlessAt(usize),
    Doubled,
}

impl Change {
    fn applied(&self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        match *self {
            Self::Bit(at) => changed[at] ^= 1 << (at % 8),
            Self::Gone(at) => drop(changed.remove(at)),
            Self::Extra(at) => changed.insert(at, at as u8),
            Self::CutAt(at) => changed.truncate(at),
            Self::EndlessAt(at) => {
                let end = bytes.len().min(at + 4);
                changed[at..end].copy_from_slice(&ENDLESS[..end - at]);
            }
            Self::Doubled => changed.extend_from_slice(bytes),
        }
        changed
    }
}

fn changes(length: usize, seed: u64) -> Vec<Change> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bits: Vec<usize> = (0..length).collect();
    while bits.len() > PLACES {
        bits.swap_remove(rng.gen_range(0..bits.len()));
    }
    let mut list: Vec<_> = bits.into_iter().map(Change::Bit).collect();
    for kind in [
        Change::Gone,
        Change::Extra,
        Change::CutAt,
        Change::EndlessAt,
    ] {
        list.extend((0..PLACES / 6).map(|_| kind(rng.gen_range(0..length))));
    }
    list.extend([
        Change::CutAt(0),
        Change::CutAt(length - 1),
        Change::Extra(length),
    ]);
    list.push(Change::Doubled);
    list
}

/// Tries every change of an object; `refused` says whether it was, and looks at what is stored.
fn every_change(what: &str, bytes: &[u8], mut refused: impl FnMut(&[u8], &Change) -> bool) {
    let changes = changes(bytes.len(), 5);
    assert!(changes.len() > PLACES.min(bytes.len()));
    for change in changes {
        let changed = change.applied(bytes);
        if changed != bytes {
            assert!(refused(&changed, &change), "{what}: {change:?}");
        }
    }
}

/// The handshakes of a room of four: a member's commit that adds somebody, a leave, a join.
struct Handshakes {
    world: World,
    add: CommitBundle,
    joining: CommitBundle,
    leaving: Vec<u8>,
    store: KeyPackages,
}

fn handshakes() -> Handshakes {
    let mut world = World::of(Suite::Classical, 4);
    let (newcomer, guest) = (Person::new(8), Person::new(9));
    let (store, package) = newcomer.key_package(Suite::Classical);
    let founder = &mut world.seats[0];
    let key = founder.person.key.clone();
    let add = founder.member.add(&[package], NOW, &key).expect("adds");
    founder.store();
    let signed = ticket(&world, 0, &guest).sign(&key, NOW, HOUR_MS);
    let joining = join(&world, Some(signed), &guest);
    let leaver = &world.seats[1];
    let mut copy = Member::load(world.hub.room(), leaver.table.0.clone()).expect("own rows");
    let leaving = copy.leave(&leaver.person.key).expect("leaves");
    for seat in &mut world.seats {
        let _ = seat.member.take_delta();
    }
    Handshakes {
        world,
        add,
        joining,
        leaving,
        store,
    }
}

/// The last bytes of a member's handshake, for members to check (RFC 9420 §6.2).
const MEMBERSHIP_TAG: usize = 32;

/// Whether a change leaves the length and everything before `end` as it was.
fn is_beyond(change: &Change, end: usize) -> bool {
    matches!(change, Change::Bit(at) | Change::EndlessAt(at) if *at >= end)
}

#[test]
fn e5_changed_handshakes_are_refused_by_the_hub() {
    let Handshakes {
        world,
        add,
        joining,
        leaving,
        ..
    } = handshakes();
    let before = world.hub.snapshot();
    for (what, bundle, unseen) in [("commit", &add, MEMBERSHIP_TAG), ("join", &joining, 0)] {
        let end = bundle.commit.len() - unseen;
        every_change(what, &bundle.commit, |commit, change| {
            let changed = CommitBundle {
                commit: commit.to_vec(),
                ..bundle.clone()
            };
            world.check(&changed).is_err() || is_beyond(change, end)
        });
        every_change("GroupInfo", &bundle.group_info, |group_info, _| {
            let changed = CommitBundle {
                group_info: group_info.to_vec(),
                ..bundle.clone()
            };
            world.check(&changed).is_err()
        });
        assert!(world.check(bundle).is_ok());
    }
    let end = leaving.len() - MEMBERSHIP_TAG;
    every_change("leave", &leaving, |proposal, change| {
        world.hub.check_proposal(proposal).is_err() || is_beyond(change, end)
    });
    // Whatever becomes of a Welcome, the hub sees its form and whom it is for.
    let welcome = add.welcome.clone().expect("a Welcome");
    every_change("Welcome", &welcome, |welcome, change| {
        let changed = CommitBundle {
            welcome: Some(welcome.to_vec()),
            ..add.clone()
        };
        world.check(&changed).is_err() || matches!(change, Change::Bit(_) | Change::EndlessAt(_))
    });
    assert_eq!(world.hub.snapshot(), before, "the hub has not moved");
}

#[test]
fn e5_changed_handshakes_and_messages_are_refused_by_members() {
    let Handshakes {
        mut world,
        add,
        joining,
        leaving,
        ..
    } = handshakes();
    let said = world.seats[1].try_say("hello").expect("encrypts");
    let reader = &mut world.seats[2].member;
    let before = reader.provider.state.to_rows();
    let objects = [
        ("commit", &add.commit),
        ("join", &joining.commit),
        ("leave", &leaving),
        ("message", &said),
    ];
    for (what, bytes) in objects {
        every_change(what, bytes, |changed, _| {
            let refused = reader.process(changed, NOW).is_err();
            assert!(reader.take_delta().is_empty(), "{what}: something to store");
            refused
        });
    }
    assert_eq!(reader.provider.state.to_rows(), before);
    for (_, bytes) in [&objects[3], &objects[2]] {
        reader.process(bytes, NOW).expect("as it was sent");
    }
}

#[test]
fn e5_changed_messages_leave_no_trace_at_the_hub() {
    let mut world = World::of(Suite::Classical, 2);
    let said = world.seats[1].try_say("hello").expect("encrypts");
    let before = world.hub.snapshot();
    // Version, wire format, group id, epoch, content type, authenticated data and its version: what a
    // server reads. The epoch may be an earlier one, the data are the sender's.
    every_change("message", &said, |changed, change| {
        let parsed = match GroupMessage::parse(changed) {
            Ok(GroupMessage::Application(message)) => message,
            Ok(_) | Err(_) => return true,
        };
        let refused = world.hub.check_application(&parsed).is_err();
        refused || !matches!(change, Change::Bit(at) if *at < 45)
    });
    assert_eq!(world.hub.snapshot(), before);
}

#[test]
fn e5_changed_key_packages_are_refused() {
    let mut world = World::of(Suite::Classical, 2);
    let (_, package) = Person::new(8).key_package(Suite::Classical);
    let founder = &mut world.seats[0];
    every_change("KeyPackage", &package, |changed, _| {
        let add = founder
            .member
            .add(&[changed.to_vec()], NOW, &founder.person.key);
        assert!(founder.member.take_delta().is_empty());
        add.is_err() && judge_key_package(changed, NOW).is_err()
    });
    assert!(judge_key_package(&package, NOW).is_ok());
}

#[test]
fn e5_changed_trees_and_group_infos_let_nobody_join() {
    let world = World::of(Suite::Classical, 4);
    let guest = Person::new(8);
    let ticket = ticket(&world, 0, &guest).sign(&world.seats[0].person.key, NOW, HOUR_MS);
    let offer = world.offer();
    let join = |offer: &JoinOffer| {
        Member::join_by_ticket(offer, &ticket, &guest.identity, &guest.key, NOW).is_ok()
    };
    assert!(join(&offer));
    every_change("tree", &offer.tree, |tree, _| {
        let changed = JoinOffer {
            tree: tree.to_vec(),
            ..offer.clone()
        };
        !join(&changed)
    });
    every_change("GroupInfo", &offer.group_info, |group_info, _| {
        let changed = JoinOffer {
            group_info: group_info.to_vec(),
            ..offer.clone()
        };
        !join(&changed)
    });
    // Blank nodes at the end, which the tree's hash would not show.
    let nodes: VLBytes = decode_exact("tree", &offer.tree).expect("a vector");
    for blanks in [1, 2, 4, 8, 1000] {
        let padded = [nodes.as_slice(), &vec![0; blanks]].concat();
        let changed = JoinOffer {
            tree: encode(&VLBytes::from(padded)),
            ..offer.clone()
        };
        assert!(!join(&changed), "{blanks} blank nodes");
    }
}

#[test]
fn e5_changed_welcomes_and_their_trees_let_nobody_in_and_use_nothing_up() {
    let Handshakes {
        mut world,
        add,
        mut store,
        ..
    } = handshakes();
    world.commit(&add).expect("a good commit");
    let offer = WelcomeOffer {
        room: world.hub.room(),
        welcome: add.welcome.clone().expect("a Welcome"),
        tree: world.hub.ratchet_tree(),
    };
    let _ = store.take_delta();
    every_change("Welcome", &offer.welcome, |welcome, _| {
        let changed = WelcomeOffer {
            welcome: welcome.to_vec(),
            ..offer.clone()
        };
        let refused = Member::join_by_welcome(&changed, &mut store).is_err();
        assert!(store.take_delta().is_empty());
        refused
    });
    every_change("tree", &offer.tree, |tree, _| {
        let changed = WelcomeOffer {
            tree: tree.to_vec(),
            ..offer.clone()
        };
        let refused = Member::join_by_welcome(&changed, &mut store).is_err();
        assert!(store.take_delta().is_empty());
        refused
    });
    assert!(Member::join_by_welcome(&offer, &mut store).is_ok());
}

#[test]
fn e5_what_is_too_long_is_refused_before_it_is_read() {
    let world = World::of(Suite::Classical, 2);
    let (room, tree) = (world.hub.room(), world.hub.ratchet_tree());
    let filled = |head: &[u8], length: usize| {
        let mut bytes = head.to_vec();
        bytes.resize(length + 1, 0);
        bytes
    };
    let too_long = |fault: Option<MessageFault>, limit: usize| {
        assert!(
            matches!(&fault, Some(MessageFault::TooLong { limit: at, .. }) if *at == limit),
            "{fault:?}"
        );
    };
    let handshake = filled(&[0, 1, 0, 1], MAX_HANDSHAKE_BYTES);
    too_long(GroupMessage::parse(&handshake).err(), MAX_HANDSHAKE_BYTES);
    // One that is well formed, and longer than what is encrypted may be.
    let aad = crate::Aad::new(crate::MessageId([1; 16]), 1, [1; 32]).to_bytes();
    let vector = |length: usize| encode(&VLBytes::from(vec![0; length]));
    let parts = [
        [0, 1, 0, 2].to_vec(),
        encode(&VLBytes::from(room.0.to_vec())),
        [0, 0, 0, 0, 0, 0, 0, 1, 1].to_vec(),
        encode(&VLBytes::from(aad)),
        vector(16),
        vector(MAX_APPLICATION_BYTES),
    ];
    too_long(
        GroupMessage::parse(&parts.concat()).err(),
        MAX_APPLICATION_BYTES,
    );
    let package = judge_key_package(&filled(&[0, 1, 0, 5], MAX_KEY_PACKAGE_BYTES), NOW);
    match package {
        Err(crate::KeyPackageFault::Message(fault)) => too_long(Some(fault), MAX_KEY_PACKAGE_BYTES),
        other => panic!("{other:?}"),
    }
    let adopt = |info: &[u8], tree: &[u8]| match PublicRoom::adopt(room, info, tree).map(|_| ()) {
        Err(crate::CommitFault::Message(fault)) => Some(fault),
        other => panic!("{other:?}"),
    };
    let info = filled(&[0, 1, 0, 4], MAX_GROUP_INFO_BYTES);
    too_long(adopt(&info, &tree), MAX_GROUP_INFO_BYTES);
    let long_tree = filled(&[], MAX_TREE_BYTES);
    too_long(adopt(&world.group_info, &long_tree), MAX_TREE_BYTES);
    let offer = WelcomeOffer {
        room,
        welcome: filled(&[0, 1, 0, 3], MAX_WELCOME_BYTES),
        tree,
    };
    match Member::join_by_welcome(&offer, &mut KeyPackages::new()) {
        Err(crate::MemberFault::Message(fault)) => too_long(Some(fault), MAX_WELCOME_BYTES),
        other => panic!("{other:?}"),
    }
}
