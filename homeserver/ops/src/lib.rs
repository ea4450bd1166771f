//! Every operation of a homeserver as its four beats: load → decide → commit → effect.
//!
//! Purpose: the seam between what a homeserver decides (`core`) and where its rows lie. One file per
//! operation. What writes is a [`Command`], folded with others into one transaction by [`execute`];
//! what only reads is a function over [`Read`].
//!
//! Invariants
//! - Async, but free of any runtime; a store may answer at once.
//! - A command that is refused changes nothing; a transaction that fails answers nobody with success.
//! - Effects are hints: every one of them can be found again in the rows.
//!
//! To add an operation: the decision in `core`, a file here, a [`Command`] variant if it writes.

mod command;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod execute;
pub mod memory;
pub mod read;
mod store;
mod wanted;
mod work;
mod write;

pub use command::{Answer, Command, Others};
pub use execute::{Executed, Here, execute, store_fault};
pub use store::{LAST_ATTESTED_WITHIN, Page, Read, Store, StoreFault, Tx, Writers};
pub use wanted::{Found, MemberKey, MessageKey, PendingKey, Wanted, one_by_one};
