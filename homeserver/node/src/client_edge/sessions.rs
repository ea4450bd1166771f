//! The connections on which the devices of an account are logged in.
//!
//! An account has only so many at once: when one more logs in, its oldest is closed. The newest stays,
//! because a device whose network broke off comes again before its old connection is known to be dead.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entente_identity::AccountDid;
use entente_transport::{CloseCode, Connection};

/// All of them.
#[derive(Debug)]
pub struct Sessions {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    accounts: HashMap<AccountDid, BTreeMap<u64, Connection>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    sessions: Arc<Sessions>,
    account: AccountDid,
    number: u64,
}

impl Sessions {
    /// At most so many of one account.
    #[must_use]
    pub fn new(most: NonZeroU32) -> Self {
        Self {
            most: usize::try_from(most.get()).unwrap_or(usize::MAX),
            open: Mutex::default(),
        }
    }

    /// Takes a connection in, and closes the account's oldest if it has too many.
    pub(super) fn enter(self: &Arc<Self>, account: AccountDid, connection: &Connection) -> Place {
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let of_account = open.accounts.entry(account).or_default();
        of_account.insert(number, connection.clone());
        let too_many = of_account.len() > self.most;
        let oldest = too_many.then(|| of_account.pop_first()).flatten();
        drop(open);
        if let Some((_, oldest)) = oldest {
            tracing::debug!(%account, "too many connections; the oldest is closed");
            let reason = "this account has opened more connections than one account may";
            oldest.close(CloseCode::SUPERSEDED, reason);
        }
        Place {
            sessions: Arc::clone(self),
            account,
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sessions.lock();
        if let Some(of_account) = open.accounts.get_mut(&self.account) {
            of_account.remove(&self.number);
            if of_account.is_empty() {
                open.accounts.remove(&self.account);
            }
        }
    }
}
