//! What an account says about itself, as it travels and as it is once checked.

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::device::{
    CertificateFault, Device, DeviceCertificate, DeviceId, DeviceList, DeviceListFault,
    verify_chain, verify_device_list,
};
use crate::did::AccountDid;
use crate::home::{HomeRecord, HomeRecordFault, verify_home_record};
use crate::signed::Signed;

/// An account's statements about itself: a claim until [`AccountClaim::verify`].
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct AccountClaim {
    /// The account.
    pub account: AccountDid,
    /// Its devices.
    pub device_list: Signed<DeviceList>,
    /// The certificate chain of the manager that signed the list; empty when the root did.
    pub signer_chain: Vec<Signed<DeviceCertificate>>,
    /// Where it lives.
    pub home_record: Signed<HomeRecord>,
}

/// An account whose statements hold together.
#[derive(Clone, Debug)]
pub struct VerifiedAccount {
    /// The statements as they came, for passing on.
    pub claim: AccountClaim,
    /// The device list.
    pub devices: DeviceList,
    /// The home record.
    pub home: HomeRecord,
}

/// Why an account's statements do not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountFault {
    /// The certificate chain of the list's signer is broken.
    #[error(transparent)]
    Chain(#[from] CertificateFault),
    /// The device list is not the account's.
    #[error(transparent)]
    DeviceList(#[from] DeviceListFault),
    /// The home record is not the account's.
    #[error(transparent)]
    HomeRecord(#[from] HomeRecordFault),
}

impl AccountClaim {
    /// Checks every signature from the root down.
    ///
    /// # Errors
    /// The first statement that does not hold.
    pub fn verify(&self) -> Result<VerifiedAccount, AccountFault> {
        let signer = match self.signer_chain.as_slice() {
            [] => None,
            chain => Some(verify_chain(&self.account, chain)?),
        };
        let devices = verify_device_list(&self.account, None, signer.as_ref(), &self.device_list)?
            .into_body();
        let home = verify_home_record(&self.account, &devices.devices, &self.home_record)?;
        Ok(VerifiedAccount {
            claim: self.clone(),
            devices,
            home: home.into_body(),
        })
    }
}

impl VerifiedAccount {
    /// The device of this id, if the account has it.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.devices.iter().find(|device| device.id == *id)
    }
}
