//! The cipher suites that rooms may use.
//!
//! Only these are accepted, everywhere; a room keeps the suite of its create record.

use std::fmt;
use std::str::FromStr;

use openmls::prelude::Ciphersuite;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// A cipher suite, by its MLS code point.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
#[repr(u16)]
pub enum Suite {
    /// `MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519` (draft-ietf-mls-pq-ciphersuites).
    #[default]
    PostQuantum = 0x004e,
    /// `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519` (RFC 9420 §17.1).
    Classical = 0x0001,
}

/// A suite that rooms may not use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cipher suite `{0}` is not accepted; use `post-quantum` or `classical`")]
pub struct SuiteFault(pub String);

impl Suite {
    /// Every accepted suite, the preferred one first.
    pub const ALL: [Self; 2] = [Self::PostQuantum, Self::Classical];

    /// The MLS code point.
    #[must_use]
    pub fn code_point(self) -> u16 {
        self as u16
    }

    /// The suite of a code point.
    ///
    /// # Errors
    /// Any suite that rooms may not use.
    pub fn from_code_point(code_point: u16) -> Result<Self, SuiteFault> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.code_point() == code_point)
            .ok_or_else(|| SuiteFault(format!("{code_point:#06x}")))
    }

    /// The name in configuration and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PostQuantum => "post-quantum",
            Self::Classical => "classical",
        }
    }

    /// The suite's name in its specification.
    #[must_use]
    pub fn mls_name(self) -> &'static str {
        match self {
            Self::PostQuantum => "MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519",
            Self::Classical => "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
        }
    }

    pub(crate) fn mls(self) -> Ciphersuite {
        match self {
            Self::PostQuantum => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
            Self::Classical => Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
        }
    }

    pub(crate) fn from_mls(suite: Ciphersuite) -> Result<Self, SuiteFault> {
        Self::from_code_point(u16::from(suite))
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Suite {
    type Err = SuiteFault;

    fn from_str(text: &str) -> Result<Self, SuiteFault> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == text || suite.mls_name() == text)
            .ok_or_else(|| SuiteFault(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_suites_are_accepted() {
        for suite in Suite::ALL {
            assert_eq!(suite.name().parse(), Ok(suite));
            assert_eq!(suite.mls_name().parse(), Ok(suite));
            assert_eq!(Suite::from_code_point(suite.code_point()), Ok(suite));
            assert_eq!(Suite::from_mls(suite.mls()), Ok(suite));
        }
        let accepted = (0..=u16::MAX).filter(|c| Suite::from_code_point(*c).is_ok());
        assert_eq!(accepted.collect::<Vec<_>>(), [0x0001, 0x004e]);
        assert!(
            "MLS_128_DHKEMP256_AES128GCM_SHA256_P256"
                .parse::<Suite>()
                .is_err()
        );
    }
}
