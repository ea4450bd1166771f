//! One verdict on what Ed25519 libraries disagree about, in every path (adversaries A5).
//!
//! Chalkias, Garillot, Nikolaenko: Taming the many EdDSAs (2020) lists the cases.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Verifier;
use sha2::Sha512;

use super::every_path::paths;
use super::*;
use crate::did::AccountDid;
use crate::keys::KeyFault;

/// The group's order L, little-endian (RFC 8032 §5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Every encoding with y ≥ p = 2^255 − 19, with both signs of x.
fn encodings_beyond_the_field() -> impl Iterator<Item = [u8; 32]> {
    (0xed..=0xff_u8).flat_map(|low| {
        [0x7f, 0xff].map(|high| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        })
    })
}

/// y = 1 and y = −1 have x = 0, which has no negative.
fn negative_zeros() -> [[u8; 32]; 2] {
    [EIGHT_TORSION[0], EIGHT_TORSION[4]].map(|point| {
        let mut bytes = point.compress().to_bytes();
        bytes[31] |= 0x80;
        bytes
    })
}

/// A key in every form in which this crate takes one.
fn accepted_anywhere(raw: &[u8; 32]) -> bool {
    let multibase = format!(
        "did:key:z{}",
        bs58::encode([&[0xed, 0x01], &raw[..]].concat()).into_string()
    );
    PublicKey::from_slice(raw).is_ok()
        || decode_exact::<PublicKey>("key", raw).is_ok()
        || multibase.parse::<AccountDid>().is_ok()
        || decode_exact::<AccountDid>("DID", &encode(&VLBytes::from(multibase.into_bytes())))
            .is_ok()
}

#[test]
fn a5_keys_of_small_order_are_never_accepted() {
    assert!(accepted_anywhere(key(1).public().as_bytes()));
    for point in EIGHT_TORSION {
        let raw = point.compress().to_bytes();
        assert_eq!(PublicKey::from_slice(&raw), Err(KeyFault::SmallOrder));
        assert!(!accepted_anywhere(&raw), "{raw:02x?}");
    }
}

#[test]
fn a5_keys_in_other_than_their_canonical_encoding_are_never_accepted() {
    for raw in encodings_beyond_the_field().chain(negative_zeros()) {
        assert_eq!(PublicKey::from_slice(&raw), Err(KeyFault::NotCanonical));
        assert!(!accepted_anywhere(&raw), "{raw:02x?}");
    }
    let off_the_curve = [2; 32];
    assert!(CompressedEdwardsY(off_the_curve).decompress().is_none());
    assert!(!accepted_anywhere(&off_the_curve));
}

#[test]
fn a5_no_path_accepts_a_scalar_beyond_the_order() {
    for path in paths() {
        let (head, signature) = split(&path.bytes);
        let mut malleable = signature;
        let carry = add_order(&mut malleable[32..]);
        assert_eq!(carry, 0, "S + L fits");
        assert!((path.holds)(&path.bytes), "{}", path.name);
        assert!(!(path.holds)(&[head, &malleable].concat()), "{}", path.name);
        for bit in [0x20, 0x40, 0x80] {
            let mut high = signature;
            high[63] |= bit;
            assert!(!(path.holds)(&[head, &high].concat()), "{}", path.name);
        }
    }
}

/// The owner of a key can choose R of small order; who verifies by the equation alone accepts it.
#[test]
fn a5_no_path_accepts_a_commitment_of_small_order() {
    for path in paths() {
        let (head, signature) = split(&path.bytes);
        let message = signed_bytes(&path.bytes);
        let identity = EIGHT_TORSION[0].compress().to_bytes();
        let lenient = sign_with(&path.signer, &identity, &message);
        let verifying = dalek(&path.signer).verifying_key();
        let as_read = ed25519_dalek::Signature::from_bytes(&lenient);
        assert!(
            verifying.verify(&message, &as_read).is_ok(),
            "{}",
            path.name
        );
        assert!(!(path.holds)(&[head, &lenient].concat()), "{}", path.name);
        let torsion = EIGHT_TORSION.map(|point| point.compress().to_bytes());
        for commitment in encodings_beyond_the_field()
            .chain(negative_zeros())
            .chain(torsion)
        {
            let forged = sign_with(&path.signer, &commitment, &message);
            assert!(!(path.holds)(&[head, &forged].concat()), "{}", path.name);
            let swapped = [&commitment[..], &signature[32..]].concat();
            assert!(!(path.holds)(&[head, &swapped].concat()), "{}", path.name);
        }
    }
}

/// Under a key with a component of small order some signatures hold by the equation with the cofactor
/// alone; they count nowhere.
#[test]
fn a5_the_equation_is_the_one_without_the_cofactor() {
    let secret = Scalar::from_bytes_mod_order([5; 32]);
    let mixed = EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[1];
    let key = PublicKey::from_slice(mixed.compress().as_bytes()).expect("canonical, of high order");
    let (mut counted, mut refused) = (0, 0);
    for number in 0..64_u8 {
        let message = [number; 8];
        let nonce = Scalar::from_bytes_mod_order([number | 1; 32]);
        let commitment = EdwardsPoint::mul_base(&nonce).compress();
        let k = challenge(commitment.as_bytes(), key.as_bytes(), &message);
        let s = nonce + k * secret;
        let signature = Signature::from_bytes(join(commitment.as_bytes(), &s));
        // k · T vanishes for one challenge in eight.
        let vanishes = k * EIGHT_TORSION[1] == EIGHT_TORSION[0];
        assert_eq!(key.verify(&message, &signature).is_ok(), vanishes);
        counted += u32::from(vanishes);
        refused += u32::from(!vanishes);
    }
    assert!(counted > 0 && refused > 0, "{counted}, {refused}");
}

fn split(bytes: &[u8]) -> (&[u8], [u8; 64]) {
    let (head, signature) = bytes.split_at(bytes.len() - 64);
    (head, signature.try_into().expect("64 bytes"))
}

/// What the signature of a signed object is on.
fn signed_bytes(object: &[u8]) -> Vec<u8> {
    let mut rest = object;
    let header = VLBytes::tls_deserialize(&mut rest).expect("a header");
    signing_input(header.as_slice())
}

fn dalek(key: &SigningKey) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&key.seed())
}

fn challenge(commitment: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(commitment)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Signs with the commitment R = 0 in the given encoding: S = k · a.
fn sign_with(key: &SigningKey, commitment: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let k = challenge(commitment, key.public().as_bytes(), message);
    join(commitment, &(k * dalek(key).to_scalar()))
}

fn join(commitment: &[u8; 32], scalar: &Scalar) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(commitment);
    signature[32..].copy_from_slice(scalar.as_bytes());
    signature
}

fn add_order(scalar: &mut [u8]) -> u16 {
    scalar
        .iter_mut()
        .zip(ORDER)
        .fold(0, |carry, (byte, order)| {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            sum >> 8
        })
}
