//! Databases for tests: copies of one that is migrated already, and stores on them.

use std::sync::Arc;

use entente_homeserver_store_postgres::{PostgresStore, Settings};
use entente_testnet_postgres::Postgres;

/// A cluster, and in it a database that every fresh one is a copy of.
pub struct Databases {
    pub postgres: Arc<Postgres>,
    original: String,
}

impl Databases {
    pub fn new() -> Self {
        let postgres = Postgres::shared().unwrap();
        let original = postgres.database().unwrap();
        drop(open(&postgres.url(&original)));
        Self { postgres, original }
    }

    /// The URL of an empty database of the newest version.
    pub fn fresh(&self) -> String {
        // The connection that migrated ends in its own time; until then there is no copying.
        let copied = (0..100).find_map(|_| self.postgres.copy_of(&self.original).ok());
        self.postgres.url(&copied.expect("it can be copied"))
    }

    /// A store on an empty database.
    pub fn store(&self) -> PostgresStore {
        open(&self.fresh())
    }
}

/// Opens a store.
pub fn open(url: &str) -> PostgresStore {
    let settings = Settings::parse(url).unwrap();
    match PostgresStore::open(&settings) {
        Ok(store) => store,
        Err(fault) => panic!("{fault}"),
    }
}
