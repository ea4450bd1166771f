//! Whom this device knows: resolved handles, pinned servers; adding somebody by a KeyPackage.

use entente_client_core::goal::{AddGoal, Goal, GoalId};
use entente_client_core::person::{AccountChange, judge_person};
use entente_groups::{RoomId, judge_key_package};
use entente_identity::{
    AccountClaim, AccountDid, Domain, Handle, PublicKey, ServerDid, ServerDocument,
    ServiceEndpoint, UnixMillis, VerifiedAccount, encode,
};
use rusqlite::params;

use crate::columns::{Text, Tls, optional};
use crate::error::VaultError;
use crate::ops::goal_work::want;
use crate::vault::{Moment, Vault};
use crate::{accounts, rooms};

/// A server whose document was fetched once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPin {
    /// The server.
    pub server: ServerDid,
    /// The keys that count.
    pub keys: Vec<PublicKey>,
    /// Where its users connect.
    pub client: ServiceEndpoint,
}

impl Vault {
    /// Takes note of a handle's document, if it does not contradict what is known.
    ///
    /// # Errors
    /// [`VaultError::Pin`]: another account, or an older or different device list.
    pub fn meet_person(
        &mut self,
        person: &VerifiedAccount,
        change: AccountChange,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let (handle, account) = (&person.home.handle, &person.claim.account);
            let handle_pin = accounts::handle_pin(step.connection, handle)?;
            let list_pin = accounts::list_pin(step.connection, account)?;
            let pin = judge_person(person, handle_pin.as_ref(), list_pin, change)?;
            let id = accounts::meet(step.connection, account, handle, pin.version)?;
            accounts::pin_list(step.connection, id, pin)?;
            accounts::pin_handle(step.connection, handle, id, &person.claim, step.now)
        })
    }

    /// What the documents of all resolved handles said.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn known_people(&mut self) -> Result<Vec<AccountClaim>, VaultError> {
        accounts::pinned_claims(&self.connection)
    }

    /// Who, of the members of a room, claims a handle that was not resolved yet.
    ///
    /// # Errors
    /// No such room.
    pub fn unconfirmed_handles(&mut self, room: &RoomId) -> Result<Vec<Handle>, VaultError> {
        let row = rooms::find(&self.connection, room)?.ok_or(VaultError::NoSuchRoom(*room))?;
        let mut handles = Vec::new();
        for member in rooms::roster(&self.connection, row.id)? {
            let pin = accounts::handle_pin(&self.connection, &member.handle)?;
            if pin.is_none() && !handles.contains(&member.handle) {
                handles.push(member.handle);
            }
        }
        Ok(handles)
    }

    /// The account in a room that a handle stands for: as it was resolved, or as the account itself
    /// says.
    ///
    /// # Errors
    /// No such room.
    pub fn member_by_handle(
        &mut self,
        room: &RoomId,
        handle: &Handle,
    ) -> Result<Option<AccountDid>, VaultError> {
        let row = rooms::find(&self.connection, room)?.ok_or(VaultError::NoSuchRoom(*room))?;
        let pinned = accounts::handle_pin(&self.connection, handle)?.map(|pin| pin.account);
        let roster = rooms::roster(&self.connection, row.id)?;
        let member = roster.iter().find(|member| match pinned {
            Some(account) => member.account == account,
            None => member.handle == *handle,
        });
        Ok(member.map(|member| member.account))
    }

    /// Wants somebody added by a KeyPackage that was claimed for the room.
    ///
    /// # Errors
    /// The KeyPackage is not one of that account's listed devices, or older than what is known.
    pub fn add(
        &mut self,
        room: &RoomId,
        person: &VerifiedAccount,
        key_package: &[u8],
        moment: Moment<'_>,
    ) -> Result<GoalId, VaultError> {
        self.step(moment, |step| {
            let account = person.claim.account;
            let judged = judge_key_package(key_package, step.now)?;
            let owner = &judged.owner;
            let listed = person.device(&owner.device.id);
            let known = accounts::list_pin(step.connection, &account)?;
            let old = known.is_some_and(|pin| owner.list_version < pin.version);
            if owner.account != account || listed != Some(&owner.device) || old {
                return Err(VaultError::ForeignKeyPackage(account));
            }
            let id = step.room(room)?.id;
            let roster = rooms::roster(step.connection, id)?;
            if roster.iter().any(|m| m.account == account && !m.leaving) {
                return Err(VaultError::AlreadyMember(account));
            }
            let goal = Goal::Add(AddGoal {
                account,
                key_package: key_package.into(),
            });
            want(step, room, &goal)
        })
    }

    /// Pins a server's document at first contact.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn pin_server(
        &mut self,
        document: &ServerDocument,
        now: UnixMillis,
    ) -> Result<(), VaultError> {
        let endpoint = &document.client;
        self.connection.execute(
            "INSERT OR IGNORE INTO server_pin (server, keys, first_key_hash, host, port, alpn,
                                               fetched)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                document.did.to_string(),
                encode(&document.keys),
                document.first_key_document_hash,
                endpoint.host.as_str(),
                endpoint.port,
                endpoint.alpn,
                now.0,
            ],
        )?;
        Ok(())
    }

    /// Takes note that a server with the pinned keys has moved to another place.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn move_server(&mut self, document: &ServerDocument) -> Result<(), VaultError> {
        let endpoint = &document.client;
        self.connection.execute(
            "UPDATE server_pin SET host = ?2, port = ?3 WHERE server = ?1",
            params![
                document.did.to_string(),
                endpoint.host.as_str(),
                endpoint.port
            ],
        )?;
        Ok(())
    }

    /// What is pinned of a server.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn server_pin(&mut self, server: &ServerDid) -> Result<Option<ServerPin>, VaultError> {
        let sql = "SELECT keys, host, port, alpn FROM server_pin WHERE server = ?1";
        let found = self.connection.query_row(sql, [server.to_string()], |row| {
            Ok(ServerPin {
                server: server.clone(),
                keys: row.get::<_, Tls<Vec<PublicKey>>>(0)?.0,
                client: ServiceEndpoint {
                    host: row.get::<_, Text<Domain>>(1)?.0,
                    port: row.get(2)?,
                    alpn: row.get(3)?,
                },
            })
        });
        optional(found)
    }
}
