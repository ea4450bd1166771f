//! Signatures: one verdict on every path, bound to one key, one kind and one suite.

use entente_identity::{
    PublicKey, Signature, Signed, SignedBody, SigningKey, decode_exact, encode,
};
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{CryptoError, SignatureScheme};

use super::forge::{
    Info, SIGNATURE_BYTES, content_end, handshake_with, key_package_with, leaf_of, path_leaf,
    plus_l, sign,
};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::crypto::Crypto;
use crate::{
    CommitBundle, CommitFault, GroupInfoFault, KeyPackageFault, LeafFault, Member, PublicRoom,
    RuleFault, Suite, TicketFault, judge_key_package,
};

/// What openmls is told, and what everything else is told.
fn verdicts(key: &[u8], message: &[u8], signature: &[u8]) -> (Result<(), CryptoError>, bool) {
    let provider =
        Crypto::default().verify_signature(SignatureScheme::ED25519, message, key, signature);
    let raw = <[u8; 64]>::try_from(signature).map(Signature::from_bytes);
    let identity = match (PublicKey::from_slice(key), raw) {
        (Ok(key), Ok(signature)) => key.verify(message, &signature).is_ok(),
        _ => false,
    };
    (provider, identity)
}

fn same_verdict(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (provider, identity) = verdicts(key, message, signature);
    assert_eq!(provider.is_ok(), identity, "{key:02x?}");
    identity
}

#[derive(serde::Deserialize)]
struct Case {
    message: String,
    pub_key: String,
    signature: String,
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

#[test]
fn a5_openmls_and_identity_give_one_verdict_on_the_published_edge_cases() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/ed25519/speccheck-cases.json"
    );
    let text = std::fs::read_to_string(path).expect("test vectors are in testdata/");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("cases are JSON");
    let accepted = cases.iter().enumerate().filter(|(_, case)| {
        let [key, message, signature] =
            [&case.pub_key, &case.message, &case.signature].map(|hex| bytes_of(hex));
        same_verdict(&key, &message, &signature)
    });
    // Case 3 is of mixed order in a way that the strict, cofactorless equation accepts.
    let accepted: Vec<usize> = accepted.map(|(index, _)| index).collect();
    assert_eq!((cases.len(), accepted), (12, vec![3]));
}

/// The eight points of small order in every encoding that decompresses, canonical or not.
fn small_order_keys() -> Vec<[u8; 32]> {
    const ORDER_8: [&str; 2] = [
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ];
    let small = |low: u8, rest: u8, high: u8| {
        let mut key = [rest; 32];
        (key[0], key[31]) = (low, high);
        key
    };
    // y = 0, 1, -1, and the same plus p.
    let plain = [
        small(0, 0, 0),
        small(1, 0, 0),
        small(0xec, 0xff, 0x7f),
        small(0xed, 0xff, 0x7f),
        small(0xee, 0xff, 0x7f),
    ];
    let order_8 = ORDER_8.map(|hex| bytes_of(hex).try_into().expect("32 bytes"));
    let both_signs = plain.into_iter().chain(order_8).flat_map(|key| {
        let mut other = key;
        other[31] ^= 0x80;
        [key, other]
    });
    both_signs.collect()
}

#[test]
fn a5_no_key_of_small_order_or_in_another_encoding_verifies_anything() {
    let identity = [&[1][..], &[0; 31]].concat();
    let key = SigningKey::from_seed(&[7; 32]);
    let good = *key.sign(b"message").as_bytes();
    assert!(same_verdict(key.public().as_bytes(), b"message", &good));
    for small in small_order_keys() {
        // R is the neutral element or the key itself, S is zero: good under the equation alone.
        for r in [&identity[..], &small] {
            for message in [&b"one"[..], b"two", b"three", b"four"] {
                let signature = [r, &[0; 32]].concat();
                let (provider, identity) = verdicts(&small, message, &signature);
                assert_eq!(provider, Err(CryptoError::InvalidPublicKey), "{small:02x?}");
                assert!(!identity);
            }
        }
        let small_r = [&small[..], &good[32..]].concat();
        assert!(!same_verdict(key.public().as_bytes(), b"message", &small_r));
    }
    // y ≥ p: RustCrypto alone would take these for keys and judge the signature.
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, high);
            let (provider, _) = verdicts(&y, b"message", &good);
            assert_eq!(provider, Err(CryptoError::InvalidPublicKey));
        }
    }
}

#[test]
fn a5_changed_lengths_and_other_schemes_are_refused() {
    let key = SigningKey::from_seed(&[7; 32]);
    let public = *key.public().as_bytes();
    let good = *key.sign(b"message").as_bytes();
    assert!(!same_verdict(&public, b"message", &plus_l(&good)));
    for length in [0, 63] {
        assert!(!same_verdict(&public, b"message", &good[..length]));
    }
    assert!(!same_verdict(
        &public,
        b"message",
        &[&good[..], &[0]].concat()
    ));
    assert!(!same_verdict(&public[1..], b"message", &good));
    let crypto = Crypto::default();
    for scheme in [
        SignatureScheme::ECDSA_SECP256R1_SHA256,
        SignatureScheme::ED448,
    ] {
        let verdict = crypto.verify_signature(scheme, b"message", &public, &good);
        assert_eq!(verdict, Err(CryptoError::UnsupportedSignatureScheme));
    }
}

/// A signed object with S + L for S.
fn lifted<T: SignedBody>(signed: &Signed<T>) -> Signed<T> {
    let bytes = encode(signed);
    let (head, signature) = bytes.split_at(bytes.len() - 64);
    decode_exact("signed object", &[head, &plus_l(signature)].concat()).expect("still well formed")
}

#[test]
fn a5_s_plus_l_is_refused_in_tickets_certificates_and_home_records() {
    let mut world = World::of(Suite::Classical, 2);
    let guest = Person::new(8);
    let seat = &world.seats[0];
    let ticket = seat
        .member
        .issue_ticket(guest.account, 1, HOUR_MS, NOW, &seat.person.key)
        .expect("may invite");
    let mut certificate = guest.clone();
    certificate.identity.chain[0] = lifted(&guest.identity.chain[0]);
    let mut home = guest.clone();
    home.identity.home_record = lifted(&guest.identity.home_record);
    let cases = [
        (lifted(&ticket), &guest),
        (ticket.clone(), &certificate),
        (ticket.clone(), &home),
    ];
    for (index, (ticket, joiner)) in cases.into_iter().enumerate() {
        let offer = world.offer();
        let joined = Member::commit_externally(&offer, Some(ticket), &joiner.identity, &joiner.key);
        let bundle = joined.expect("commits without looking").1;
        let hub = world.check(&bundle).map(|_| ());
        let founder = &mut world.seats[0].member;
        let read = founder.process(&bundle.commit, NOW).map(|_| ());
        match (index, &hub) {
            (0, Err(CommitFault::Rule(RuleFault::Ticket(TicketFault::Signed(_)))))
            | (1, Err(CommitFault::Rule(RuleFault::Leaf(LeafFault::Certificate(_)))))
            | (2, Err(CommitFault::Rule(RuleFault::Leaf(LeafFault::HomeRecord(_))))) => {}
            (_, other) => panic!("case {index}: {other:?}"),
        }
        let hub = hub.expect_err("refused").to_string();
        let read = read.expect_err("refused").to_string();
        assert!(read.ends_with(&hub), "{read} / {hub}");
    }
    world.join(&guest).expect("with everything in order");
}

#[test]
fn a5_s_plus_l_is_refused_in_key_packages_and_their_leaves() {
    let person = Person::new(1);
    let (_, good) = person.key_package(Suite::Classical);
    let (head, signature) = good.split_at(good.len() - 64);
    let outer = [head, &plus_l(signature)].concat();
    let leaf = leaf_of(&good);
    let old = &leaf[leaf.len() - 64..];
    let inner = key_package_with(&good, old, &plus_l(old), &person.key);
    // A key under which the neutral element signs everything, in a leaf that says so.
    let neutral = [&[1][..], &[0; 31]].concat();
    let free = [&neutral[..], &[0; 32]].concat();
    let own = [&[32], &person.key.public().as_bytes()[..]].concat();
    let other = [&[32], &neutral[..]].concat();
    let small = key_package_with(&good, &own, &other, &person.key);
    let small = key_package_with(&small, old, &free, &person.key);
    let small = [&small[..small.len() - 64], &free].concat();
    for (what, bytes) in [("outer", outer), ("inner", inner), ("small", small)] {
        let judged = judge_key_package(&bytes, NOW);
        assert!(
            matches!(judged, Err(KeyPackageFault::Invalid(_))),
            "{what}: {judged:?}"
        );
    }
    let again = key_package_with(&good, old, old, &person.key);
    assert!(
        judge_key_package(&again, NOW).is_ok(),
        "the same, signed anew"
    );
}

#[test]
fn a5_s_plus_l_is_refused_in_commits_their_leaves_and_group_infos() {
    let mut world = World::of(Suite::Classical, 3);
    let person = world.seats[1].person.clone();
    let seat = &mut world.seats[1].member;
    let bundle = seat.refresh(None, &person.key).expect("commits");
    let end = content_end(&bundle.commit, 2, Suite::Classical);
    let signature = &bundle.commit[end + 2..end + SIGNATURE_BYTES];
    let commit = super::forge::replaced(&bundle.commit, signature, &plus_l(signature));
    refused_by_mls(&mut world, &commit, &bundle);
    let leaf = path_leaf(&mut world, 1, &bundle.commit);
    let old = &leaf[leaf.len() - 64..];
    let commit = handshake_with(&world, &bundle.commit, (old, &plus_l(old)), 2, &person.key);
    refused_by_mls(&mut world, &commit, &bundle);
    let (head, last) = bundle.group_info.split_at(bundle.group_info.len() - 64);
    let group_info = [head, &plus_l(last)].concat();
    let checked = world.check(&bundle).expect("the good one");
    let tree = checked.next.ratchet_tree();
    let room = world.hub.room();
    assert!(PublicRoom::adopt(room, &bundle.group_info, &tree).is_ok());
    let adopted = PublicRoom::adopt(room, &group_info, &tree).map(|_| ());
    assert!(matches!(adopted, Err(CommitFault::Mls(_))), "{adopted:?}");
    let lifted = CommitBundle {
        group_info,
        ..bundle
    };
    let hub = world.check(&lifted).map(|_| ());
    assert_eq!(hub, Err(GroupInfoFault::Signature.into()));
}

/// MLS itself refuses the commit, at the hub and at a member, and nothing changes.
fn refused_by_mls(world: &mut World, commit: &[u8], bundle: &CommitBundle) {
    let changed = CommitBundle {
        commit: commit.to_vec(),
        ..bundle.clone()
    };
    let hub = world.check(&changed).map(|_| ());
    assert!(matches!(hub, Err(CommitFault::Mls(_))), "{hub:?}");
    let reader = &mut world.seats[0].member;
    assert!(reader.process(commit, NOW).is_err());
    assert!(reader.take_delta().is_empty());
    assert_eq!(reader.epoch(), world.hub.epoch());
}

#[test]
fn a6_a_signature_under_another_members_key_is_refused() {
    let mut world = World::of(Suite::Classical, 3);
    let (signer, other) = (world.seats[1].person.clone(), world.seats[2].person.clone());
    let seat = &mut world.seats[1].member;
    let bundle = seat.refresh(None, &signer.key).expect("commits");
    // The other's signature over the very same content, and the same content in the other's name.
    let content = &bundle.commit[..content_end(&bundle.commit, 2, Suite::Classical)];
    let commit = handshake_with(&world, &bundle.commit, (content, content), 2, &other.key);
    refused_by_mls(&mut world, &commit, &bundle);
    let member = |leaf: u8| [&[1, 0, 0, 0, leaf][..], &[0, 3]].concat();
    let names = (&member(1)[..], &member(2)[..]);
    let commit = handshake_with(&world, &bundle.commit, names, 2, &signer.key);
    refused_by_mls(&mut world, &commit, &bundle);
    // A GroupInfo that the other signs for the committer, and one that it signs for itself.
    let info = Info::parse(&bundle.group_info);
    let in_its_name = Info {
        signer: 2,
        ..info.clone()
    };
    let cases = [
        (
            info.clone().signed(&other.key),
            Err(GroupInfoFault::Signature.into()),
        ),
        (
            in_its_name.signed(&other.key),
            Err(GroupInfoFault::Mismatch.into()),
        ),
        (info.signed(&signer.key), Ok(())),
    ];
    for (group_info, verdict) in cases {
        let changed = CommitBundle {
            group_info,
            ..bundle.clone()
        };
        assert_eq!(world.check(&changed).map(|_| ()), verdict);
    }
}

#[test]
fn a6_a_signature_on_one_kind_of_object_is_none_on_another() {
    let person = Person::new(1);
    let (_, good) = person.key_package(Suite::Classical);
    let unsigned = &good[..good.len() - SIGNATURE_BYTES];
    for label in ["LeafNodeTBS", "GroupInfoTBS", "FramedContentTBS"] {
        let signature = sign(&person.key, label, &unsigned[4..]);
        let bytes = [&good[..good.len() - 64], &signature].concat();
        let judged = judge_key_package(&bytes, NOW);
        assert!(
            matches!(judged, Err(KeyPackageFault::Invalid(_))),
            "{label}"
        );
    }
    let signature = sign(&person.key, "KeyPackageTBS", &unsigned[4..]);
    let bytes = [&good[..good.len() - 64], &signature].concat();
    assert_eq!(bytes, good);
}
