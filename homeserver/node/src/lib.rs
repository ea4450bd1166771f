//! The homeserver as a process: edges, writer, workers, configuration.
//!
//! Purpose: hands. What a homeserver *decides* stands in `homeserver/core`, what an operation does in
//! `homeserver/ops`; here sockets are opened, tasks run, and clocks and random sources are read.
//!
//! The map
//! - `command`: the command line; `config`: its one struct; `data_dir` and `credentials`: keys.
//! - `https`: DID documents; `admin`: health.
//! - `client_edge`, `peer_edge`: connections of devices and of other servers, their calls and flows.
//! - `peers`: the links to other servers; `hub`: what this server does as the hub of a room.
//! - `quotas`: how much is taken from whom.
//! - `writer`: the one thread that writes; `wakes`, `tails`: who is told, and what they read.
//! - `nodes`: this node among the others of its server.
//! - `workers`: what runs beside all that.
//! - `assembly`: puts the parts together; `node`: runs them, and stops them at the end.

mod admin;
mod assembly;
mod client_edge;
mod clock;
mod command;
pub mod config;
mod connections;
mod credentials;
mod data_dir;
mod database;
mod https;
mod hub;
mod logging;
mod node;
mod nodes;
mod peer_edge;
mod peers;
mod pipeline;
mod quotas;
mod registration;
mod server;
mod tails;
mod wakes;
mod workers;
mod writer;

pub use command::Cli;
