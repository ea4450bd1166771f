//! What people and scripts get to see.
//!
//! Every result is a struct: its fields are the JSON keys, which are part of the interface and only
//! grow; its [`screen::Fact`] or [`screen::Row`] is the text. Text of others passes [`inert`] on its
//! way to a terminal and [`json`] on its way to a script; nothing else prints.

pub mod event;
pub mod history_proof;
pub mod inert;
pub mod json;
pub mod message;
pub mod moment;
pub mod person;
pub mod room;
pub mod screen;
pub mod status;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod interface_tests;
