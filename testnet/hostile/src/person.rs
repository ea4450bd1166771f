//! A person with one device: the keys of both, and what they sign.

use entente_groups::{HpkeSecretKey, LeafIdentity};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, Handle, HomeRecord, ServerDid, Signed,
    SigningKey, certify_device, first_device_list,
};
use entente_protocol::hello::{LoginProof, prove};

use crate::clock::now;
use crate::dice::Dice;

/// A person with one device.
#[derive(Clone)]
pub struct Person {
    /// The account.
    pub account: AccountDid,
    /// Its device.
    pub device: DeviceId,
    /// The handle, which names the homeserver.
    pub handle: Handle,
    /// What the account says about itself.
    pub claim: AccountClaim,
    /// What the device's leaf says.
    pub identity: LeafIdentity,
    key: SigningKey,
}

impl Person {
    /// A new person of that handle.
    #[must_use]
    pub fn new(handle: Handle, dice: &mut Dice) -> Self {
        let root = SigningKey::generate(dice.rng());
        let key = SigningKey::generate(dice.rng());
        let (_, hpke_key) = HpkeSecretKey::generate(dice.rng());
        let device = Device {
            id: DeviceId(dice.bytes()),
            signature_key: key.public(),
            hpke_key,
            role: DeviceRole::Manager,
        };
        let created = now();
        let list = first_device_list(&root, vec![device.clone()], created);
        let body = list.claimed_body().expect("it was just made");
        let certificate = certify_device(&list, &body, &device, &root, created);
        let account = AccountDid::new(root.public());
        let home_record = HomeRecord::first(&root, handle.clone(), created);
        Self {
            account,
            device: device.id,
            handle,
            identity: LeafIdentity::new(account, vec![certificate], home_record.clone()),
            claim: AccountClaim {
                account,
                device_list: list,
                signer_chain: Vec::new(),
                home_record,
            },
            key,
        }
    }

    /// The homeserver that the handle names.
    #[must_use]
    pub fn home(&self) -> ServerDid {
        ServerDid::new(self.handle.domain().clone())
    }

    /// The device's key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What a login on a connection with this exporter value says.
    #[must_use]
    pub fn login(&self, exporter: [u8; 32]) -> LoginProof {
        LoginProof {
            account: self.account,
            device: self.device,
            exporter,
        }
    }

    /// The signed login for a server.
    #[must_use]
    pub fn signed_login(&self, exporter: [u8; 32], server: &ServerDid) -> Signed<LoginProof> {
        let origin = self.account.to_string();
        prove(&self.login(exporter), origin, server, &self.key, now())
    }
}
