//! The edge towards other servers: greeting, calls, and the *relay* flow.
//!
//! Invariants: the first call on a connection is the greeting, and nothing else is served before it
//! holds; a greeting binds one server and one key to the connection; what a peer may do is decided by
//! the operations, not here.

mod calls;
mod connection;
mod greeting;
mod invites;
mod relay;

pub use calls::peer_pipeline;
pub use connection::{OfPeers, PeerEdge, serve};

#[cfg(test)]
mod tests;
