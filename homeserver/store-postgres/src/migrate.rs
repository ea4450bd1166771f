//! Brings a database up to date: plain numbered SQL, in one transaction under a lock.
//!
//! refinery keeps the history and notices a migration that was changed after it had been applied. It
//! takes no lock itself, so it runs within a transaction of ours that holds a row of `migration_lock`:
//! of several nodes that start together one migrates, and the others find nothing left to do. A row
//! and not an advisory lock: it is released with the transaction and nothing else, and it means the
//! same on every engine that has transactions.

use async_trait::async_trait;
use entente_homeserver_ops::StoreFault;
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use refinery_core::{Migration, Runner};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::{Client, Error};

use crate::fault::fault;
use crate::settings::Migrations;
use crate::statements::{
    BEGIN_MIGRATION, COMMIT, HAS_HISTORY, MAKE_MIGRATION_LOCK, ROLLBACK, TAKE_MIGRATION_LOCK,
    VERSION,
};

/// All migrations, oldest first, numbered from 1 without gaps.
pub(crate) const MIGRATIONS: &[(&str, &str)] = &[
    (
        "V1__homeserver",
        include_str!("../../../migrations/postgres/0001_homeserver.sql"),
    ),
    (
        "V2__pins_and_proofs",
        include_str!("../../../migrations/postgres/0002_pins_and_proofs.sql"),
    ),
    (
        "V3__links",
        include_str!("../../../migrations/postgres/0003_links.sql"),
    ),
    (
        "V4__retention",
        include_str!("../../../migrations/postgres/0004_retention.sql"),
    ),
];

/// How often the lock's table is made, when others make it at the same time.
const LOCK_ATTEMPTS: u32 = 20;

/// Applies what is missing, or refuses it.
///
/// # Errors
/// The database is newer than this software, or older and not to be touched, or its history is another
/// one, or a migration fails; then nothing was changed.
pub(crate) async fn migrate(client: &Client, wanted: Migrations) -> Result<(), StoreFault> {
    if check(client, wanted).await? == latest() {
        return Ok(());
    }
    make_lock(client).await?;
    let run = |sql: &'static str| async move {
        let done = client.batch_execute(sql).await;
        done.map_err(|error| fault(&error))
    };
    run(BEGIN_MIGRATION).await?;
    let migrated = match run(TAKE_MIGRATION_LOCK).await {
        Ok(()) => apply_missing(client).await,
        Err(fault) => Err(fault),
    };
    match migrated {
        Ok(()) => run(COMMIT).await,
        Err(fault) => {
            // What failed is what is told; a rollback that fails is one by the connection's end.
            let _undone = client.batch_execute(ROLLBACK).await;
            Err(fault)
        }
    }
}

/// The database's version, if it may be used as it is or brought up to date.
///
/// # Errors
/// The database is newer than this software, or older and not to be touched.
pub(crate) async fn check(client: &Client, wanted: Migrations) -> Result<i32, StoreFault> {
    let version = refuse_newer(client).await?;
    if version < latest() && wanted == Migrations::Refuse {
        return Err(StoreFault::Broken(format!(
            "the database is of version {version} and this software needs version {}, but is not to \
             migrate it; start one node with migrations allowed, or let it migrate alone first",
            latest()
        )));
    }
    Ok(version)
}

fn latest() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

async fn make_lock(client: &Client) -> Result<(), StoreFault> {
    let mut attempts = 1;
    while let Err(error) = client.batch_execute(MAKE_MIGRATION_LOCK).await {
        // Two that make a table at the same time: the catalog's unique indexes refuse one.
        let others = ["23505", "42P07", "42710", "40001", "40P01", "XX000"];
        let code = error.code().map(|code| code.code().to_owned());
        let met_others = code.is_some_and(|code| others.contains(&code.as_str()));
        if !met_others || attempts == LOCK_ATTEMPTS {
            return Err(fault(&error));
        }
        attempts += 1;
    }
    Ok(())
}

/// The database's version, before anything is written to it.
///
/// # Errors
/// It is newer than this software.
async fn refuse_newer(client: &Client) -> Result<i32, StoreFault> {
    let asked = async {
        let has_history: i64 = client.query_one(HAS_HISTORY, &[]).await?.try_get(0)?;
        if has_history == 0 {
            return Ok(0);
        }
        client.query_one(VERSION, &[]).await?.try_get(0)
    };
    let version: i32 = asked.await.map_err(|error: Error| fault(&error))?;
    if version > latest() {
        return Err(StoreFault::Broken(format!(
            "the database is of version {version}, this software knows versions up to {}; install \
             the newer software again",
            latest()
        )));
    }
    Ok(version)
}

/// With the lock held: whoever had it before may have left nothing to do, or a newer database.
async fn apply_missing(client: &Client) -> Result<(), StoreFault> {
    refuse_newer(client).await?;
    let migrations = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>();
    let migrations = migrations.map_err(|error| told(&error))?;
    let mut within = Within { client };
    let applied = Runner::new(&migrations)
        .set_abort_divergent(true)
        .set_abort_missing(true)
        .run_async(&mut within)
        .await;
    applied.map(|_| ()).map_err(|error| told(&error))
}

fn told(error: &refinery_core::Error) -> StoreFault {
    let cause = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<Error>())
        .map(fault);
    match cause {
        Some(StoreFault::Unavailable(reason)) => StoreFault::Unavailable(reason),
        Some(cause) => StoreFault::Broken(format!("{error}: {cause}")),
        None => StoreFault::Broken(format!("the database cannot be migrated: {error}")),
    }
}

/// refinery's connection: statements of the transaction that has begun.
pub(crate) struct Within<'a> {
    client: &'a Client,
}

#[async_trait]
impl AsyncTransaction for Within<'_> {
    type Error = Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send>(
        &mut self,
        queries: T,
    ) -> Result<usize, Error> {
        let mut count = 0;
        for query in queries {
            self.client.batch_execute(query).await?;
            count += 1;
        }
        Ok(count)
    }
}

#[async_trait]
impl AsyncQuery<Vec<Migration>> for Within<'_> {
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Error> {
        let rows = self.client.query(query, &[]).await?;
        let applied = rows.iter().map(|row| {
            let (when, checksum): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
            // One that cannot be read differs from every migration here, and is refused as such.
            let when = OffsetDateTime::parse(when, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let checksum = checksum.parse().unwrap_or(0);
            Ok(Migration::applied(
                row.try_get(0)?,
                row.try_get(1)?,
                when,
                checksum,
            ))
        });
        applied.collect()
    }
}

impl AsyncMigrate for Within<'_> {}
