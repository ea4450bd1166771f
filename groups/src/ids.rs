//! Names of the things that groups are made of.
//!
//! Every id is a type of its own and prints as lower-case hex or as a number. Room and message ids
//! also parse back from exactly what they print.

use std::fmt;
use std::str::FromStr;

use openmls::prelude::LeafNodeIndex;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// Names a room: SHA-256 of its signed create record, and the MLS group id.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct RoomId(pub [u8; 32]);

/// Names a message within its room: chosen at random by its sender, kept when it is encrypted again.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct MessageId(pub [u8; 16]);

/// An MLS epoch: how many commits the group has seen.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TlsSize,
    TlsSerialize,
    TlsDeserialize,
)]
pub struct Epoch(pub u64);

/// A leaf of the ratchet tree, counted from the left.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct LeafIndex(pub u32);

/// Names a KeyPackage: its hash under the suite's hash function (RFC 9420 §5.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct KeyPackageRef(Vec<u8>);

/// Why a text or a byte string is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {digits} lower-case hexadecimal digits, got `{got}`")]
pub struct IdFault {
    /// The kind of id.
    pub what: &'static str,
    /// How many digits it has.
    pub digits: usize,
    /// The beginning of what came.
    pub got: String,
}

impl RoomId {
    /// The room of an MLS group id, if it is one of ours.
    #[must_use]
    pub fn from_group_id(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl KeyPackageRef {
    /// Wraps a reference's bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The reference's bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<LeafNodeIndex> for LeafIndex {
    fn from(index: LeafNodeIndex) -> Self {
        Self(index.u32())
    }
}

impl From<LeafIndex> for LeafNodeIndex {
    fn from(index: LeafIndex) -> Self {
        Self::new(index.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for KeyPackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for KeyPackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse_hex<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], IdFault> {
    let fault = || IdFault {
        what,
        digits: 2 * N,
        got: text.chars().take(2 * N).collect(),
    };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(fault()),
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return Err(fault());
    }
    let mut id = [0; N];
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(id)
}

macro_rules! hex_id {
    ($type:ty, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl FromStr for $type {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                parse_hex($what, text).map(Self)
            }
        }
    };
}
hex_id!(RoomId, "a room id");
hex_id!(MessageId, "a message id");

#[cfg(test)]
mod tests {
    use super::*;
    use entente_identity::{decode_exact, encode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_print_and_parse_back(room: [u8; 32], message: [u8; 16]) {
            prop_assert_eq!(RoomId(room).to_string().parse(), Ok(RoomId(room)));
            prop_assert_eq!(MessageId(message).to_string().parse(), Ok(MessageId(message)));
            prop_assert_eq!(decode_exact("id", &encode(&RoomId(room))), Ok(RoomId(room)));
        }

        #[test]
        fn any_text_is_one_id_or_none(text in ".{0,80}") {
            if let Ok(id) = text.parse::<RoomId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn upper_case_and_other_lengths_are_refused() {
        let id = MessageId([0xab; 16]).to_string();
        assert!(id.to_uppercase().parse::<MessageId>().is_err());
        assert!(id[1..].parse::<MessageId>().is_err());
        let fault = id.parse::<RoomId>().expect_err("too short").to_string();
        assert!(fault.starts_with("a room id is 64"), "{fault}");
    }
}
