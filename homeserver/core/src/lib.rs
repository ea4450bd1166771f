//! What a homeserver decides: pure functions of rows, a command and the time.
//!
//! Each decision returns a [`Decision`]: the rows to write, what becomes owed to peers and devices,
//! whom to wake, and the reply. The `ops` crate loads the rows, calls these functions and commits; the
//! databases know only [`Change`].
//!
//! - [`rows`]: what is stored, in domain words; [`change`]: the only ways to write it.
//! - [`submit`], [`commit`], [`propose`], [`create_room`]: what becomes an entry of a room's log.
//! - [`group_info`]: what a member or invitee may see of a room's group.
//! - [`group_rows`]: how the rows of a room's group change, and how a past epoch is read back.
//! - [`equivocation`]: a hub that showed two histories.
//! - [`receive`]: the items that peers hand over; [`acknowledge`]: what their acknowledgements end.
//! - [`links`]: which of this server's nodes drives the link to a peer.
//! - [`register`], [`key_packages`], [`invite`], [`login`]: accounts and their devices.
//!
//! Invariants: no clock, randomness, I/O or locks; a refused command changes nothing.

pub mod acknowledge;
pub mod change;
pub mod commit;
pub mod create_room;
pub mod equivocation;
pub mod group_info;
pub mod group_rows;
pub mod invite;
pub mod key_packages;
pub mod links;
pub mod login;
mod order;
pub mod propose;
pub mod receive;
pub mod register;
pub mod retain;
pub mod rows;
pub mod submit;

pub use change::{Change, Decision, Effect, Owed, Queued};
