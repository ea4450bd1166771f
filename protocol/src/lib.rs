//! What two parties may say to each other: requests, room entries, relayed items, cursors, faults.
//!
//! Purpose: the vocabulary shared by homeservers and clients. Values here are already parsed; the
//! `transport` crate turns them into Cap'n Proto frames and back.
//!
//! The map
//! - [`call`]: what a client asks its homeserver, and what one homeserver asks another; one reply each.
//! - [`flow`]: the frames of the long-lived *submit* and *sync* flows.
//! - [`relay`]: items, signed batches and acknowledgements of the *relay* flow between servers.
//! - [`hello`]: how two servers greet, and how a device logs in, bound to the TLS connection.
//! - [`entry`]: one item of a room's log and the hash chain; [`checkpoint`]: the hub's signature on heads.
//! - [`equivocation`]: heads that servers compare, and the proof that a hub signed two histories.
//! - [`content`]: what a message says (MIMI content); only clients ever read it.
//! - [`fault`]: every way to say no, with a stable code; [`limits`]: every bound that both sides know.
//!
//! Invariants: hashed, signed and stored values use the TLS presentation language and have one
//! encoding; a server never needs anything from [`content`].

pub mod call;
pub mod checkpoint;
pub mod content;
pub mod entry;
pub mod equivocation;
pub mod fault;
pub mod flow;
pub mod hello;
pub mod limits;
pub mod relay;
