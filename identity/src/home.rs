//! The home record: at which server, under which name, an account lives.

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::device::{Device, DeviceRole, sign_statement, verify_statement};
use crate::did::{AccountDid, ServerDid};
use crate::handle::Handle;
use crate::keys::SigningKey;
use crate::signed::{Kind, Signed, SignedBody, SignedFault, Verified};
use crate::time::UnixMillis;

/// Where an account lives; moving house is the same record with `seq` + 1.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct HomeRecord {
    /// The account.
    pub account: AccountDid,
    /// The handle under which its server publishes it.
    pub handle: Handle,
    /// Counts from 1.
    pub seq: u64,
    /// Hash of the signed record before; zero for the first.
    pub prev_hash: [u8; 32],
}

impl SignedBody for HomeRecord {
    const KIND: Kind = Kind::HomeRecord;
    const NAME: &'static str = "home record";
}

/// Why a home record is not its account's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeRecordFault {
    /// The signature does not verify.
    #[error(transparent)]
    Signed(#[from] SignedFault),
    /// Another account's record.
    #[error("the home record is another account's")]
    OtherAccount,
    /// Neither the root nor a manager device signed it.
    #[error("the home record is signed neither by the root nor by a manager device")]
    Signer,
}

impl HomeRecord {
    /// The homeserver.
    #[must_use]
    pub fn server(&self) -> ServerDid {
        ServerDid::new(self.handle.domain().clone())
    }

    /// Makes the first home record of an account, signed by its root.
    #[must_use]
    pub fn first(root: &SigningKey, handle: Handle, created: UnixMillis) -> Signed<Self> {
        let account = AccountDid::new(root.public());
        let record = Self {
            account,
            handle,
            seq: 1,
            prev_hash: [0; 32],
        };
        sign_statement(&record, &account, root, created)
    }
}

/// Verifies a home record, signed by the root or by one of `devices` that is a manager.
///
/// # Errors
/// Wrong account or signer.
pub fn verify_home_record<'a>(
    account: &AccountDid,
    devices: impl IntoIterator<Item = &'a Device>,
    record: &Signed<HomeRecord>,
) -> Result<Verified<HomeRecord>, HomeRecordFault> {
    let managers = devices
        .into_iter()
        .filter(|device| device.role == DeviceRole::Manager)
        .map(|device| device.signature_key);
    let key = std::iter::once(*account.root_key())
        .chain(managers)
        .find(|key| record.names_key(key))
        .ok_or(HomeRecordFault::Signer)?;
    let verified = verify_statement(record, account, &key)?;
    if verified.body().account != *account {
        return Err(HomeRecordFault::OtherAccount);
    }
    Ok(verified)
}
