//! Ed25519 keys and signatures as they come: 32 bytes, 64 bytes, the message.

use entente_identity::{PublicKey, Signature};

use crate::fixture::is_genuine;
use crate::target::{Target, Verdict};

pub(super) const SIGNATURES: Target = Target {
    name: "signatures",
    run: signatures,
    checks: "A key or first half of a signature that is accepted is canonical and not of small order, \
             the second half is below the group's order, and the verdict is the same every time.",
    smoke_runs: 5_000,
};

/// The order of the group, L, little endian (RFC 8032 §5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// y of the two points of order 8 that have it, little endian, without the sign of x.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

fn signatures(input: &[u8]) -> Verdict {
    let Some((key, rest)) = input.split_first_chunk::<32>() else {
        return Verdict::Refused;
    };
    let read = PublicKey::from_slice(key);
    let Ok(public) = read else {
        return Verdict::of(&read);
    };
    check_point(key);
    assert_eq!(public.as_bytes(), key, "a key keeps its bytes");
    let Some((signature, message)) = rest.split_first_chunk::<64>() else {
        return Verdict::Refused;
    };
    let verify = || public.verify(message, &Signature::from_bytes(*signature));
    let verified = verify();
    assert_eq!(verify(), verified, "a verdict does not change");
    if verified.is_ok() {
        let (point, scalar) = signature.split_first_chunk::<32>().expect("64 bytes");
        check_point(point);
        assert!(below(scalar, &ORDER), "S is below L");
        assert!(is_genuine("signatures", input), "nobody signed this");
    }
    Verdict::of(&verified)
}

/// The point's encoding is canonical, and its order is not 1, 2, 4 or 8.
fn check_point(bytes: &[u8; 32]) {
    let mut y = *bytes;
    let sign = y[31] & 0x80;
    y[31] &= 0x7f;
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    assert!(below(&y, &prime), "y is below p");
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = prime;
    minus_one[0] -= 1;
    assert!(
        y != [0; 32] && y != one && y != minus_one,
        "order 4, 1 or 2"
    );
    assert!(!ORDER_EIGHT.contains(&y), "order 8, sign {sign:#x}");
}

/// Whether a number is below another, both little endian.
fn below(number: &[u8], limit: &[u8]) -> bool {
    number.iter().rev().lt(limit.iter().rev())
}
