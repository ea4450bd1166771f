//! Signed objects: the envelope with every kind of body, greetings and logins, key documents.

use entente_federation::greeting::{check_features, choose_version};
use entente_groups::{CreateRecord, Ticket};
use entente_identity::{
    Audience, DeviceCertificate, DeviceList, HomeRecord, KeyDocument, ServerDid, Signed,
    SignedBody, encode, verify_key_document,
};
use entente_protocol::checkpoint::Checkpoint;
use entente_protocol::hello::{ConnectionBound, Hello, HelloReply, LoginProof, check_proof};
use entente_protocol::relay::BatchHead;

use super::log::canonical;
use crate::fixture::{NOW, is_genuine, is_genuine_behind_the_first, signer};
use crate::target::{Target, Verdict};

pub(super) const SIGNED_OBJECTS: Target = Target {
    name: "signed_objects",
    run: signed_objects,
    checks: "An envelope and its body have one encoding. One that verifies, under one of three audiences, \
             is one that was signed, to the byte.",
    smoke_runs: 6_000,
};

pub(super) const GREETINGS: Target = Target {
    name: "greetings",
    run: greetings,
    checks: "A greeting, its reply or a login that proves anything is one that was made for this \
             connection, server and time, to the byte; versions and critical features are judged.",
    smoke_runs: 6_000,
};

pub(super) const KEY_DOCUMENTS: Target = Target {
    name: "key_documents",
    run: key_documents,
    checks: "A key document that counts is one that its server signed, to the byte.",
    smoke_runs: 10_000,
};

/// The exporter value of the connection in question.
const EXPORTER: [u8; 32] = [0x99; 32];

/// The first byte says which kind of body is expected.
fn signed_objects(input: &[u8]) -> Verdict {
    let Some((kind, bytes)) = input.split_first() else {
        return Verdict::Refused;
    };
    let public = Audience::Public;
    match kind % 10 {
        0 => signed::<DeviceList>(input, bytes, &public),
        1 => signed::<DeviceCertificate>(input, bytes, &public),
        2 => signed::<HomeRecord>(input, bytes, &public),
        3 => signed::<KeyDocument>(input, bytes, &public),
        4 => signed::<CreateRecord>(input, bytes, &public),
        5 => signed::<Ticket>(input, bytes, &Audience::Room([0x11; 32])),
        6 => signed::<LoginProof>(input, bytes, &Audience::Server(here())),
        7 => signed::<Hello>(input, bytes, &Audience::Server(here())),
        8 => signed::<BatchHead>(input, bytes, &Audience::Server(here())),
        _ => signed::<Checkpoint>(input, bytes, &public),
    }
}

fn here() -> ServerDid {
    "did:web:org-a.example".parse().expect("a constant")
}

fn read<T: SignedBody>(bytes: &[u8]) -> Option<Signed<T>> {
    let signed = Signed::<T>::from_bytes(bytes).ok()?;
    assert_eq!(signed.to_bytes(), bytes, "an envelope has one encoding");
    if let Ok(body) = signed.claimed_body() {
        let again = canonical::<T>(&encode(&body)).expect("what was read is written readable");
        assert_eq!(encode(&again), encode(&body));
    }
    let _ = Verdict::of(&signed.claimed_context());
    Some(signed)
}

fn signed<T: SignedBody>(input: &[u8], bytes: &[u8], audience: &Audience) -> Verdict {
    let Some(signed) = read::<T>(bytes) else {
        return Verdict::Refused;
    };
    let verified = signed.verify(&signer().public(), audience);
    if let Ok(fact) = &verified {
        assert!(
            is_genuine_behind_the_first("signed_objects", input),
            "nobody signed this"
        );
        assert_eq!(fact.signer(), &signer().public());
        assert!(signed.names_key(fact.signer()), "a fact names its signer");
        // Whatever the answer: history has no end, what must be current has one.
        let _ = fact.clone().current_at(NOW);
    }
    Verdict::of(&verified)
}

/// The first byte says which of the three is expected.
fn greetings(input: &[u8]) -> Verdict {
    let Some((kind, bytes)) = input.split_first() else {
        return Verdict::Refused;
    };
    match kind % 3 {
        0 => proof::<Hello>(input, bytes, |hello| {
            let _ = choose_version(hello.min_version, hello.max_version);
            let critical = hello.features.iter().any(|feature| feature.critical != 0);
            // No feature exists yet, so every critical one is unknown.
            assert_eq!(check_features(&hello.features).is_err(), critical);
        }),
        1 => proof::<HelloReply>(input, bytes, |_| {}),
        _ => proof::<LoginProof>(input, bytes, |_| {}),
    }
}

fn proof<T: ConnectionBound>(input: &[u8], bytes: &[u8], judge: impl Fn(&T)) -> Verdict {
    let Some(signed) = read::<T>(bytes) else {
        return Verdict::Refused;
    };
    if let Ok(body) = signed.claimed_body() {
        judge(&body);
    }
    let key = signer().public();
    let proved = check_proof(&signed, &key, &here(), &EXPORTER, NOW);
    if let Ok(fact) = &proved {
        assert!(
            is_genuine_behind_the_first("greetings", input),
            "nobody proved this here"
        );
        assert!(fact.context().expires.is_some(), "a proof has an end");
    }
    Verdict::of(&proved)
}

fn key_documents(input: &[u8]) -> Verdict {
    let Some(document) = read::<KeyDocument>(input) else {
        return Verdict::Refused;
    };
    let verified = verify_key_document(&here(), &document, NOW);
    assert!(
        verified.is_err() || is_genuine("key_documents", input),
        "its server did not sign this"
    );
    Verdict::of(&verified)
}
