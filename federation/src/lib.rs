//! How two servers deal with each other, as machines and pure functions without any I/O.
//!
//! - [`outbox`]: what is owed to one peer, from dialling to the acknowledgement that ends the debt.
//! - [`inbox`]: which items of a batch are new, so that each has its effect exactly once.
//! - [`hub`]: how the hub puts a room's items in order.
//! - [`follower`]: how everybody else takes the hub's log over.
//! - [`heads`]: what another server's signed head says about the log here.
//! - [`greeting`]: versions, features and stream epochs, settled before anything else is said.
//! - [`trust`]: with which servers this one deals at all.
//!
//! Invariants: time and randomness are arguments; a machine says what to do and never does it.

mod backoff;
pub mod follower;
pub mod greeting;
pub mod heads;
pub mod hub;
pub mod inbox;
pub mod outbox;
pub mod trust;

pub use backoff::{Backoff, Urgency};
