//! This device and its account.

use std::path::PathBuf;

use entente_groups::{HpkeSecretKey, LeafIdentity};
use entente_identity::{
    AccountClaim, AccountDid, DeviceCertificate, DeviceId, Handle, ServerDid, Signed, SigningKey,
    encode,
};
use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use crate::columns::{Root, Text, Tls, optional};
use crate::error::VaultError;

/// This device and its account, with the device's private keys.
#[derive(Debug)]
pub struct Own {
    /// The account's handle.
    pub handle: Handle,
    /// The account.
    pub account: AccountDid,
    /// This device.
    pub device: DeviceId,
    /// The device's signing key.
    pub signing: SigningKey,
    /// The device's key for what is sealed to it.
    pub hpke: HpkeSecretKey,
    /// What the account says about itself.
    pub claim: AccountClaim,
    /// The certificates of this device.
    pub chain: Vec<Signed<DeviceCertificate>>,
    /// Whether the homeserver has confirmed the account.
    pub registered: bool,
    /// Where names lead in a testnet.
    pub network: NetworkPaths,
}

/// The network settings of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPaths {
    /// A host table that goes before DNS.
    pub host_table: Option<PathBuf>,
    /// An additional certificate authority for HTTPS.
    pub extra_ca: Option<PathBuf>,
}

impl Own {
    /// The own homeserver.
    #[must_use]
    pub fn home(&self) -> ServerDid {
        ServerDid::new(self.handle.domain().clone())
    }

    /// What this device's leaf says in a room.
    #[must_use]
    pub fn identity(&self) -> LeafIdentity {
        LeafIdentity::new(
            self.account,
            self.chain.clone(),
            self.claim.home_record.clone(),
        )
    }
}

fn text(path: Option<&PathBuf>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

pub(crate) fn insert(connection: &Connection, own: &Own, now: u64) -> Result<(), VaultError> {
    let seed = own.signing.seed();
    let secret = own.hpke.to_bytes();
    connection.execute(
        "INSERT INTO own (id, handle, root, device, signing_seed, hpke_secret, claim, chain,
                          registered, host_table, extra_ca, created)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            own.handle.to_string(),
            own.account.root_key().as_bytes(),
            own.device.0,
            seed.as_slice(),
            secret.as_slice(),
            encode(&own.claim),
            encode(&own.chain),
            own.registered,
            text(own.network.host_table.as_ref()),
            text(own.network.extra_ca.as_ref()),
            now,
        ],
    )?;
    Ok(())
}

pub(crate) fn set_network(
    connection: &Connection,
    network: &NetworkPaths,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE own SET host_table = ?1, extra_ca = ?2",
        params![
            text(network.host_table.as_ref()),
            text(network.extra_ca.as_ref())
        ],
    )?;
    Ok(())
}

pub(crate) fn find(connection: &Connection) -> Result<Option<Own>, VaultError> {
    let sql = "SELECT handle, root, device, signing_seed, hpke_secret, claim, chain, registered,
                      host_table, extra_ca
               FROM own";
    optional(connection.query_row(sql, [], |row| {
        let seed = Zeroizing::new(row.get::<_, [u8; 32]>(3)?);
        let secret = Zeroizing::new(row.get::<_, [u8; 32]>(4)?);
        let path = |index| -> rusqlite::Result<Option<PathBuf>> {
            Ok(row.get::<_, Option<String>>(index)?.map(PathBuf::from))
        };
        Ok(Own {
            handle: row.get::<_, Text<Handle>>(0)?.0,
            account: row.get::<_, Root>(1)?.0,
            device: DeviceId(row.get(2)?),
            signing: SigningKey::from_seed(&seed),
            hpke: HpkeSecretKey::from_bytes(*secret),
            claim: row.get::<_, Tls<AccountClaim>>(5)?.0,
            chain: row.get::<_, Tls<Vec<_>>>(6)?.0,
            registered: row.get(7)?,
            network: NetworkPaths {
                host_table: path(8)?,
                extra_ca: path(9)?,
            },
        })
    }))
}
