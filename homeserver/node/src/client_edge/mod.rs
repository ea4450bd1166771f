//! The edge towards devices: login, calls, and the flows *submit* and *sync*.
//!
//! Invariants: before a login only `Register` and `Login` are answered and no flow is served; a login
//! binds one device to the connection and lasts as long as it; what a device may do is decided by the
//! operations, not here.

mod calls;
mod connection;
mod submit;
mod sync;

pub use calls::client_pipeline;
pub use connection::{ClientEdge, serve};

#[cfg(test)]
pub(crate) mod tests;
