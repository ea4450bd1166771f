//! The client's encrypted database, and the client's four beats over it: load, decide, commit, say what
//! is to be done.
//!
//! Purpose: everything that a client must not lose is a row here, in a SQLCipher database that one
//! thread owns per process. An operation is a method of [`Vault`], one transaction each, that decides
//! by `client-core` and returns values; the `sdk` crate speaks to servers and feeds the answers back.
//!
//! Invariants
//! - MLS state, message, cursor and hash-chain head change in one transaction or not at all.
//! - Several processes may use one vault at the same time: a step takes the write lock first, and
//!   loads or revalidates what it works on inside it.
//! - A message's text is nowhere but in this database; the account's root key is not even here.
//! - No runtime, no network, no clock: time and randomness come with each step ([`Moment`]).
//!
//! The map: `profile` is the folder and the key, `database` the connection, `step` a transaction with
//! what is loaded in it; `rooms`, `messages`, `outbox`, `goals`, `accounts`, `own` are rows; `ops` holds
//! the operations, one file each. To add one: a method on [`Vault`] in a file of its own.

mod accounts;
mod columns;
mod database;
mod error;
mod goals;
mod messages;
mod ops;
mod outbox;
mod own;
mod profile;
mod rooms;
mod step;
#[cfg(test)]
mod tests;
mod vault;

pub use error::VaultError;
pub use goals::GoalFate;
pub use ops::create_room::NewRoom;
pub use ops::entries::PageOutcome;
pub use ops::goal_work::{TreeWanted, Work};
pub use ops::invites::SentInviteId;
pub use ops::key_packages::Unpublished;
pub use ops::people::ServerPin;
pub use ops::reading::Cursors;
pub use ops::register::NewAccount;
pub use ops::submit::Outgoing;
pub use ops::welcome::WelcomeId;
pub use own::{NetworkPaths, Own};
pub use profile::{Passphrase, ProfileFault, ProfileFolder, Unlock, UnlockKind, VaultKey};
pub use vault::{Moment, Randomness, Vault};
