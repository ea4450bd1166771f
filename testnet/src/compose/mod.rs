//! A network of organizations in containers: the compose file at the top of the repository, and all that
//! it mounts.
//!
//! Purpose: one command makes certificates, configuration and passwords, starts the containers, waits until
//! all are healthy, and opens accounts; people then use it from outside exactly as a local network.
//!
//! The map: [`plan`] is what is remembered, beside the [`crate::network::Plan`] that people's clients
//! need; [`files`] writes what is mounted; [`owner`] says whose files they are; [`network`] starts and
//! stops the whole; [`containers`] are single ones, for scenes; [`addresses`] finds a free subnet.
//!
//! Invariants
//! - Only containers, networks and volumes of the network's own project are touched: its name holds a token
//!   that no other has.
//! - Secrets lie in files that only their reader can open, and are never arguments or variables.
//! - A server's keys are made inside of its own volume and never lie outside.

pub mod addresses;
pub mod containers;
pub mod files;
pub mod network;
pub mod owner;
pub mod plan;

pub use network::ComposeNetwork;
pub use plan::{ComposePlan, StoreChoice};
