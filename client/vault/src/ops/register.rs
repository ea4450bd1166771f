//! Registering: an account and its first device are made, shown, stored, and then sent.
//!
//! The root signs its first statements, becomes recovery words, and is gone: it is never stored. So
//! the words are shown before anything is stored or sent, and whatever interrupts the rest is made
//! good by sending the stored claim again.

use entente_groups::HpkeSecretKey;
use entente_identity::{
    AccountClaim, Device, DeviceId, DeviceRole, Handle, HomeRecord, RecoveryWords, RootKey,
    SigningKey, UnixMillis, certify_device, first_device_list,
};
use rusqlite::TransactionBehavior;

use crate::accounts;
use crate::error::VaultError;
use crate::own::{self, NetworkPaths, Own};
use crate::vault::{Moment, Vault};

/// A new account with its first device; nothing of it is stored yet.
#[derive(Debug)]
pub struct NewAccount(Own);

impl NewAccount {
    /// Makes an account and its first device. The words are the only copy of the root.
    pub fn make(
        handle: Handle,
        network: NetworkPaths,
        mut moment: Moment<'_>,
    ) -> (Self, RecoveryWords) {
        let rng = &mut moment.rng;
        let root = RootKey::generate(rng);
        let signing = SigningKey::generate(rng);
        let (hpke, hpke_key) = HpkeSecretKey::generate(rng);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let device = Device {
            id: DeviceId(id),
            signature_key: signing.public(),
            hpke_key,
            role: DeviceRole::Manager,
        };
        let (now, root_key) = (moment.now, root.signing_key());
        let device_list = first_device_list(root_key, vec![device.clone()], now);
        let body = device_list.claimed_body().expect("it was just made");
        let certificate = certify_device(&device_list, &body, &device, root_key, now);
        let claim = AccountClaim {
            account: root.account(),
            device_list,
            signer_chain: Vec::new(),
            home_record: HomeRecord::first(root_key, handle.clone(), now),
        };
        let own = Own {
            handle,
            account: root.account(),
            device: device.id,
            signing,
            hpke,
            claim,
            chain: vec![certificate],
            registered: false,
            network,
        };
        (Self(own), root.recovery_words())
    }
}

impl Vault {
    /// Stores a new account, before its server hears of it.
    ///
    /// # Errors
    /// There is an account already.
    pub fn store_account(&mut self, new: &NewAccount, now: UnixMillis) -> Result<(), VaultError> {
        self.forget_own();
        if let Some(own) = self.find_own()? {
            return Err(VaultError::AlreadyRegistered(own.handle.to_string()));
        }
        let own = &new.0;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        own::insert(&transaction, own, now.0)?;
        let account = accounts::meet(&transaction, &own.account, &own.handle, 1)?;
        accounts::pin_handle(&transaction, &own.handle, account, &own.claim, now)?;
        transaction.commit()?;
        self.forget_own();
        Ok(())
    }

    /// The server has the account.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn account_registered(&mut self) -> Result<(), VaultError> {
        self.connection
            .execute("UPDATE own SET registered = 1", [])?;
        self.forget_own();
        Ok(())
    }

    /// The server has refused the account for good: its keys are wiped.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn forget_refused_account(&mut self) -> Result<(), VaultError> {
        self.connection.execute_batch(
            "BEGIN IMMEDIATE;
             DELETE FROM handle_pin WHERE EXISTS (SELECT 1 FROM own WHERE registered = 0);
             DELETE FROM account WHERE EXISTS (SELECT 1 FROM own WHERE registered = 0);
             DELETE FROM own WHERE registered = 0;
             COMMIT;",
        )?;
        self.forget_own();
        Ok(())
    }

    /// Sets where names lead.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn set_network(&mut self, network: &NetworkPaths) -> Result<(), VaultError> {
        own::set_network(&self.connection, network)?;
        self.forget_own();
        Ok(())
    }
}
