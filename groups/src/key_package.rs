//! KeyPackages: how a device lets itself be added while it is away.
//!
//! The MLS lifetime of their leaves is unbounded (see the leaf rule); the one that counts stands in an
//! extension that the KeyPackage signs, and is judged against a time that the caller gives: the server
//! that stores it, the member that adds it, and, with the time of ordering, hub and members.

use entente_identity::{CLOCK_TOLERANCE_MS, UnixMillis, decode_exact, encode};
use openmls::prelude::{
    Extension, ExtensionType, Extensions, KeyPackage, KeyPackageIn, ProtocolVersion,
    UnknownExtension,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::config::LIFETIME_EXTENSION;
use crate::crypto::Crypto;
use crate::ids::KeyPackageRef;
use crate::leaf::{LeafFault, VerifiedLeaf, judge_leaf};
use crate::message::{MessageFault, parse_key_package};
use crate::suite::{Suite, SuiteFault};

/// Longest lifetime of a KeyPackage, in milliseconds: 90 days.
pub const MAX_KEY_PACKAGE_LIFETIME_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// Whether a KeyPackage is used once or may serve again when no other is left (RFC 9420 §16.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPackageUse {
    /// Used once.
    Once,
    /// The last resort.
    LastResort,
}

/// A KeyPackage that was judged good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedKeyPackage {
    /// Its name.
    pub reference: KeyPackageRef,
    /// Its suite.
    pub suite: Suite,
    /// Whose device it is.
    pub owner: VerifiedLeaf,
    /// How often it may be used.
    pub usage: KeyPackageUse,
    /// When it ends.
    pub expires: UnixMillis,
}

/// Why a KeyPackage must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageFault {
    /// Not a KeyPackage.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// Signatures or keys are wrong.
    #[error("the KeyPackage is invalid: {0}")]
    Invalid(String),
    /// A suite that rooms may not use, or not the room's.
    #[error(transparent)]
    Suite(#[from] SuiteFault),
    /// The leaf rule.
    #[error("the KeyPackage's leaf: {0}")]
    Leaf(#[from] LeafFault),
    /// Nobody can encrypt a Welcome to it.
    #[error("the KeyPackage's init key is none of its suite")]
    InitKey,
    /// It does not say when it ends, or for too long.
    #[error("a KeyPackage says when it ends, at most 90 days after it begins")]
    Lifetime,
    /// It has ended, or has not begun.
    #[error("the KeyPackage has expired or has not begun; ask for another")]
    NotCurrent,
}

/// When a KeyPackage is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub(crate) struct KeyPackageLifetime {
    pub(crate) begins: UnixMillis,
    pub(crate) expires: UnixMillis,
}

impl KeyPackageLifetime {
    pub(crate) fn extensions(self, usage: KeyPackageUse) -> Extensions<KeyPackage> {
        let lifetime = Extension::Unknown(LIFETIME_EXTENSION, UnknownExtension(encode(&self)));
        let mut extensions = vec![lifetime];
        if usage == KeyPackageUse::LastResort {
            extensions.push(Extension::LastResort(Default::default()));
        }
        Extensions::from_vec(extensions).expect("both extensions may be in a KeyPackage")
    }

    fn check(self, now: UnixMillis) -> Result<UnixMillis, KeyPackageFault> {
        if self.expires <= self.begins
            || self.expires.since(self.begins) > MAX_KEY_PACKAGE_LIFETIME_MS
        {
            return Err(KeyPackageFault::Lifetime);
        }
        if self.begins > now.after(CLOCK_TOLERANCE_MS) || self.expires <= now {
            return Err(KeyPackageFault::NotCurrent);
        }
        Ok(self.expires)
    }
}

/// Judges a KeyPackage as it came.
///
/// # Errors
/// Whatever forbids to use it at `now`.
pub fn judge_key_package(
    bytes: &[u8],
    now: UnixMillis,
) -> Result<JudgedKeyPackage, KeyPackageFault> {
    let crypto = Crypto::default();
    let key_package = verify(parse_key_package(bytes)?, &crypto)?;
    judge(&key_package, &crypto, now)
}

/// Checks the signatures of a KeyPackage.
pub(crate) fn verify(
    key_package: KeyPackageIn,
    crypto: &Crypto,
) -> Result<KeyPackage, KeyPackageFault> {
    key_package
        .validate(crypto, ProtocolVersion::Mls10)
        .map_err(|error| KeyPackageFault::Invalid(error.to_string()))
}

/// Judges a KeyPackage whose signatures are known to be good.
pub(crate) fn judge(
    key_package: &KeyPackage,
    crypto: &Crypto,
    now: UnixMillis,
) -> Result<JudgedKeyPackage, KeyPackageFault> {
    let suite = Suite::from_mls(key_package.ciphersuite())?;
    if !crypto.can_encrypt_to(suite, key_package.hpke_init_key().as_slice()) {
        return Err(KeyPackageFault::InitKey);
    }
    let extensions = key_package.extensions();
    let lifetime = extensions
        .unknown(LIFETIME_EXTENSION)
        .and_then(|extension| decode_exact("KeyPackage lifetime", &extension.0).ok());
    let lifetime: KeyPackageLifetime = lifetime.ok_or(KeyPackageFault::Lifetime)?;
    let expires = lifetime.check(now)?;
    let usage = if extensions.contains(ExtensionType::LastResort) {
        KeyPackageUse::LastResort
    } else {
        KeyPackageUse::Once
    };
    Ok(JudgedKeyPackage {
        reference: reference_of(key_package, crypto)?,
        suite,
        owner: judge_leaf(key_package.leaf_node(), suite, crypto)?,
        usage,
        expires,
    })
}

/// The name of a KeyPackage.
pub(crate) fn reference_of(
    key_package: &KeyPackage,
    crypto: &Crypto,
) -> Result<KeyPackageRef, KeyPackageFault> {
    key_package
        .hash_ref(crypto)
        .map(|reference| KeyPackageRef::new(reference.as_slice()))
        .map_err(|error| KeyPackageFault::Invalid(error.to_string()))
}
