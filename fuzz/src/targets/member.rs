//! MLS as a member's or joiner's device takes it: messages, late messages, Welcomes, offers to join.

use entente_groups::{
    EpochSnapshot, JoinOffer, KeyPackages, LeafIdentity, Member, Processed, PublicRoom, RoomId,
    WelcomeOffer,
};
use entente_identity::{Signed, SigningKey, decode_exact};

use crate::fixture::{NOW, genuine, is_genuine_behind_the_first, item, of_room, rows};
use crate::input::parts;
use crate::target::{Target, Verdict};

pub(super) const MEMBER_MESSAGES: Target = Target {
    name: "member_messages",
    run: member_messages,
    checks: "What a member reads was made, to the byte; what it refuses has changed nothing.",
    smoke_runs: 400,
};

pub(super) const LATE_MESSAGES: Target = Target {
    name: "late_messages",
    run: late_messages,
    checks: "A message of a past epoch that is read was made, to the byte, and changes nothing.",
    smoke_runs: 500,
};

pub(super) const WELCOMES: Target = Target {
    name: "welcomes",
    run: welcomes,
    checks: "A Welcome that lets a device in was made, to the byte, and the tree is the room's; one \
             that does not leaves the device's KeyPackages as they were.",
    smoke_runs: 500,
};

pub(super) const JOIN_OFFERS: Target = Target {
    name: "join_offers",
    run: join_offers,
    checks: "A room is taken over or joined only by the GroupInfo and the tree that its members made.",
    smoke_runs: 800,
};

fn room(flags: u8) -> RoomId {
    RoomId(item(&of_room(flags, "room")).try_into().expect("32 bytes"))
}

fn reader(flags: u8) -> Member {
    Member::load(room(flags), rows(&of_room(flags, "member"))).expect("a fixture")
}

fn member_messages(input: &[u8]) -> Verdict {
    let Some((flags, message)) = input.split_first() else {
        return Verdict::Refused;
    };
    let mut member = reader(*flags);
    let epoch = member.epoch();
    let processed = member.process(message, NOW);
    match &processed {
        // Whether it is one's own is recognised by its id: the content is not opened.
        Ok(Processed::OwnApplication(_)) => {}
        Ok(_) => assert!(is_genuine_behind_the_first("member_messages", input)),
        Err(_) => {
            assert!(member.take_delta().is_empty(), "a refusal changes nothing");
            assert_eq!(member.epoch(), epoch);
        }
    }
    Verdict::of(&processed)
}

fn late_messages(input: &[u8]) -> Verdict {
    let Some((flags, message)) = input.split_first() else {
        return Verdict::Refused;
    };
    let mut member = reader(*flags);
    let past = EpochSnapshot::from_bytes(item(&of_room(*flags, "past"))).expect("a fixture");
    let read = member.read_late(&past, message);
    assert!(read.is_err() || is_genuine_behind_the_first("late_messages", input));
    assert!(
        member.take_delta().is_empty(),
        "reading late changes nothing"
    );
    Verdict::of(&read)
}

fn welcomes(input: &[u8]) -> Verdict {
    let (flags, [welcome, tree]) = parts(input);
    let mut key_packages =
        KeyPackages::load(rows(&of_room(flags, "key_packages"))).expect("a fixture");
    let offer = WelcomeOffer {
        room: room(flags),
        welcome: welcome.to_vec(),
        tree: tree.to_vec(),
    };
    let joined = Member::join_by_welcome(&offer, &mut key_packages);
    match &joined {
        Ok(member) => {
            let made = genuine("welcomes").iter().any(|known| {
                let (_, parts) = parts(known);
                parts == [welcome, &member.ratchet_tree()[..]]
            });
            assert!(made, "nobody made this Welcome");
            assert!(key_packages.is_empty(), "a KeyPackage is used once");
        }
        Err(_) => assert!(
            key_packages.take_delta().is_empty(),
            "a refusal uses up nothing"
        ),
    }
    Verdict::of(&joined)
}

fn join_offers(input: &[u8]) -> Verdict {
    let (flags, [group_info, tree, proposal]) = parts(input);
    let adopted = PublicRoom::adopt(room(flags), group_info, tree);
    let Ok(adopted) = &adopted else {
        return Verdict::of(&adopted);
    };
    let made = genuine("join_offers").iter().any(|known| {
        let (_, [info, tree, _]) = parts(known);
        info == group_info && adopted.ratchet_tree() == tree
    });
    assert!(made, "no member made this");
    let waiting = !proposal.is_empty();
    let offer = JoinOffer {
        room: room(flags),
        group_info: group_info.to_vec(),
        tree: tree.to_vec(),
        pending: waiting.then(|| proposal.to_vec()).into_iter().collect(),
    };
    let ticket: Signed<_> = decode_exact("ticket", item(&of_room(flags, "ticket"))).expect("own");
    let identity: LeafIdentity = decode_exact("identity", item("guest")).expect("a fixture");
    let key = SigningKey::from_seed(item("guest key").try_into().expect("32 bytes"));
    let joined = Member::join_by_ticket(&offer, &ticket, &identity, &key, NOW);
    assert!(
        waiting || joined.is_ok(),
        "a good offer is taken: {:?}",
        joined.err()
    );
    Verdict::of(&joined)
}
