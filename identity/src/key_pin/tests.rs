//! A chain is followed where it goes on, and nowhere else (adversaries A7).

mod rotation;

use super::*;
use crate::codec::{decode_exact, encode};
use crate::document::ServiceEndpoint;
use crate::key_document::{Endpoint, KeyDocumentFault};
use crate::keys::SigningKey;
use crate::signed::{Audience, SignedFault, SigningContext};

const DAY_MS: u64 = 24 * 3600 * 1000;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn committed(number: u8) -> [u8; 32] {
    key(number).public().fingerprint()
}

fn server() -> ServerDid {
    "did:web:org-b.example".parse().expect("a DID")
}

/// Document 0: key 1 in use, key 2 committed to.
fn first() -> KeyDocument {
    KeyDocument {
        did: server(),
        seq: 0,
        prev_hash: [0; 32],
        keys: vec![FederationKey {
            public: key(1).public(),
            from: NOW,
            until: None,
        }],
        next_key_hash: committed(2),
        endpoints: vec![Endpoint {
            host: "chat.org-b.example".parse().expect("a domain"),
            port: 8448,
        }],
        features: vec![1],
        issued: NOW,
    }
}

/// Document 1: key 2 in use since a day after document 0, key 3 committed to.
fn second() -> KeyDocument {
    first().rotated(&key(2).public(), committed(3), NOW.after(DAY_MS))
}

fn pin() -> KeyPin {
    let document = first();
    KeyPin::first_contact(
        &server(),
        &document.chain_hash(),
        &document.sign(&key(1)),
        NOW,
    )
    .expect("the first document")
}

fn rotated_pin() -> KeyPin {
    match pin().judge(&second().sign(&key(2)), NOW.after(DAY_MS)) {
        Ok(Judged::Rotated(pin)) => pin,
        other => panic!("no rotation: {other:?}"),
    }
}

/// What the pin of document 0 says to a document signed with this key, a day later.
fn check(document: &KeyDocument, signer: u8, expected: Result<Judged, KeyPinFault>) {
    let judged = pin().judge(&document.sign(&key(signer)), NOW.after(DAY_MS));
    assert_eq!(judged, expected, "{document:?}");
}

/// Signs a document with a header that its own `sign` would not make.
fn signed_with(
    document: &KeyDocument,
    change: impl FnOnce(&mut SigningContext),
) -> Signed<KeyDocument> {
    let mut context = SigningContext {
        key_id: document.keys[0].id(),
        origin: document.did.to_string(),
        audience: Audience::Public,
        created: document.issued,
        expires: Some(document.issued.after(KEY_DOCUMENT_LIFETIME_MS)),
    };
    change(&mut context);
    Signed::sign(document, &context, &key(1))
}

#[test]
fn a7_a_renewal_moves_the_pin_and_is_no_fork() {
    check(&first(), 1, Ok(Judged::Same));
    let renewed = KeyDocument {
        issued: NOW.after(DAY_MS),
        endpoints: vec![],
        features: vec![2, 3],
        ..first()
    };
    let expected = KeyPin {
        issued: renewed.issued,
        ..pin()
    };
    check(&renewed, 1, Ok(Judged::Renewed(expected.clone())));
    assert_eq!(
        pin().judge_id(0, &renewed.chain_hash()),
        Ok(Named::Pinned),
        "greetings name every issue alike"
    );
    // The web is trusted once also with a later issue of document 0.
    let later = KeyPin::first_contact(
        &server(),
        &first().chain_hash(),
        &renewed.sign(&key(1)),
        NOW.after(DAY_MS),
    );
    assert_eq!(later, Ok(expected));
}

#[test]
fn a7_a_document_rolled_back_is_refused() {
    let pin = rotated_pin();
    let renewed_old = KeyDocument {
        issued: NOW.after(2 * DAY_MS),
        ..first()
    };
    let fault = KeyPinFault::RolledBack {
        pinned: 1,
        shown: 0,
    };
    for old in [first(), renewed_old] {
        let judged = pin.judge(&old.sign(&key(1)), NOW.after(2 * DAY_MS));
        assert_eq!(judged, Err(fault.clone()));
    }
    assert_eq!(pin.judge_id(0, &first().chain_hash()), Err(fault));
}

#[test]
fn a7_an_older_issue_is_refused() {
    let pin = KeyPin {
        issued: NOW.after(DAY_MS),
        ..pin()
    };
    let judged = pin.judge(&first().sign(&key(1)), NOW.after(DAY_MS));
    let fault = KeyPinFault::OlderIssue {
        pinned: NOW.after(DAY_MS),
        shown: NOW,
    };
    assert_eq!(judged, Err(fault));
}

#[test]
fn a7_a_fork_is_refused() {
    let other_commitment = KeyDocument {
        next_key_hash: committed(9),
        ..first()
    };
    check(&other_commitment, 1, Err(KeyPinFault::Forked { seq: 0 }));
    let mut other_key = first();
    other_key.keys[0].public = key(9).public();
    check(&other_key, 9, Err(KeyPinFault::Forked { seq: 0 }));
    let of_another_past = other_commitment.rotated(&key(2).public(), committed(3), NOW);
    check(&of_another_past, 2, Err(KeyPinFault::Forked { seq: 1 }));
    assert_eq!(
        pin().judge_id(0, &other_key.chain_hash()),
        Err(KeyPinFault::Forked { seq: 0 })
    );
}

#[test]
fn a7_a_document_from_the_future_is_refused() {
    let now = NOW.after(DAY_MS);
    let issued_at = |issued| KeyDocument { issued, ..first() };
    let tolerated = issued_at(now.after(CLOCK_TOLERANCE_MS));
    let judged = pin().judge(&tolerated.sign(&key(1)), now);
    assert!(matches!(judged, Ok(Judged::Renewed(_))), "{judged:?}");
    let early = now.after(CLOCK_TOLERANCE_MS + 1);
    check(&issued_at(early), 1, Err(KeyPinFault::FromTheFuture(early)));
}

#[test]
fn a7_a_document_valid_for_longer_than_seven_days_is_refused() {
    let document = first();
    let judge = |signed: &Signed<KeyDocument>, now| pin().judge(signed, now);
    let limit = NOW.after(KEY_DOCUMENT_LIFETIME_MS);
    for end in [
        None,
        Some(UnixMillis(u64::MAX)),
        Some(UnixMillis(limit.0 + 1)),
    ] {
        let long = signed_with(&document, |context| context.expires = end);
        assert_eq!(judge(&long, NOW), Err(KeyPinFault::TooLong), "{end:?}");
    }
    let signed = document.sign(&key(1));
    let last = limit.after(CLOCK_TOLERANCE_MS);
    assert_eq!(judge(&signed, last), Ok(Judged::Same));
    assert_eq!(
        judge(&signed, last.after(1)),
        Err(KeyPinFault::NotCurrent(NOW))
    );
    let short = signed_with(&document, |context| context.expires = Some(NOW.after(1)));
    assert_eq!(
        judge(&short, NOW.after(DAY_MS)),
        Err(KeyPinFault::NotCurrent(NOW)),
        "its own earlier end counts"
    );
}

#[test]
fn a7_an_old_key_is_refused_for_a_live_request_and_accepted_for_an_old_entry() {
    let pin = rotated_pin();
    let (old, new, unknown) = (key(1).public(), key(2).public(), key(9).public());
    let now = NOW.after(2 * DAY_MS);
    assert!(pin.live_key(&new, now));
    assert!(!pin.live_key(&old, now));
    assert!(!pin.live_key(&old, NOW), "whatever the clock says");
    assert!(!pin.live_key(&unknown, now));
    let turn = NOW.after(DAY_MS);
    assert!(pin.key_at(&old, NOW.after(1)));
    assert!(pin.key_at(&old, turn.after(CLOCK_TOLERANCE_MS)));
    assert!(!pin.key_at(&old, turn.after(CLOCK_TOLERANCE_MS + 1)));
    assert!(!pin.key_at(&old, NOW.before(CLOCK_TOLERANCE_MS + 1)));
    assert!(pin.key_at(&new, now));
    assert!(!pin.key_at(&new, turn.before(CLOCK_TOLERANCE_MS + 1)));
    assert!(!pin.key_at(&unknown, now));
}

#[test]
fn a7_a_pin_that_was_not_renewed_trusts_no_live_request() {
    let pin = pin();
    let last = NOW.after(KEY_DOCUMENT_LIFETIME_MS + CLOCK_TOLERANCE_MS);
    assert!(pin.is_current(last));
    assert!(pin.live_key(&key(1).public(), last));
    assert!(!pin.is_current(last.after(1)));
    assert!(!pin.live_key(&key(1).public(), last.after(1)));
    assert!(pin.key_at(&key(1).public(), last.after(1)));
}

#[test]
fn a7_what_the_web_says_later_is_measured_by_the_chain() {
    let endpoint = ServiceEndpoint {
        host: "org-b.example".parse().expect("a domain"),
        port: 8448,
        alpn: "entente-test/1".to_owned(),
    };
    let published = |keys, first_key_document_hash| ServerDocument {
        did: server(),
        keys,
        federation: endpoint.clone(),
        client: endpoint.clone(),
        first_key_document_hash,
    };
    let chain = first().chain_hash();
    let (old, new) = (key(1).public(), key(2).public());
    let judge = |document: &ServerDocument| rotated_pin().judge_published(document);
    assert_eq!(judge(&published(vec![new], chain)), Ok(()));
    for key in [old, key(9).public()] {
        assert_eq!(
            judge(&published(vec![new, key], chain)),
            Err(KeyPinFault::UnknownKey(key))
        );
    }
    assert_eq!(
        judge(&published(vec![new], [7; 32])),
        Err(KeyPinFault::OtherChain)
    );
    let contact = KeyPin::first_contact(&server(), &[7; 32], &first().sign(&key(1)), NOW);
    assert_eq!(contact, Err(KeyPinFault::OtherChain));
}

#[test]
fn a7_another_server_s_document_is_refused() {
    let other: ServerDid = "did:web:org-c.example".parse().expect("a DID");
    let document = KeyDocument {
        did: other.clone(),
        ..first()
    };
    let fault = KeyPinFault::OtherServer {
        expected: server(),
        got: other,
    };
    check(&document, 1, Err(fault));
}

#[test]
fn a7_a_header_that_contradicts_its_document_is_refused() {
    let document = first();
    let check = |what, change: fn(&mut SigningContext)| {
        let judged = pin().judge(&signed_with(&document, change), NOW);
        let fault = KeyDocumentFault::Header(what);
        assert_eq!(judged, Err(KeyPinFault::Document(fault)));
    };
    check("origin", |context| {
        context.origin = "did:web:org-c.example".to_owned();
    });
    check("key id", |context| context.key_id = "fed-0".to_owned());
    check("time of issue", |context| context.created = NOW.before(1));
    let room = signed_with(&document, |context| {
        context.audience = Audience::Room([0; 32]);
    });
    assert!(matches!(
        pin().judge(&room, NOW),
        Err(KeyPinFault::Signed(SignedFault::WrongAudience(_)))
    ));
    let by_another = signed_by_another(&document);
    assert_eq!(
        pin().judge(&by_another, NOW),
        Err(KeyPinFault::Document(KeyDocumentFault::Signer))
    );
}

fn signed_by_another(document: &KeyDocument) -> Signed<KeyDocument> {
    document.sign(&key(9))
}

#[test]
fn a7_every_fault_tells_an_operator_what_to_do() {
    let faults = [
        KeyPinFault::RolledBack {
            pinned: 1,
            shown: 0,
        },
        KeyPinFault::OlderIssue {
            pinned: NOW,
            shown: NOW,
        },
        KeyPinFault::Forked { seq: 1 },
        KeyPinFault::OtherChain,
        KeyPinFault::UnknownKey(key(1).public()),
        KeyPinFault::FromTheFuture(NOW),
        KeyPinFault::TooLong,
        KeyPinFault::NotCurrent(NOW),
        KeyPinFault::NotCommitted { seq: 1 },
        KeyPinFault::Gap {
            pinned: 0,
            shown: 2,
        },
        KeyPinFault::OtherServer {
            expected: server(),
            got: server(),
        },
        KeyPinFault::Document(KeyDocumentFault::Signer),
        KeyPinFault::Signed(SignedFault::WrongAudience("key document")),
    ];
    for fault in faults {
        let text = fault.to_string();
        let remedy = "entente-homeserver admin peer trust reset <domain>";
        assert!(text.contains(remedy), "{text}");
        assert!(!text.contains("  "), "{text}");
    }
}

#[test]
fn a_pin_is_stored_as_it_always_was() {
    let pin = rotated_pin();
    let bytes = encode(&pin);
    assert_eq!(decode_exact::<KeyPin>("key pin", &bytes), Ok(pin.clone()));
    let hash = "0b42e080486c7db25dd5e4015162996a9c9f0974cef2cebdd38cbf53757b8991";
    assert_eq!(hex::encode(pin.hash), hash);
    let expected = [
        "156469643a7765623a6f72672d622e6578616d706c656fe08ef6f0ef9c83719cb83803c0c715f6b9",
        "edc590e5a1955822a3c6f1ee0a0900000000000000010b42e080486c7db25dd5e4015162996a9c9f",
        "0974cef2cebdd38cbf53757b8991405a8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a2",
        "5df60f5b8fc9b3940000018bd50bc400008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d9412",
        "1bf3748801b40f6f5c0000018bcfe56800010000018bd50bc400b62e867fa2f33afe62d5d6b1642e",
        "1621d543307846b2a57b897e710919b767090000018bd50bc40000",
    ];
    assert_eq!(hex::encode(&bytes), expected.concat());
}
