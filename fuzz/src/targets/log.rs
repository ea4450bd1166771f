//! What servers store and pass on: entries, relayed items, items of a device's queue, attestations.

use entente_groups::RoomId;
use entente_identity::{ServerDid, decode_exact, encode};
use entente_protocol::checkpoint::{Attestation, SeenCheckpoints};
use entente_protocol::entry::{CommitBody, CreateBody, Entry, EntryKind, Head, ProposalBody, Seq};
use entente_protocol::flow::DeviceItem;
use entente_protocol::relay::Item;

use crate::fixture::{is_genuine, shelf, signer};
use crate::target::{Target, Verdict};

pub(super) const ITEMS: Target = Target {
    name: "items",
    run: items,
    checks: "An item has one encoding.",
    smoke_runs: 30_000,
};

pub(super) const ENTRIES: Target = Target {
    name: "entries",
    run: entries,
    checks: "An entry and each kind of body have one encoding; chain checks hold at the ends of the \
             numbers; an attestation holds for no head that was not signed.",
    smoke_runs: 20_000,
};

pub(super) const DEVICE_ITEMS: Target = Target {
    name: "device_items",
    run: |input| canonical::<DeviceItem>(input).map_or(Verdict::Refused, |_| Verdict::Accepted),
    checks: "An item of a device's queue has one encoding.",
    smoke_runs: 30_000,
};

pub(super) const CHECKPOINTS: Target = Target {
    name: "checkpoints",
    run: checkpoints,
    checks: "An attestation has one encoding, and one that verifies is one that the hub made.",
    smoke_runs: 2_500,
};

/// Reads a value that has exactly one encoding.
pub(super) fn canonical<T: tls_codec::Serialize + tls_codec::Deserialize>(
    bytes: &[u8],
) -> Option<T> {
    let value: T = decode_exact("value", bytes)
        .inspect_err(|fault| assert!(!fault.to_string().is_empty()))
        .ok()?;
    assert_eq!(encode(&value), bytes, "a value has one encoding");
    Some(value)
}

fn items(input: &[u8]) -> Verdict {
    let read = Item::from_bytes(input);
    if let Ok(item) = &read {
        assert_eq!(item.to_bytes(), input, "an item has one encoding");
    }
    Verdict::of(&read)
}

fn entries(input: &[u8]) -> Verdict {
    let Some(entry) = canonical::<Entry>(input) else {
        return Verdict::Refused;
    };
    let own = entry.header.head();
    assert!(entry.extends(&own).is_err(), "no entry extends itself");
    let before = Head {
        term: entry.header.term,
        seq: Seq(entry.header.seq.0.wrapping_sub(1)),
        hash: entry.header.prev_hash,
    };
    let beside = Head {
        seq: entry.header.seq,
        ..before
    };
    assert!(
        entry.extends(&beside).is_err(),
        "an entry stands behind its head"
    );
    if entry.header.seq != Seq(0) {
        let intact = entry.body_matches().is_ok();
        assert_eq!(
            entry.extends(&before).is_ok(),
            intact,
            "it extends the head it names"
        );
    }
    read_body(&entry);
    if let Some(attestation) = &entry.attestation {
        let holds = attested(attestation, &entry.header.room, &own);
        assert!(!holds || is_genuine("entries", input) || was_signed(&entry.header.room, &own));
    }
    Verdict::of(&entry.body_matches())
}

fn read_body(entry: &Entry) {
    let body = entry.body.as_slice();
    match entry.header.kind {
        EntryKind::Create => drop(canonical::<CreateBody>(body)),
        EntryKind::Commit => drop(canonical::<CommitBody>(body)),
        EntryKind::Proposal => drop(canonical::<ProposalBody>(body)),
        // An MLS message, or a kind that came later: there are targets of its own for it.
        _ => {}
    }
}

fn checkpoints(input: &[u8]) -> Verdict {
    let Some(attestation) = canonical::<Attestation>(input) else {
        return Verdict::Refused;
    };
    let mut verdict = Verdict::Refused;
    for (room, head) in signed_heads() {
        if attested(&attestation, &room, &head) {
            assert!(
                is_genuine("checkpoints", input),
                "the hub did not make this"
            );
            verdict = Verdict::Accepted;
        }
        let other = Head {
            seq: Seq(head.seq.0 + 1),
            ..head
        };
        assert!(
            !attested(&attestation, &room, &other),
            "nobody signed this head"
        );
    }
    verdict
}

fn attested(attestation: &Attestation, room: &RoomId, head: &Head) -> bool {
    let hub: ServerDid = "did:web:org-a.example".parse().expect("a constant");
    let key = signer().public();
    let verified = attestation.verify(room, head, &hub, &key);
    let mut seen = SeenCheckpoints::default();
    for _ in 0..2 {
        let again = attestation.verify_among((room, head), &hub, &key, &mut seen);
        assert_eq!(
            again, verified,
            "what was seen before does not change the verdict"
        );
    }
    Verdict::of(&verified) == Verdict::Accepted
}

fn was_signed(room: &RoomId, head: &Head) -> bool {
    signed_heads().any(|(known, at)| known == *room && at == *head)
}

/// The heads under the checkpoints of the seeds: room, term, position and hash in turn.
fn signed_heads() -> impl Iterator<Item = (RoomId, Head)> {
    let heads = shelf("heads").chunks_exact(2);
    heads.filter_map(|pair| {
        let room = RoomId(pair[0].as_slice().try_into().ok()?);
        let head: Head = decode_exact("head", &pair[1]).ok()?;
        Some((room, head))
    })
}
