//! The leaf rule: whose device a leaf is, judged from its own bytes alone.
//!
//! A leaf carries the certificates that lead from its account's root key to its own signature key, and
//! the account's home record. One function judges it, for the hub before it orders a commit and for
//! every member before it merges: so honest parties never disagree about an ordered commit.

use entente_identity::{
    AccountDid, CertificateFault, Device, DeviceCertificate, HomeRecord, HomeRecordFault,
    ServerDid, Signed, decode_exact, encode, verify_chain, verify_home_record,
};
use openmls::prelude::tls_codec::{Serialize as _, Size as _};
use openmls::prelude::{
    BasicCredential, Capabilities, Credential, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, LeafNode, ProposalType, ProtocolVersion, UnknownExtension,
    VerifiableCiphersuite,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::config::{LEAF_EXTENSION, POLICY_EXTENSION, UNBOUNDED};
use crate::crypto::Crypto;
use crate::suite::Suite;

/// Longest leaf, in bytes: several times what one with a long chain of certificates has.
pub const MAX_LEAF_BYTES: usize = 8 << 10;
/// The only version of the extension.
const VERSION: u8 = 1;

/// What a leaf says about its owner: a claim until it is judged.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LeafIdentity {
    version: u8,
    /// The account.
    pub account: AccountDid,
    /// Certificates from the account's root to the device; one in the usual case.
    pub chain: Vec<Signed<DeviceCertificate>>,
    /// Where the account lives.
    pub home_record: Signed<HomeRecord>,
    /// Certificates to the manager that signed the home record; empty when the root or a manager of
    /// `chain` did.
    pub home_signer: Vec<Signed<DeviceCertificate>>,
}

/// A leaf's owner, as shown by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedLeaf {
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: Device,
    /// The version of the device list that names it.
    pub list_version: u32,
    /// The hash of that list.
    pub list_hash: [u8; 32],
    /// Where the account lives.
    pub home: HomeRecord,
}

/// Why a leaf is not acceptable in a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafFault {
    /// Too long to be in everyone's tree.
    #[error("a leaf has at most {MAX_LEAF_BYTES} bytes, this has {0}")]
    TooLong(usize),
    /// Not a basic credential.
    #[error("a leaf's credential is a basic one")]
    CredentialType,
    /// The credential names another account than the extension.
    #[error("the leaf's credential names another account than its certificates")]
    CredentialIdentity,
    /// The extension is not there.
    #[error("the leaf does not say whose device it is")]
    NoIdentity,
    /// The extension's bytes are malformed or of an unknown version.
    #[error("the leaf's identity is malformed: {0}")]
    Malformed(String),
    /// The certificates do not lead to a device.
    #[error("the leaf's device is not its account's: {0}")]
    Certificate(#[from] CertificateFault),
    /// The leaf signs with another key than the certified one.
    #[error("the leaf's signature key is not the certified device's")]
    SignatureKey,
    /// Nobody can encrypt to the leaf.
    #[error("the leaf's encryption key is none of the room's suite")]
    EncryptionKey,
    /// The home record is not the account's.
    #[error("the leaf's home record: {0}")]
    HomeRecord(#[from] HomeRecordFault),
    /// Something that every leaf must support is missing.
    #[error("the leaf's capabilities lack {0}")]
    Capabilities(&'static str),
    /// The MLS lifetime is bounded, which members would judge at different times.
    #[error("a leaf's MLS lifetime is unbounded; its KeyPackage says when it ends")]
    Lifetime,
}

impl LeafIdentity {
    /// What a leaf of this account says.
    #[must_use]
    pub fn new(
        account: AccountDid,
        chain: Vec<Signed<DeviceCertificate>>,
        home_record: Signed<HomeRecord>,
    ) -> Self {
        Self {
            version: VERSION,
            account,
            chain,
            home_record,
            home_signer: Vec::new(),
        }
    }

    /// The same, with the certificates of the manager that signed the home record.
    #[must_use]
    pub fn with_home_signer(self, home_signer: Vec<Signed<DeviceCertificate>>) -> Self {
        Self {
            home_signer,
            ..self
        }
    }

    /// Checks every signature from the account's root down.
    ///
    /// # Errors
    /// The first statement that does not hold.
    pub fn verify(&self) -> Result<VerifiedLeaf, LeafFault> {
        let shown = verify_chain(&self.account, &self.chain)?;
        let managers = match self.home_signer.as_slice() {
            [] => certified_devices(&self.chain)?,
            chain => vec![verify_chain(&self.account, chain)?.device],
        };
        let home = verify_home_record(&self.account, &managers, &self.home_record)?;
        Ok(VerifiedLeaf {
            account: self.account,
            device: shown.device,
            list_version: shown.list_version,
            list_hash: shown.list_hash,
            home: home.into_body(),
        })
    }

    /// What the leaf says, read without checking signatures: for leaves that were judged when they
    /// entered the tree.
    fn claimed(self) -> Result<VerifiedLeaf, LeafFault> {
        let malformed = |fault: entente_identity::CodecFault| LeafFault::Malformed(fault.reason);
        let last = self.chain.last().ok_or(CertificateFault::Length(0))?;
        let certificate = last.claimed_body().map_err(malformed)?;
        Ok(VerifiedLeaf {
            account: self.account,
            device: certificate.device,
            list_version: certificate.list_version,
            list_hash: certificate.list_hash,
            home: self.home_record.claimed_body().map_err(malformed)?,
        })
    }

    pub(crate) fn extensions(&self) -> Extensions<LeafNode> {
        let extension = Extension::Unknown(LEAF_EXTENSION, UnknownExtension(encode(self)));
        Extensions::single(extension).expect("a private-use extension may be in a leaf")
    }

    pub(crate) fn credential(&self, signature_key: &[u8]) -> CredentialWithKey {
        CredentialWithKey {
            credential: credential(&self.account),
            signature_key: signature_key.into(),
        }
    }
}

/// The MLS credential of an account.
pub(crate) fn credential(account: &AccountDid) -> Credential {
    BasicCredential::new(account.to_string().into_bytes()).into()
}

impl VerifiedLeaf {
    /// The account's homeserver.
    #[must_use]
    pub fn server(&self) -> ServerDid {
        self.home.server()
    }
}

/// The devices of a chain that was verified.
fn certified_devices(chain: &[Signed<DeviceCertificate>]) -> Result<Vec<Device>, LeafFault> {
    chain
        .iter()
        .map(|signed| signed.claimed_body().map(|certificate| certificate.device))
        .collect::<Result<_, _>>()
        .map_err(|fault| LeafFault::Malformed(fault.reason))
}

/// Judges a leaf: the leaf rule.
pub(crate) fn judge_leaf(
    leaf: &LeafNode,
    suite: Suite,
    crypto: &Crypto,
) -> Result<VerifiedLeaf, LeafFault> {
    let length = leaf.tls_serialized_len();
    if length > MAX_LEAF_BYTES {
        return Err(LeafFault::TooLong(length));
    }
    if leaf.credential().credential_type() != CredentialType::Basic {
        return Err(LeafFault::CredentialType);
    }
    let identity = identity_of(leaf)?;
    if leaf.credential().serialized_content() != identity.account.to_string().as_bytes() {
        return Err(LeafFault::CredentialIdentity);
    }
    check_capabilities(leaf.capabilities(), suite)?;
    check_lifetime(leaf)?;
    let verified = identity.verify()?;
    if leaf.signature_key().as_slice() != verified.device.signature_key.as_bytes() {
        return Err(LeafFault::SignatureKey);
    }
    check_encryption_key(leaf, suite, crypto)?;
    Ok(verified)
}

fn check_encryption_key(leaf: &LeafNode, suite: Suite, crypto: &Crypto) -> Result<(), LeafFault> {
    let key = leaf.encryption_key().tls_serialize_detached();
    let key = key.map_err(|error| LeafFault::Malformed(error.to_string()))?;
    let key: VLBytes =
        decode_exact("encryption key", &key).map_err(|fault| LeafFault::Malformed(fault.reason))?;
    if crypto.can_encrypt_to(suite, key.as_slice()) {
        Ok(())
    } else {
        Err(LeafFault::EncryptionKey)
    }
}

/// The owner of a leaf that is in a tree, and so was judged when it entered.
pub(crate) fn owner_of(leaf: &LeafNode) -> Result<VerifiedLeaf, LeafFault> {
    identity_of(leaf)?.claimed()
}

fn identity_of(leaf: &LeafNode) -> Result<LeafIdentity, LeafFault> {
    let extension = leaf
        .extensions()
        .unknown(LEAF_EXTENSION)
        .ok_or(LeafFault::NoIdentity)?;
    let identity: LeafIdentity = decode_exact("leaf identity", &extension.0)
        .map_err(|fault| LeafFault::Malformed(fault.reason))?;
    if identity.version != VERSION {
        let version = identity.version;
        return Err(LeafFault::Malformed(format!("unknown version {version}")));
    }
    Ok(identity)
}

/// RFC 9420 §7.3: the capabilities that every member of a room needs.
fn check_capabilities(capabilities: &Capabilities, suite: Suite) -> Result<(), LeafFault> {
    let suite = VerifiableCiphersuite::from(suite.mls());
    let needed = [
        (
            "MLS 1.0",
            capabilities.versions().contains(&ProtocolVersion::Mls10),
        ),
        (
            "the room's cipher suite",
            capabilities.ciphersuites().contains(&suite),
        ),
        (
            "basic credentials",
            capabilities.credentials().contains(&CredentialType::Basic),
        ),
        (
            "SelfRemove proposals",
            capabilities.proposals().contains(&ProposalType::SelfRemove),
        ),
        (
            "the leaf identity extension",
            supports(capabilities, LEAF_EXTENSION),
        ),
        (
            "the room policy extension",
            supports(capabilities, POLICY_EXTENSION),
        ),
    ];
    match needed.into_iter().find(|(_, supported)| !supported) {
        Some((what, _)) => Err(LeafFault::Capabilities(what)),
        None => Ok(()),
    }
}

fn supports(capabilities: &Capabilities, extension: u16) -> bool {
    let extension = ExtensionType::Unknown(extension);
    capabilities.extensions().contains(&extension)
}

/// A leaf from a KeyPackage must not end for MLS: openmls would ask each member's own clock.
fn check_lifetime(leaf: &LeafNode) -> Result<(), LeafFault> {
    /// LeafNodeSource.key_package (RFC 9420 §7.2); a Lifetime follows.
    const KEY_PACKAGE: u8 = 1;
    let source = leaf
        .leaf_node_source()
        .tls_serialize_detached()
        .map_err(|error| LeafFault::Malformed(error.to_string()))?;
    let (begin, end) = UNBOUNDED;
    let unbounded = [&[KEY_PACKAGE][..], &begin.to_be_bytes(), &end.to_be_bytes()].concat();
    if source.first() == Some(&KEY_PACKAGE) && source != unbounded {
        return Err(LeafFault::Lifetime);
    }
    Ok(())
}
