//! A hostile organization and hostile devices that speak the real protocol, with any part of it wrong.
//!
//! Purpose: attacks on running servers, each with what the servers must answer, scripted and drawn from
//! a seed; and a measure of what honest people notice of them. Nothing here is part of a product.
//!
//! The map
//! - [`arena`]: two real organizations as processes, two hostile ones in this program.
//! - [`peer`]: a hostile organization; [`device`] and [`person`]: devices; [`room`]: their MLS groups;
//!   [`gathering`]: a room of all of them.
//! - [`wire`]: streams, frames, statements and packets in bytes; [`web`]: HTTP in bytes.
//! - [`attack`]: the list of attacks; [`accident`]: what happens to machines; [`expect`]: what servers
//!   must answer; [`dice`]: chance; [`patience`]: how long for.
//! - [`honest`]: people whose messages are timed; [`health`]: memory and life of the servers.
//! - [`args`] and [`campaign`]: the program `hostile`.
//!
//! Invariants: only processes started here are ever stopped; an attack says what it expected and what it
//! got; everything random comes from one printed seed.

pub mod accident;
pub mod arena;
pub mod args;
pub mod attack;
pub mod campaign;
pub mod clock;
pub mod device;
pub mod dice;
pub mod door;
pub mod expect;
pub mod gathering;
pub mod health;
pub mod honest;
pub mod judge;
pub mod patience;
pub mod peer;
pub mod person;
pub mod room;
pub mod web;
pub mod wire;
