//! The homeserver as a process: edges, writer, workers, configuration.
//!
//! Purpose: hands. What a homeserver *decides* stands in `homeserver/core`, what an operation does in
//! `homeserver/ops`; here sockets are opened, tasks run, and clocks and random sources are read.
//!
//! The map
//! - `command`: the command line; `config`: its one struct; `data_dir` and `credentials`: keys.
//! - `https`: DID documents; `admin`: health.
//! - `node`: puts everything together, and takes it apart at the end.

mod admin;
mod clock;
mod command;
pub mod config;
mod credentials;
mod data_dir;
mod https;
mod logging;
mod node;
mod registration;

pub use command::Cli;
