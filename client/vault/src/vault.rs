//! The vault itself: one connection, one owner, one transaction per step.

use std::collections::{BTreeMap, BTreeSet};

use entente_client_core::goal::GoalId;
use entente_groups::{MessageId, RoomId};
use entente_identity::UnixMillis;
use entente_protocol::entry::Seq;
use rand::{CryptoRng, RngCore};
use rusqlite::{Connection, TransactionBehavior};

use crate::database;
use crate::error::VaultError;
use crate::own::{self, Own};
use crate::profile::{ProfileFolder, VaultKey};
use crate::step::{MemberCache, Step};

/// A source of randomness that can be passed on as an object.
pub trait Randomness: CryptoRng + RngCore {}

impl<T: CryptoRng + RngCore> Randomness for T {}

/// When a step is made, and with what randomness.
pub struct Moment<'a> {
    /// The time.
    pub now: UnixMillis,
    /// The source of ids, salts, nonces and jitter.
    pub rng: &'a mut dyn Randomness,
}

/// The client's database, and the MLS states that are in use.
pub struct Vault {
    pub(crate) connection: Connection,
    members: MemberCache,
    own: Option<Own>,
    /// What this process asked for each goal: a call's id, or an offer. An answer to anything else is
    /// about a call that another process has replaced meanwhile.
    pub(crate) asked: BTreeMap<GoalId, Option<MessageId>>,
    /// Where entries of a room were missing when they came last.
    pub(crate) gaps: BTreeMap<RoomId, Seq>,
    /// Gaps that were told of.
    pub(crate) told_gaps: BTreeSet<(RoomId, Seq)>,
}

impl Vault {
    /// Opens the vault of a profile, and makes it if there is none.
    ///
    /// # Errors
    /// The key is wrong, the vault is newer than this client, or the disk says no.
    pub fn open(folder: &ProfileFolder, key: &VaultKey) -> Result<Self, VaultError> {
        Self::of(database::open_file(&folder.database()?, key)?)
    }

    /// A vault that lives as long as this value.
    ///
    /// # Errors
    /// SQLite does not start.
    pub fn in_memory() -> Result<Self, VaultError> {
        Self::of(database::open_in_memory()?)
    }

    fn of(connection: Connection) -> Result<Self, VaultError> {
        let own = own::find(&connection)?;
        Ok(Self {
            connection,
            members: MemberCache::default(),
            own,
            asked: BTreeMap::new(),
            gaps: BTreeMap::new(),
            told_gaps: BTreeSet::new(),
        })
    }

    /// This device and its account, if there is one; another process may have made it.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn find_own(&mut self) -> Result<Option<&Own>, VaultError> {
        if self.own.as_ref().is_none_or(|own| !own.registered) {
            self.own = own::find(&self.connection)?;
        }
        Ok(self.own.as_ref())
    }

    /// This device and its account.
    ///
    /// # Errors
    /// [`VaultError::NotRegistered`].
    pub fn own(&mut self) -> Result<&Own, VaultError> {
        self.find_own()?.ok_or(VaultError::NotRegistered)
    }

    /// Changes whenever another connection has written to the vault.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn change_counter(&self) -> Result<u64, VaultError> {
        let counter = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        Ok(counter)
    }

    /// Forgets what is kept of this account in memory, since its row has changed.
    pub(crate) fn forget_own(&mut self) {
        self.own = None;
    }

    /// Runs a step: all of it is committed, or none of it. What it found in memory and changed is
    /// dropped if the transaction fails.
    pub(crate) fn step<T>(
        &mut self,
        moment: Moment<'_>,
        run: impl FnOnce(&mut Step<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        self.find_own()?;
        let own = self.own.as_ref().ok_or(VaultError::NotRegistered)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let ran = {
            let rng = &mut *moment.rng;
            let moment = Moment { rng, ..moment };
            let mut step = Step::new(&transaction, own, moment, &mut self.members);
            run(&mut step).and_then(|value| {
                step.write_back()?;
                Ok((value, step.finish()))
            })
        };
        let committed = match ran {
            Ok((value, versions)) => transaction
                .commit()
                .map(|()| (value, versions))
                .map_err(VaultError::from),
            Err(error) => Err(error),
        };
        match committed {
            Ok((value, versions)) => {
                self.members.committed(versions);
                Ok(value)
            }
            Err(error) => {
                self.members.forget_touched();
                Err(error)
            }
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("own", &self.own.as_ref().map(|own| &own.handle))
            .finish_non_exhaustive()
    }
}
