//! The TLS presentation language (RFC 8446 §3) as this project uses it: deterministic, exact.
//!
//! Signed objects, hashes and stored values are encoded so. Text types travel as their canonical
//! string; parsing back refuses anything that is not canonical.

use tls_codec::{Deserialize, Serialize};

/// A value's bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}: {reason}")]
pub struct CodecFault {
    /// The type that was being read.
    pub what: &'static str,
    /// What was wrong with the bytes.
    pub reason: String,
}

/// Encodes a value.
///
/// # Panics
/// Never for the types of this project: encoding into memory fails only on lengths beyond 2^30.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    value
        .tls_serialize_detached()
        .expect("values of this project stay far below the 2^30 bytes that the codec can express")
}

/// Decodes a value that must fill `bytes` exactly.
///
/// # Errors
/// Truncated, trailing or out-of-range bytes.
pub fn decode_exact<T: Deserialize>(what: &'static str, bytes: &[u8]) -> Result<T, CodecFault> {
    T::tls_deserialize_exact(bytes).map_err(|error| CodecFault {
        what,
        reason: error.to_string(),
    })
}

/// Gives a type with `Display` and `FromStr` the encoding of its canonical string.
macro_rules! tls_text {
    ($type:ty) => {
        impl tls_codec::Size for $type {
            fn tls_serialized_len(&self) -> usize {
                tls_codec::Size::tls_serialized_len(&tls_codec::VLByteSlice(
                    self.to_string().as_bytes(),
                ))
            }
        }

        impl tls_codec::Serialize for $type {
            fn tls_serialize<W: std::io::Write>(
                &self,
                writer: &mut W,
            ) -> Result<usize, tls_codec::Error> {
                tls_codec::Serialize::tls_serialize(
                    &tls_codec::VLByteSlice(self.to_string().as_bytes()),
                    writer,
                )
            }
        }

        impl tls_codec::Deserialize for $type {
            fn tls_deserialize<R: std::io::Read>(bytes: &mut R) -> Result<Self, tls_codec::Error> {
                let raw = <tls_codec::VLBytes as tls_codec::Deserialize>::tls_deserialize(bytes)?;
                let text = std::str::from_utf8(raw.as_slice())
                    .map_err(|error| tls_codec::Error::DecodingError(error.to_string()))?;
                text.parse()
                    .map_err(|error| tls_codec::Error::DecodingError(format!("{error}")))
            }
        }
    };
}
pub(crate) use tls_text;
