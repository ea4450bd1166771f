//! An account's devices: the list, and the certificates that a leaf of a group carries.
//!
//! No server can add a device: the first list and certificate are signed by the account's root key,
//! later ones by the root or by a manager device of the version before.

use std::fmt;

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::did::AccountDid;
use crate::keys::PublicKey;
use crate::keys::SigningKey;
use crate::signed::{Audience, Kind, Signed, SignedBody, SignedFault, SigningContext, Verified};
use crate::time::UnixMillis;

/// Longest certificate chain accepted: root → manager → manager → device.
const MAX_CHAIN: usize = 3;
/// Most devices of one account.
const MAX_DEVICES: usize = 64;

/// Names a device within its account; random, never reused.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct DeviceId(pub [u8; 16]);

/// A device's X25519 public key, to which invitations are sealed (RFC 9180).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct HpkePublicKey(pub [u8; 32]);

/// What a device may do for its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum DeviceRole {
    /// Takes part in rooms.
    Member = 1,
    /// Also signs device lists, certificates and home records.
    Manager = 2,
}

/// One device of an account.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The key with which it signs MLS messages and logs in.
    pub signature_key: PublicKey,
    /// The key to which invitations are sealed.
    pub hpke_key: HpkePublicKey,
    /// What it may do.
    pub role: DeviceRole,
}

/// All devices of an account, one version of a hash chain.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct DeviceList {
    /// Whose devices.
    pub account: AccountDid,
    /// Counts from 1.
    pub version: u32,
    /// Hash of the signed list before; zero for version 1.
    pub prev_hash: [u8; 32],
    /// The devices, at least one.
    pub devices: Vec<Device>,
}

/// Binds a device's keys to its account, in the form that a leaf carries.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct DeviceCertificate {
    /// Whose device.
    pub account: AccountDid,
    /// The device.
    pub device: Device,
    /// The version of the list that names it.
    pub list_version: u32,
    /// The hash of that list.
    pub list_hash: [u8; 32],
}

/// A device that is its account's, shown by a chain of certificates from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDevice {
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: Device,
    /// The version of the list that names it.
    pub list_version: u32,
    /// The hash of that list.
    pub list_hash: [u8; 32],
}

impl SignedBody for DeviceList {
    const KIND: Kind = Kind::DeviceList;
    const NAME: &'static str = "device list";
}

impl SignedBody for DeviceCertificate {
    const KIND: Kind = Kind::DeviceCertificate;
    const NAME: &'static str = "device certificate";
}

/// Why a chain of certificates shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Empty, or longer than any chain needs to be.
    #[error("a device certificate chain has 1 to {MAX_CHAIN} certificates, this has {0}")]
    Length(usize),
    /// One certificate does not verify under the key before it.
    #[error("certificate {position} of the chain: {fault}")]
    Signed {
        /// Its place in the chain, from 0.
        position: usize,
        /// Why.
        fault: SignedFault,
    },
    /// A certificate of another account.
    #[error("certificate {0} of the chain is another account's")]
    OtherAccount(usize),
    /// A device that may not sign for others did.
    #[error("certificate {0} of the chain is signed by a device that is no manager")]
    NotManager(usize),
}

/// Why a device list is not its account's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListFault {
    /// The signature does not verify.
    #[error(transparent)]
    Signed(#[from] SignedFault),
    /// Another account's list.
    #[error("the device list is another account's")]
    OtherAccount,
    /// No devices, too many, or one id or key twice.
    #[error("a device list has 1 to {MAX_DEVICES} devices, each id and key once")]
    Devices,
    /// Neither the root nor a manager of the version before signed it.
    #[error("the device list is signed neither by the root nor by a manager of the version before")]
    Signer,
    /// Not the successor of the version that is known.
    #[error("device list version {got} does not follow version {known}")]
    NotNext {
        /// The version known.
        known: u32,
        /// The version that came.
        got: u32,
    },
}

/// The context in which an account's own statements are signed: public, and never expiring.
fn statement(account: &AccountDid, key: &PublicKey, created: UnixMillis) -> SigningContext {
    SigningContext {
        key_id: key.to_string(),
        origin: account.to_string(),
        audience: Audience::Public,
        created,
        expires: None,
    }
}

/// Signs an account statement with the root or with a manager device's key.
pub(crate) fn sign_statement<T: SignedBody>(
    body: &T,
    account: &AccountDid,
    key: &SigningKey,
    created: UnixMillis,
) -> Signed<T> {
    Signed::sign(body, &statement(account, &key.public(), created), key)
}

/// Verifies an account statement under the root's or a manager device's key, which it must name as
/// [`sign_statement`] does.
pub(crate) fn verify_statement<T: SignedBody>(
    signed: &Signed<T>,
    account: &AccountDid,
    key: &PublicKey,
) -> Result<Verified<T>, SignedFault> {
    signed
        .verify(key, &Audience::Public)?
        .named(&account.to_string(), &key.to_string())
}

/// Makes version 1 of an account's device list, signed by its root.
#[must_use]
pub fn first_device_list(
    root: &SigningKey,
    devices: Vec<Device>,
    created: UnixMillis,
) -> Signed<DeviceList> {
    let account = AccountDid::new(root.public());
    let list = DeviceList {
        account,
        version: 1,
        prev_hash: [0; 32],
        devices,
    };
    sign_statement(&list, &account, root, created)
}

/// Certifies a device of a signed list, with the key that signed the list.
#[must_use]
pub fn certify_device(
    list: &Signed<DeviceList>,
    list_body: &DeviceList,
    device: &Device,
    key: &SigningKey,
    created: UnixMillis,
) -> Signed<DeviceCertificate> {
    let certificate = DeviceCertificate {
        account: list_body.account,
        device: device.clone(),
        list_version: list_body.version,
        list_hash: list.hash(),
    };
    sign_statement(&certificate, &list_body.account, key, created)
}

/// Follows a chain of certificates from the account's root to a device.
///
/// # Errors
/// The first break in the chain.
pub fn verify_chain(
    account: &AccountDid,
    chain: &[Signed<DeviceCertificate>],
) -> Result<VerifiedDevice, CertificateFault> {
    if chain.is_empty() || chain.len() > MAX_CHAIN {
        return Err(CertificateFault::Length(chain.len()));
    }
    let mut signer = *account.root_key();
    let mut found = None;
    for (position, signed) in chain.iter().enumerate() {
        let certificate = verify_statement(signed, account, &signer)
            .map_err(|fault| CertificateFault::Signed { position, fault })?
            .into_body();
        if certificate.account != *account {
            return Err(CertificateFault::OtherAccount(position));
        }
        if position + 1 < chain.len() && certificate.device.role != DeviceRole::Manager {
            return Err(CertificateFault::NotManager(position + 1));
        }
        signer = certificate.device.signature_key;
        found = Some(certificate);
    }
    let certificate = found.expect("the chain has at least one certificate, checked above");
    Ok(VerifiedDevice {
        account: *account,
        device: certificate.device,
        list_version: certificate.list_version,
        list_hash: certificate.list_hash,
    })
}

/// Verifies a device list: the first one known, or the successor of `known`.
///
/// A first list of version 1 must be the root's. A later first list may also be signed by a manager
/// that `signer` shows by a chain of certificates.
///
/// # Errors
/// Wrong account, signer, version or content.
pub fn verify_device_list(
    account: &AccountDid,
    known: Option<(&Signed<DeviceList>, &DeviceList)>,
    signer: Option<&VerifiedDevice>,
    next: &Signed<DeviceList>,
) -> Result<Verified<DeviceList>, DeviceListFault> {
    let key = signing_key_of(account, known.map(|(_, list)| list), signer, next)?;
    let verified = verify_statement(next, account, &key)?;
    let list = verified.body();
    if list.account != *account {
        return Err(DeviceListFault::OtherAccount);
    }
    check_devices(list)?;
    let not_next = |known| DeviceListFault::NotNext {
        known,
        got: list.version,
    };
    match known {
        None if list.version == 0 => Err(not_next(0)),
        None => Ok(verified),
        Some((signed, _)) if signed == next => Ok(verified),
        Some((signed, before)) => {
            if list.version == before.version + 1 && list.prev_hash == signed.hash() {
                Ok(verified)
            } else {
                Err(not_next(before.version))
            }
        }
    }
}

fn signing_key_of(
    account: &AccountDid,
    known: Option<&DeviceList>,
    signer: Option<&VerifiedDevice>,
    next: &Signed<DeviceList>,
) -> Result<PublicKey, DeviceListFault> {
    if next.names_key(account.root_key()) {
        return Ok(*account.root_key());
    }
    let listed = known.into_iter().flat_map(|list| &list.devices);
    let shown = signer
        .filter(|device| known.is_none() && device.account == *account)
        .map(|device| &device.device);
    listed
        .chain(shown)
        .filter(|device| device.role == DeviceRole::Manager)
        .map(|device| device.signature_key)
        .find(|key| next.names_key(key))
        .ok_or(DeviceListFault::Signer)
}

fn check_devices(list: &DeviceList) -> Result<(), DeviceListFault> {
    let devices = &list.devices;
    let twice = devices.iter().enumerate().any(|(i, a)| {
        devices[..i]
            .iter()
            .any(|b| a.id == b.id || a.signature_key == b.signature_key)
    });
    if devices.is_empty() || devices.len() > MAX_DEVICES || twice {
        return Err(DeviceListFault::Devices);
    }
    Ok(())
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for HpkePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests;
