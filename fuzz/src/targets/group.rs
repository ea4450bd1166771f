//! MLS as servers take it: messages, KeyPackages, commits and proposals against a room's state.

use std::thread::LocalKey;

use entente_groups::{
    Aad, CommitBundle, GroupMessage, MAX_HANDSHAKE_BYTES, PublicRoom, RoomPolicy, judge_key_package,
};
use entente_identity::{Signed, decode_exact};

use crate::fixture::{NOW, genuine, is_genuine, item, of_room, shelf};
use crate::input::parts;
use crate::target::{Target, Verdict};

pub(super) const POLICIES: Target = Target {
    name: "policies",
    run: policies,
    checks: "A room's policy and a message's authenticated data have one encoding.",
    smoke_runs: 20_000,
};

pub(super) const GROUP_MESSAGES: Target = Target {
    name: "group_messages",
    run: group_messages,
    checks: "A message of a room is within its limits; the hub takes only those of its room and window.",
    smoke_runs: 15_000,
};

pub(super) const KEY_PACKAGES: Target = Target {
    name: "key_packages",
    run: key_packages,
    checks: "A KeyPackage that is judged good is one that was made, to the byte.",
    smoke_runs: 3_000,
};

pub(super) const COMMIT_BUNDLES: Target = Target {
    name: "commit_bundles",
    run: commit_bundles,
    checks: "A bundle that the hub would order has a commit and a GroupInfo that were made, to the byte \
             but for the membership tag; the room after it is sound; the room before it is untouched.",
    smoke_runs: 400,
};

pub(super) const PROPOSALS: Target = Target {
    name: "proposals",
    run: proposals,
    checks: "A proposal that the hub would order was made, to the byte but for the membership tag.",
    smoke_runs: 4_000,
};

pub(super) const FOUNDINGS: Target = Target {
    name: "foundings",
    run: foundings,
    checks: "A room that is founded has the record, the GroupInfo and the tree that were made.",
    smoke_runs: 1_500,
};

/// The membership tag, for members to check (RFC 9420 §6.2), with its length: SHA-256 and SHA-384.
const TAG_BYTES: [usize; 2] = [33, 49];

/// The flag of an input by which the proposals that wait are known to the hub.
const PENDING: u8 = 2;
/// The flag of an input by which there is a Welcome.
const WELCOME: u8 = 4;

thread_local! {
    static HUBS: [PublicRoom; 2] = [0, 1].map(|suite| {
        PublicRoom::restore(item(&of_room(suite, "hub"))).expect("a fixture")
    });
}

fn policies(input: &[u8]) -> Verdict {
    let aad = Aad::from_bytes(input);
    if let Ok(aad) = &aad {
        assert_eq!(aad.to_bytes(), input, "authenticated data has one encoding");
    }
    let policy = RoomPolicy::from_bytes(input);
    if let Ok(policy) = &policy {
        assert_eq!(policy.to_bytes(), input, "a policy has one encoding");
        assert!(!policy.admins().is_empty(), "a room has an admin");
    }
    Verdict::any([Verdict::of(&aad), Verdict::of(&policy)])
}

fn group_messages(input: &[u8]) -> Verdict {
    let read = GroupMessage::parse(input);
    let Ok(message) = &read else {
        return Verdict::of(&read);
    };
    assert!(input.len() <= MAX_HANDSHAKE_BYTES);
    let GroupMessage::Application(application) = message else {
        return Verdict::Accepted;
    };
    assert_eq!(
        application.aad.to_bytes().len(),
        57,
        "authenticated data has one length"
    );
    let taken = [0, 1].map(|suite| {
        with(&HUBS, suite, |hub| {
            let checked = hub.check_application(application);
            assert!(checked.is_err() || message.room() == hub.room());
            assert!(checked.is_err() || message.epoch() <= hub.epoch());
            Verdict::of(&checked)
        })
    });
    Verdict::any(taken)
}

fn with<T>(
    rooms: &'static LocalKey<[PublicRoom; 2]>,
    flags: u8,
    judge: impl FnOnce(&PublicRoom) -> T,
) -> T {
    rooms.with(|rooms| judge(&rooms[usize::from(flags & 1)]))
}

fn key_packages(input: &[u8]) -> Verdict {
    let judged = judge_key_package(input, NOW);
    assert!(
        judged.is_err() || is_genuine("key_packages", input),
        "nobody made this"
    );
    Verdict::of(&judged)
}

fn commit_bundles(input: &[u8]) -> Verdict {
    let (flags, [commit, welcome, group_info]) = parts(input);
    let bundle = CommitBundle {
        commit: commit.to_vec(),
        welcome: (flags & WELCOME != 0).then(|| welcome.to_vec()),
        group_info: group_info.to_vec(),
    };
    let waiting = if flags & PENDING == 0 {
        &[]
    } else {
        shelf(&of_room(flags, "pending"))
    };
    with(&HUBS, flags, |hub| {
        let (epoch, before) = (hub.epoch(), hub.snapshot());
        let checked = hub.check_commit(&bundle, waiting, NOW);
        if let Ok(checked) = &checked {
            assert!(was_committed(&bundle), "nobody made this commit");
            assert_eq!(checked.next.epoch(), epoch.next(), "one commit, one epoch");
            let stored = checked.next.snapshot();
            let again = PublicRoom::restore(&stored).expect("what was stored");
            assert!(again.members().eq(checked.next.members()));
            let committer = checked.next.member(checked.committer.leaf);
            assert_eq!(committer, Some(&checked.committer));
        }
        assert!(hub.snapshot() == before, "a check changes nothing");
        Verdict::of(&checked)
    })
}

fn was_committed(bundle: &CommitBundle) -> bool {
    genuine("commit_bundles").iter().any(|known| {
        let (flags, [commit, _, group_info]) = parts(known);
        bundle.group_info == group_info && bundle.commit.starts_with(untagged(flags, commit))
    })
}

/// A handshake up to its membership tag: whatever tag follows, the hub cannot judge it.
fn untagged(flags: u8, handshake: &[u8]) -> &[u8] {
    let tag = TAG_BYTES[usize::from(flags & 1)];
    &handshake[..handshake.len() - tag]
}

fn proposals(input: &[u8]) -> Verdict {
    let Some((flags, proposal)) = input.split_first() else {
        return Verdict::Refused;
    };
    with(&HUBS, *flags, |hub| {
        let checked = hub.check_proposal(proposal);
        if let Ok(departure) = &checked {
            let mut known = genuine("proposals").iter();
            let made = known.any(|known| proposal.starts_with(untagged(known[0], &known[1..])));
            assert!(made, "nobody made this proposal");
            assert!(hub.member(departure.leaf).is_some(), "a member leaves");
        }
        Verdict::of(&checked)
    })
}

fn foundings(input: &[u8]) -> Verdict {
    let (_, [record, group_info, tree]) = parts(input);
    let Ok(record) = decode_exact::<Signed<_>>("record", record) else {
        return Verdict::Refused;
    };
    let founded = PublicRoom::from_create(&record, group_info, tree);
    if let Ok(room) = &founded {
        let made = genuine("foundings").iter().any(|known| {
            let (_, parts) = parts(known);
            parts == [&record.to_bytes(), group_info, &room.ratchet_tree()[..]]
        });
        assert!(made, "nobody founded this room");
        assert_eq!(room.members().len(), 1);
    }
    Verdict::of(&founded)
}
