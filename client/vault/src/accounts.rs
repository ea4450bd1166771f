//! Rows of accounts and of what was pinned about them.

use entente_client_core::message::HandleTrust;
use entente_client_core::person::{HandlePin, ListPin, handle_trust};
use entente_identity::{AccountClaim, AccountDid, Handle, UnixMillis, encode};
use rusqlite::{Connection, params};

use crate::columns::{Root, Text, Tls, optional};
use crate::error::VaultError;

/// The row of an account; made, or brought up to date with the handle it claims and the version of its
/// device list that was seen.
pub(crate) fn meet(
    connection: &Connection,
    account: &AccountDid,
    handle: &Handle,
    list_version: u32,
) -> Result<i64, VaultError> {
    let id = connection
        .prepare_cached(
            "INSERT INTO account (root, handle, list_version) VALUES (?1, ?2, ?3)
             ON CONFLICT (root) DO UPDATE SET
                 handle = excluded.handle,
                 list_hash = CASE WHEN excluded.list_version > list_version
                             THEN NULL ELSE list_hash END,
                 list_version = max(list_version, excluded.list_version)
             RETURNING id",
        )?
        .query_row(
            params![
                account.root_key().as_bytes(),
                handle.to_string(),
                list_version
            ],
            |row| row.get(0),
        )?;
    Ok(id)
}

pub(crate) fn id_of(
    connection: &Connection,
    account: &AccountDid,
) -> Result<Option<i64>, VaultError> {
    let mut statement = connection.prepare_cached("SELECT id FROM account WHERE root = ?1")?;
    optional(statement.query_row([account.root_key().as_bytes()], |row| row.get(0)))
}

pub(crate) fn handle_of(
    connection: &Connection,
    account: &AccountDid,
) -> Result<Option<Handle>, VaultError> {
    let mut statement = connection.prepare_cached("SELECT handle FROM account WHERE root = ?1")?;
    optional(statement.query_row([account.root_key().as_bytes()], |row| {
        Ok(row.get::<_, Text<Handle>>(0)?.0)
    }))
}

pub(crate) fn list_pin(
    connection: &Connection,
    account: &AccountDid,
) -> Result<Option<ListPin>, VaultError> {
    let mut statement =
        connection.prepare_cached("SELECT list_version, list_hash FROM account WHERE root = ?1")?;
    let pin = optional(statement.query_row([account.root_key().as_bytes()], |row| {
        Ok(ListPin {
            version: row.get(0)?,
            hash: row.get(1)?,
        })
    }))?;
    Ok(pin.filter(|pin| pin.version > 0))
}

pub(crate) fn pin_list(
    connection: &Connection,
    account: i64,
    pin: ListPin,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE account SET list_version = ?2, list_hash = ?3 WHERE id = ?1",
        params![account, pin.version, pin.hash],
    )?;
    Ok(())
}

pub(crate) fn handle_pin(
    connection: &Connection,
    handle: &Handle,
) -> Result<Option<HandlePin>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT a.root FROM handle_pin h JOIN account a ON a.id = h.account WHERE h.handle = ?1",
    )?;
    optional(statement.query_row([handle.to_string()], |row| {
        Ok(HandlePin {
            handle: handle.clone(),
            account: row.get::<_, Root>(0)?.0,
        })
    }))
}

pub(crate) fn pin_handle(
    connection: &Connection,
    handle: &Handle,
    account: i64,
    claim: &AccountClaim,
    now: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "INSERT OR REPLACE INTO handle_pin (handle, account, claim, fetched)
         VALUES (?1, ?2, ?3, ?4)",
        params![handle.to_string(), account, encode(claim), now.0],
    )?;
    Ok(())
}

/// What every pinned handle's document said.
pub(crate) fn pinned_claims(connection: &Connection) -> Result<Vec<AccountClaim>, VaultError> {
    let mut statement =
        connection.prepare_cached("SELECT claim FROM handle_pin ORDER BY handle")?;
    let rows = statement.query_map([], |row| Ok(row.get::<_, Tls<AccountClaim>>(0)?.0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How far a handle that an account claims can be believed.
pub(crate) fn trust(
    connection: &Connection,
    account: &AccountDid,
    handle: &Handle,
) -> Result<HandleTrust, VaultError> {
    let pin = handle_pin(connection, handle)?;
    Ok(handle_trust(account, pin.as_ref().map(|pin| &pin.account)))
}
