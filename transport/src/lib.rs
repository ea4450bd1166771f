//! QUIC, Cap'n Proto and their conversion to and from the words of `protocol`.
//!
//! Purpose: the only crate that sees a QUIC or Cap'n Proto type. Above it, connections carry typed
//! calls and flows; below it are datagrams.
//!
//! Invariants
//! - TLS 1.3 with X25519MLKEM768 only; no early data, no resumption; a server is believed by pinned
//!   key alone.
//! - Every length is checked before memory is spent on it ([`limits`]).
//! - Input never panics; an error says what was wrong and quotes no content.
//!
//! Absent: who a key belongs to, retries, reconnecting, policy. To add a call or flow, see `wire`.

mod address_block;
mod admission;
mod call;
mod certificate;
mod close;
mod connection;
mod endpoint;
mod flow;
mod frame;
mod incoming;
pub mod limits;
mod memory;
mod opening;
mod quic_config;
#[cfg(test)]
mod socket_tests;
mod stream;
mod tls;
mod verifier;
mod waited;
mod wire;

pub use address_block::AddressBlock;
pub use admission::AdmissionCounts;
pub use call::{CallError, IncomingCall, Responder};
pub use certificate::{IdentityFault, ServerIdentity};
pub use close::{CloseCode, CloseReason, StreamCode};
pub use connection::{Addresses, Connection, Link, Side};
pub use endpoint::{BindError, ConnectError, Endpoint};
pub use flow::{FlowReceiver, FlowSender};
pub use frame::FrameFault;
pub use incoming::{Incoming, PendingStream};
pub use limits::{AdmissionLimits, EndpointLimits, HandshakeRate, StreamLimits};
pub use stream::StreamFault;
pub use wire::{Request, WireFault};
