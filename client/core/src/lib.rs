//! What a client decides: pure rules over what it keeps and what it is told.
//!
//! Purpose: every decision of a client that is not MLS itself stands here as a function of values, so
//! that it can be tested without a server, a database or a clock. The `vault` crate loads, asks here,
//! and commits; the `sdk` crate does what is then to be done.
//!
//! The map
//! - [`log`]: whether an entry extends a room's log, and what it is for this device.
//! - [`outbox`]: what becomes of a message that was refused; when to encrypt again.
//! - [`goal`]: what a person wants done in a room through its hub, and what an answer means for it.
//! - [`duty`]: which member's device does what somebody has to do.
//! - [`person`]: pins of handles and accounts; [`invite`]: sealed invitations.
//! - [`event`]: what happened, as stored; [`message`], [`room`]: what a person sees.
//! - [`retry`]: how long to wait; [`stock`]: how many KeyPackages to keep at the server.
//!
//! Invariants: no clock, no randomness but what is given, no I/O; closed enums say what to do, nobody
//! here does it.

pub mod duty;
pub mod event;
pub mod goal;
pub mod invite;
pub mod log;
pub mod message;
pub mod outbox;
pub mod person;
pub mod retry;
pub mod room;
pub mod stock;
