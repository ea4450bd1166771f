//! Bytes as software makes them that keeps to the formats and to nothing else.

use entente_identity::{SigningKey, decode_exact, encode};
use openmls::prelude::KeyPackage;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLByteSlice, VLBytes};

use super::world::{NOW, World};
use crate::message::{mls_bytes, parse_key_package};
use crate::{Member, Suite};

/// The order of Ed25519's group, little-endian: S and S + L satisfy the same equation.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Bytes of a signature as a vector: their length before them, in two bytes (RFC 9420 §2.1.2).
pub const SIGNATURE_BYTES: usize = 66;

/// The same signature with S + L for S.
pub fn plus_l(signature: &[u8]) -> Vec<u8> {
    let mut changed = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in changed[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "S is below L, and 2 L below 2^256");
    changed
}

/// SignWithLabel (RFC 9420 §5.1.2).
pub fn sign(key: &SigningKey, label: &str, content: &[u8]) -> Vec<u8> {
    #[derive(TlsSize, TlsSerialize)]
    struct SignContent<'a> {
        label: VLByteSlice<'a>,
        content: VLByteSlice<'a>,
    }
    let label = format!("MLS 1.0 {label}");
    let content = SignContent {
        label: VLByteSlice(label.as_bytes()),
        content: VLByteSlice(content),
    };
    key.sign(&encode(&content)).as_bytes().to_vec()
}

/// Puts `new` where `old` stands, which is one place.
pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let places: Vec<_> = (0..=bytes.len() - old.len())
        .filter(|at| bytes[*at..].starts_with(old))
        .collect();
    let [at] = places[..] else {
        panic!("in {} places", places.len());
    };
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// GroupContext (RFC 9420 §8.1).
#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Context {
    pub version: u16,
    pub suite: u16,
    pub group_id: VLBytes,
    pub epoch: u64,
    pub tree_hash: VLBytes,
    pub transcript_hash: VLBytes,
    pub extensions: VLBytes,
}

/// A GroupInfo with the header of its message (RFC 9420 §12.4.3).
#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Info {
    pub version: u16,
    pub wire_format: u16,
    pub context: Context,
    pub extensions: VLBytes,
    pub confirmation_tag: VLBytes,
    pub signer: u32,
    pub signature: VLBytes,
}

impl Info {
    pub fn parse(bytes: &[u8]) -> Self {
        decode_exact("GroupInfo", bytes).expect("a GroupInfo")
    }

    /// The bytes, signed anew.
    pub fn signed(mut self, key: &SigningKey) -> Vec<u8> {
        self.signature = Vec::new().into();
        let unsigned = encode(&self);
        let content = &unsigned[4..unsigned.len() - 1];
        self.signature = sign(key, "GroupInfoTBS", content).into();
        encode(&self)
    }
}

/// A KeyPackage's bytes with another part in them, signed anew.
pub fn key_package_with(bytes: &[u8], old: &[u8], new: &[u8], key: &SigningKey) -> Vec<u8> {
    let unsigned = &bytes[..bytes.len() - SIGNATURE_BYTES];
    let unsigned = replaced(unsigned, old, new);
    let signature = VLBytes::from(sign(key, "KeyPackageTBS", &unsigned[4..]));
    [unsigned, encode(&signature)].concat()
}

/// The bytes of a KeyPackage's leaf.
pub fn leaf_of(key_package: &[u8]) -> Vec<u8> {
    mls_bytes(verified(key_package).leaf_node())
}

/// A KeyPackage whose signatures are good.
pub fn verified(bytes: &[u8]) -> KeyPackage {
    let key_package = parse_key_package(bytes).expect("a KeyPackage");
    let crypto = crate::crypto::Crypto::default();
    crate::key_package::verify(key_package, &crypto).expect("its signatures")
}

/// Where the content of a handshake ends and its authentication begins (RFC 9420 §6.2): a signature,
/// a commit's confirmation tag, a member's membership tag.
pub fn content_end(message: &[u8], tags: usize, suite: Suite) -> usize {
    let tag = match suite {
        Suite::Classical => 1 + 32,
        Suite::PostQuantum => 1 + 48,
    };
    message.len() - SIGNATURE_BYTES - tags * tag
}

/// A handshake of this epoch with another part in its content, signed anew; its tags stay.
pub fn handshake_with(
    world: &World,
    message: &[u8],
    (old, new): (&[u8], &[u8]),
    tags: usize,
    key: &SigningKey,
) -> Vec<u8> {
    let end = content_end(message, tags, world.hub.suite());
    let content = replaced(&message[..end], old, new);
    let context = encode(&Info::parse(&world.group_info).context);
    let signature = sign(key, "FramedContentTBS", &[&content[..], &context].concat());
    let signature = encode(&VLBytes::from(signature));
    [&content[..], &signature, &message[end + SIGNATURE_BYTES..]].concat()
}

/// The new leaf of the member at that seat, in bytes, after its own commit.
pub fn path_leaf(world: &mut World, seat: usize, commit: &[u8]) -> Vec<u8> {
    let seat = &mut world.seats[seat];
    seat.store();
    let rows = seat.table.0.clone();
    let mut after = Member::load(seat.member.room(), rows).expect("own rows");
    after.process(commit, NOW).expect("own commit");
    let leaf = after.group.public_group().leaf(after.own_leaf().into());
    mls_bytes(leaf.expect("it is in the room"))
}
