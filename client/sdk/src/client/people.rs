//! Finding people by their handles.

use std::time::Duration;

use entente_client_core::message::HandleTrust;
use entente_client_core::person::AccountChange;
use entente_groups::RoomId;
use entente_identity::{AccountDid, Handle, ServerDid, VerifiedAccount};
use tokio::time::timeout;

use super::Client;
use crate::error::Result;

/// Most handles of a room that are looked up at once.
const MAX_LOOKUPS: usize = 16;
/// How long looking up a room's handles may take.
const LOOKUPS_LIMIT: Duration = Duration::from_secs(3);

/// A person, as the handle's published document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The handle.
    pub handle: Handle,
    /// The account.
    pub account: AccountDid,
    /// Its homeserver.
    pub home: ServerDid,
    /// How many devices it has.
    pub devices: usize,
    /// The version of its device list.
    pub device_list_version: u32,
    /// Whether handle and account confirm each other.
    pub trust: HandleTrust,
}

impl Person {
    pub(super) fn of(account: &VerifiedAccount) -> Self {
        Self {
            handle: account.home.handle.clone(),
            account: account.claim.account,
            home: account.home.server(),
            devices: account.devices.devices.len(),
            device_list_version: account.devices.version,
            trust: HandleTrust::Confirmed,
        }
    }
}

impl Client {
    /// Finds out who a handle is, from its document, and remembers it.
    ///
    /// # Errors
    /// Nobody publishes it, its server cannot be reached, or it is another account than before.
    pub async fn resolve(&self, handle: &Handle) -> Result<Person> {
        let account = self.meet(handle, AccountChange::Refuse).await?;
        Ok(Person::of(&account))
    }

    /// The same, accepting another account than before: after the person has checked it.
    ///
    /// # Errors
    /// Nobody publishes it, or its server cannot be reached.
    pub async fn resolve_anew(&self, handle: &Handle) -> Result<Person> {
        let account = self.meet(handle, AccountChange::Accept).await?;
        Ok(Person::of(&account))
    }

    /// Everybody whose handle was resolved.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn known_people(&self) -> Result<Vec<Person>> {
        let claims = self.vault().look(|vault| vault.known_people()).await?;
        let verified = claims.iter().filter_map(|claim| claim.verify().ok());
        Ok(verified.map(|account| Person::of(&account)).collect())
    }

    pub(super) async fn meet(
        &self,
        handle: &Handle,
        change: AccountChange,
    ) -> Result<VerifiedAccount> {
        let document = self.shared().documents.user_document(handle).await?;
        let account = document.account;
        let met = account.clone();
        self.vault()
            .run(move |vault, moment| vault.meet_person(&met, change, moment))
            .await?;
        Ok(account)
    }

    /// Looks up handles of a room that were only claimed so far, as far as that goes quickly.
    pub(super) async fn confirm_handles(&self, room: RoomId) -> Result<()> {
        let unconfirmed = self
            .vault()
            .look(move |vault| vault.unconfirmed_handles(&room));
        let handles = unconfirmed.await?;
        let lookups = async {
            for handle in handles.iter().take(MAX_LOOKUPS) {
                // What cannot be looked up stays claimed, and is shown so.
                let _ = self.meet(handle, AccountChange::Refuse).await;
            }
        };
        let _ = timeout(LOOKUPS_LIMIT, lookups).await;
        Ok(())
    }
}
