//! A signature counts for exactly what was signed, or not at all (adversaries A3, A4, A6, A12).

mod every_path;
mod strictness;

use super::*;
use crate::did::ServerDid;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const HOUR_MS: u64 = 3600 * 1000;

/// A statement to one server.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
struct Call {
    number: u64,
}

impl SignedBody for Call {
    const KIND: Kind = Kind::Login;
    const NAME: &'static str = "call";
}

/// The same bytes as another kind of statement.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
struct OtherCall {
    number: u64,
}

impl SignedBody for OtherCall {
    const KIND: Kind = Kind::Hello;
    const NAME: &'static str = "other call";
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn server(name: &str) -> ServerDid {
    format!("did:web:{name}.example").parse().expect("a DID")
}

fn here() -> Audience {
    Audience::Server(server("org-b"))
}

fn context() -> SigningContext {
    SigningContext {
        key_id: "key-1".to_owned(),
        origin: "did:web:org-a.example".to_owned(),
        audience: here(),
        created: NOW,
        expires: Some(NOW.after(HOUR_MS)),
    }
}

fn signed_in(context: &SigningContext) -> Signed<Call> {
    Signed::sign(&Call { number: 7 }, context, &key(1))
}

fn header() -> Header {
    signed_in(&context()).header().expect("own header")
}

/// Signs any header bytes as the key's owner could.
fn forged(header: &[u8], body: &[u8]) -> Signed<Call> {
    Signed {
        header: header.into(),
        body: body.into(),
        signature: key(1).sign(&signing_input(header)),
        body_type: PhantomData,
    }
}

/// The verdict on a live call from key 1 to this server.
fn judge(signed: &Signed<Call>) -> Result<Call, SignedFault> {
    signed
        .verify(&key(1).public(), &here())?
        .named("did:web:org-a.example", "key-1")?
        .current_at(NOW)
        .map(Verified::into_body)
}

fn check_header(change: impl FnOnce(&mut Header), expected: Result<Call, SignedFault>) {
    let mut changed = header();
    change(&mut changed);
    let signed = forged(&encode(&changed), &encode(&Call { number: 7 }));
    assert_eq!(judge(&signed), expected, "{changed:?}");
}

#[test]
fn a3_a_call_without_its_destination_is_refused() {
    check_header(|_| {}, Ok(Call { number: 7 }));
    for audience in [
        Audience::Public,
        Audience::Room([0; 32]),
        Audience::Server(server("org-c")),
        Audience::Server(server("sub.org-b")),
    ] {
        let refused = Err(SignedFault::WrongAudience("call"));
        check_header(|header| header.audience = audience, refused);
    }
}

#[test]
fn a3_another_version_is_refused() {
    for version in [0, 2, 255] {
        let refused = Err(SignedFault::Algorithm {
            what: "call",
            version,
            alg: ALG_ED25519,
        });
        check_header(|header| header.version = version, refused);
    }
}

#[test]
fn a3_a_call_without_its_end_or_out_of_its_time_is_refused() {
    let check = |created, expires, good| {
        let expected = match good {
            true => Ok(Call { number: 7 }),
            false => Err(SignedFault::NotCurrent("call")),
        };
        check_header(
            |header| (header.created, header.expires) = (created, expires),
            expected,
        );
    };
    let soon = Some(NOW.after(1));
    check(NOW, None, false);
    check(NOW, soon, true);
    check(NOW, Some(NOW), false);
    check(NOW, Some(NOW.before(1)), false);
    check(
        NOW.after(CLOCK_TOLERANCE_MS),
        Some(UnixMillis(u64::MAX)),
        true,
    );
    check(
        NOW.after(CLOCK_TOLERANCE_MS + 1),
        Some(UnixMillis(u64::MAX)),
        false,
    );
    let begun = NOW.before(HOUR_MS);
    check(begun, Some(NOW.before(CLOCK_TOLERANCE_MS - 1)), true);
    check(begun, Some(NOW.before(CLOCK_TOLERANCE_MS)), false);
}

#[test]
fn a3_a_header_with_a_field_missing_or_unknown_is_refused() {
    let (header, body) = (encode(&header()), encode(&Call { number: 7 }));
    assert_eq!(judge(&forged(&header, &body)), Ok(Call { number: 7 }));
    for length in 0..header.len() {
        let cut = forged(&header[..length], &body);
        assert!(
            matches!(judge(&cut), Err(SignedFault::Codec(_))),
            "{length}"
        );
    }
    let longer = [&header[..], &[0]].concat();
    assert!(matches!(
        judge(&forged(&longer, &body)),
        Err(SignedFault::Codec(_))
    ));
    // Version, algorithm, key id and its hash, origin; then the discriminant of the audience.
    let audience = 3 + (1 + 5) + 32 + (1 + 21);
    assert_eq!(header[audience], 1, "a server");
    // Audience and kind, created, the presence of an end.
    let presence = header.len() - 32 - 8 - 1;
    assert_eq!(header[presence], 1, "it has an end");
    let kind = presence - 8 - 2;
    assert_eq!(header[kind..kind + 2], [0, 7], "a login");
    for (place, unknown) in [(audience, 3), (audience, 255), (presence, 2), (kind, 200)] {
        let mut changed = header.clone();
        changed[place] = unknown;
        let signed = forged(&changed, &body);
        assert!(
            matches!(judge(&signed), Err(SignedFault::Codec(_))),
            "{place}: {unknown}"
        );
    }
}

#[test]
fn a4_a_body_that_is_not_exactly_what_was_signed_is_refused() {
    let (header, body) = (encode(&header()), encode(&Call { number: 7 }));
    let signed = forged(&header, &encode(&Call { number: 8 }));
    assert_eq!(judge(&signed), Err(SignedFault::BodyHash("call")));
    let appended = [&body[..], &[0]].concat();
    assert_eq!(
        judge(&forged(&header, &appended)),
        Err(SignedFault::BodyHash("call"))
    );
    // The owner signs a body with something behind it.
    let hidden = Header {
        body_hash: Sha256::digest(&appended).into(),
        ..self::header()
    };
    let signed = forged(&encode(&hidden), &appended);
    assert!(matches!(judge(&signed), Err(SignedFault::Codec(_))));
}

#[test]
fn a4_a_statement_on_one_kind_never_verifies_as_another() {
    let bytes = signed_in(&context()).to_bytes();
    let other = Signed::<OtherCall>::from_bytes(&bytes).expect("the same form");
    assert_eq!(
        other.verify(&key(1).public(), &here()).map(|_| ()),
        Err(SignedFault::WrongKind {
            what: "other call",
            got: Kind::Login
        })
    );
}

#[test]
fn a6_a_signature_counts_under_its_own_key_only() {
    let signed = signed_in(&context());
    assert_eq!(judge(&signed), Ok(Call { number: 7 }));
    assert_eq!(
        signed.verify(&key(2).public(), &here()).map(|_| ()),
        Err(SignedFault::WrongKey("call"))
    );
    assert!(signed.names_key(&key(1).public()) && !signed.names_key(&key(2).public()));
    // Naming the other key in the header breaks the signature, whichever key made it.
    let renamed = Header {
        key_hash: key(2).public().fingerprint(),
        ..header()
    };
    let renamed = forged(&encode(&renamed), &encode(&Call { number: 7 }));
    assert!(matches!(
        renamed.verify(&key(2).public(), &here()),
        Err(SignedFault::Signature { .. })
    ));
    assert_eq!(judge(&renamed), Err(SignedFault::WrongKey("call")));
}

#[test]
fn a12_another_algorithm_is_refused() {
    // none, RSA-PKCS1, RSA-PSS, P-256, Ed448, ML-DSA-44 and the neighbours of Ed25519.
    for alg in [0, 0x0401, 0x0804, 0x0403, 0x0808, 0x0904, 0x0806, 0xffff] {
        let refused = Err(SignedFault::Algorithm {
            what: "call",
            version: VERSION,
            alg,
        });
        check_header(|header| header.alg = alg, refused);
    }
}

#[test]
fn a12_mixed_up_names_are_refused() {
    let misnamed = |name| Err(SignedFault::Misnamed { what: "call", name });
    for other in ["", "key-2", "key-1 ", "KEY-1"] {
        check_header(
            |header| header.key_id = other.as_bytes().into(),
            misnamed("key id"),
        );
    }
    for other in ["", "did:web:org-b.example", "did:web:org-a.example."] {
        check_header(
            |header| header.origin = other.as_bytes().into(),
            misnamed("origin"),
        );
    }
    let no_text = forged(
        &encode(&Header {
            key_id: vec![0xff].into(),
            ..header()
        }),
        &encode(&Call { number: 7 }),
    );
    assert!(matches!(judge(&no_text), Err(SignedFault::Codec(_))));
}

#[test]
fn a_claim_shows_its_size_and_no_content() {
    let shown = format!("{:?}", signed_in(&context()));
    assert_eq!(shown, "Signed<call>(8 bytes)");
}
