//! The operations that only read, one file each, and the costly checks that precede an ordering.
//!
//! A check reads the room as it is, does the cryptography, and hands a checked value to the writer,
//! which compares what was read with what is.

pub mod group;
pub mod heads;
pub mod login;
pub mod outbox;
pub mod pull;
pub mod status;
pub mod sync;
