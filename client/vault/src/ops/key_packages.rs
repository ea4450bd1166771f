//! Keeping KeyPackages at the server: made, stored with their private halves, then published.

use entente_client_core::stock::{LAST_RESORT_MARGIN_MS, refill};
use entente_groups::{KeyPackageOrder, KeyPackageRef, KeyPackageUse, KeyPackages, Suite};
use entente_protocol::limits::{KEY_PACKAGE_LIFETIME_MS, MAX_KEY_PACKAGES_PER_CALL};
use rusqlite::params;

use crate::error::VaultError;
use crate::step::Step;
use crate::vault::{Moment, Vault};

/// How long the private half of a KeyPackage is kept after its end, for a Welcome that is on its way.
const GRACE_MS: u64 = 24 * 3600 * 1000;

/// KeyPackages that the server does not have yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpublished {
    /// Their names, to be confirmed by [`Vault::key_packages_published`].
    pub references: Vec<KeyPackageRef>,
    /// Their bytes.
    pub packages: Vec<Vec<u8>>,
}

impl Vault {
    /// What is to be published, given how many unclaimed ones the server holds. Made here before it is
    /// sent, so that no Welcome comes for keys that were lost.
    ///
    /// # Errors
    /// The vault cannot be read or written.
    pub fn key_packages_to_publish(
        &mut self,
        unclaimed: u32,
        moment: Moment<'_>,
    ) -> Result<Unpublished, VaultError> {
        self.step(moment, |step| {
            let mut store = load(step)?;
            drop_expired(step, &mut store)?;
            let waiting: u32 = step.connection.query_row(
                "SELECT count(*) FROM key_package WHERE package IS NOT NULL AND last_resort = 0",
                [],
                |row| row.get(0),
            )?;
            let missing = suites_without_last_resort(step)?;
            for order in refill(unclaimed.saturating_add(waiting), &missing) {
                make(
                    step,
                    &mut store,
                    order.suite,
                    order.once,
                    KeyPackageUse::Once,
                )?;
                let last_resort = usize::from(order.last_resort);
                make(
                    step,
                    &mut store,
                    order.suite,
                    last_resort,
                    KeyPackageUse::LastResort,
                )?;
            }
            save(step, &mut store)?;
            unpublished(step)
        })
    }

    /// The server has them.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn key_packages_published(
        &mut self,
        published: &[KeyPackageRef],
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            for reference in published {
                step.connection
                    .prepare_cached("UPDATE key_package SET package = NULL WHERE reference = ?1")?
                    .execute([reference.as_slice()])?;
            }
            Ok(())
        })
    }
}

/// The private halves, from their rows.
pub(crate) fn load(step: &Step<'_>) -> Result<KeyPackages, VaultError> {
    let mut statement = step
        .connection
        .prepare_cached("SELECT key, value FROM key_store")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(Vec<u8>, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
    Ok(KeyPackages::load(rows)?)
}

/// Writes back what changed of the private halves.
pub(crate) fn save(step: &Step<'_>, store: &mut KeyPackages) -> Result<(), VaultError> {
    let delta = store.take_delta();
    for key in &delta.deletes {
        step.connection
            .prepare_cached("DELETE FROM key_store WHERE key = ?1")?
            .execute([key])?;
    }
    for (key, value) in &delta.puts {
        step.connection
            .prepare_cached("INSERT OR REPLACE INTO key_store (key, value) VALUES (?1, ?2)")?
            .execute(params![key, value])?;
    }
    Ok(())
}

fn drop_expired(step: &Step<'_>, store: &mut KeyPackages) -> Result<(), VaultError> {
    let mut statement = step
        .connection
        .prepare_cached("DELETE FROM key_package WHERE expires < ?1 RETURNING reference")?;
    let ended = statement.query_map([step.now.before(GRACE_MS).0], |row| {
        row.get::<_, Vec<u8>>(0)
    })?;
    for reference in ended {
        store.discard(&KeyPackageRef::new(&reference?));
    }
    Ok(())
}

fn suites_without_last_resort(step: &Step<'_>) -> Result<Vec<Suite>, VaultError> {
    let mut missing = Vec::new();
    for suite in Suite::ALL {
        let good: bool = step.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM key_package
                            WHERE suite = ?1 AND last_resort = 1 AND expires > ?2)",
            params![suite.code_point(), step.now.after(LAST_RESORT_MARGIN_MS).0],
            |row| row.get(0),
        )?;
        if !good {
            missing.push(suite);
        }
    }
    Ok(missing)
}

fn make(
    step: &Step<'_>,
    store: &mut KeyPackages,
    suite: Suite,
    count: usize,
    usage: KeyPackageUse,
) -> Result<(), VaultError> {
    let order = KeyPackageOrder {
        count,
        suite,
        usage,
        now: step.now,
        lifetime_ms: KEY_PACKAGE_LIFETIME_MS,
    };
    for made in store.generate(order, &step.own.identity(), &step.own.signing)? {
        step.connection
            .prepare_cached(
                "INSERT INTO key_package (reference, suite, last_resort, expires, package)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                made.reference.as_slice(),
                suite.code_point(),
                usage == KeyPackageUse::LastResort,
                made.expires.0,
                made.bytes,
            ])?;
    }
    Ok(())
}

fn unpublished(step: &Step<'_>) -> Result<Unpublished, VaultError> {
    let mut statement = step.connection.prepare_cached(
        "SELECT reference, package FROM key_package WHERE package IS NOT NULL
         ORDER BY last_resort DESC LIMIT ?1",
    )?;
    let limit = i64::try_from(MAX_KEY_PACKAGES_PER_CALL).unwrap_or(i64::MAX);
    let rows = statement.query_map([limit], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut found = Unpublished::default();
    for row in rows {
        let (reference, package) = row?;
        found.references.push(KeyPackageRef::new(&reference));
        found.packages.push(package);
    }
    Ok(found)
}
