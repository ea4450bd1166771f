//! Local networks of real homeservers and people, and the plays that are staged on them.
//!
//! Purpose: to show and to prove, with the programs as they are shipped, that conversations between
//! organizations survive what happens to servers. Nothing here is part of a product.
//!
//! The map
//! - [`network`]: processes, ports, certificates, configuration; [`cast`]: the people.
//! - [`stage`]: a fresh network for one play; the plays: [`demo`], [`storm`], [`measure`].
//! - [`verdict`]: whether all that was said arrived, once and in one order; [`scan`]: whether a server
//!   kept anything that it must not know; [`holdings`]: what a server does hold.
//! - [`compose`]: the same network in containers, through [`docker`]; [`images`]: what it runs on.
//! - [`scene`]: short scripts of what has to hold when things go wrong, for both kinds of network.
//! - [`narrator`]: what the person at the terminal gets to see; [`args`] and [`command`]: the program.
//!
//! Invariants: only processes started here are ever stopped, by their ids; only folders made here are
//! ever cleared; nothing waits for luck, everything waits for a fact with a deadline.

pub mod args;
pub mod cast;
pub mod command;
pub mod compose;
pub mod demo;
pub mod docker;
pub mod holdings;
pub mod images;
pub mod measure;
pub mod narrator;
pub mod network;
pub mod scan;
pub mod scene;
pub mod stage;
pub mod storm;
pub mod verdict;
