//! How genuine bytes are turned into hostile ones.

use entente_identity::SigningKey;
use tls_codec::{Deserialize, Serialize, VLBytes};

use crate::store::Store;

/// Cut off, longer, and changed in places: none of them may be taken for the original.
pub fn damaged(store: &mut Store, target: &str, line: &str, name: &str, genuine: &[u8]) {
    damaged_before(store, (target, line, name), genuine, genuine.len());
}

/// The same where what stands from `end` on is for somebody else to judge.
pub fn damaged_before(store: &mut Store, of: (&str, &str, &str), genuine: &[u8], end: usize) {
    let (target, line, name) = of;
    let length = genuine.len();
    let mut add = |how: &str, input: Vec<u8>| {
        store.hostile(target, line, &format!("{name}-{how}"), input);
    };
    add("cut-off", genuine[..length - 1].to_vec());
    add("half", genuine[..length / 2].to_vec());
    add("longer", [genuine, &[0]].concat());
    for (how, at) in [("early", end / 4), ("late", end * 3 / 4), ("last", end - 1)] {
        let mut changed = genuine.to_vec();
        changed[at] ^= 1;
        add(&format!("changed-{how}"), changed);
    }
}

/// A signed object taken apart: header, body, signature.
pub struct Envelope {
    pub header: Vec<u8>,
    pub body: Vec<u8>,
    pub signature: [u8; 64],
}

impl Envelope {
    pub fn open(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let mut part = || {
            let part = VLBytes::tls_deserialize(&mut rest).expect("an envelope");
            part.as_slice().to_vec()
        };
        let (header, body) = (part(), part());
        let signature = rest.try_into().expect("64 bytes of signature");
        Self {
            header,
            body,
            signature,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let part = |bytes: &[u8]| {
            let bytes = VLBytes::new(bytes.to_vec());
            bytes.tls_serialize_detached().expect("short")
        };
        [
            part(&self.header),
            part(&self.body),
            self.signature.to_vec(),
        ]
        .concat()
    }

    /// The same with another header, signed anew: only what the header says is wrong with it.
    pub fn resigned(&self, key: &SigningKey, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut header = self.header.clone();
        change(&mut header);
        let signed = [b"entente signed object".as_slice(), &header].concat();
        let signature = *key.sign(&signed).as_bytes();
        Self {
            header,
            body: self.body.clone(),
            signature,
        }
        .to_bytes()
    }
}

/// A signed object in which exactly one thing is wrong; `before` is what its target wants in front.
pub fn forged(store: &mut Store, target: &str, name: &str, before: &[u8], genuine: &[u8]) {
    let envelope = Envelope::open(genuine);
    let key = SigningKey::from_seed(&[0x55; 32]);
    let other = SigningKey::from_seed(&[0x56; 32]);
    let mut add = |line: &str, how: &str, bytes: Vec<u8>| {
        let input = [before, &bytes].concat();
        store.hostile(target, line, &format!("{name}-{how}"), input);
    };
    // version, algorithm (RFC 8446 SignatureScheme), key id.
    add(
        "a3",
        "version-0",
        envelope.resigned(&key, |header| header[0] = 0),
    );
    add(
        "a3",
        "version-2",
        envelope.resigned(&key, |header| header[0] = 2),
    );
    add(
        "a12",
        "algorithm-ed448",
        envelope.resigned(&key, |header| header[2] = 0x08),
    );
    add(
        "a4",
        "header-longer",
        envelope.resigned(&key, |header| header.push(0)),
    );
    add("a6", "signed-by-another", envelope.resigned(&other, |_| {}));
    let mut body = Envelope::open(genuine);
    body.body[0] ^= 1;
    add("a4", "other-body", body.to_bytes());
    let mut signature = Envelope::open(genuine);
    add_order(&mut signature.signature);
    add("a5", "scalar-plus-order", signature.to_bytes());
    let mut signature = Envelope::open(genuine);
    signature.signature[..32].fill(0);
    add("a5", "small-order-point", signature.to_bytes());
}

/// Adds the group's order to S: a signature that lax verifiers take for the same (RFC 8032 §5.1.7).
pub fn add_order(signature: &mut [u8; 64]) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
}
