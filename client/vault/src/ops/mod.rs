//! The vault's operations, one file each: load, decide by the client's rules, commit, say what to do.

pub(crate) mod arrive;
pub(crate) mod commit_entry;
pub(crate) mod create_room;
pub(crate) mod entries;
mod equivocation;
pub(crate) mod goal_answer;
pub(crate) mod goal_work;
pub(crate) mod invites;
pub(crate) mod key_packages;
pub(crate) mod message_entry;
pub(crate) mod people;
pub(crate) mod queued;
pub(crate) mod reading;
pub(crate) mod register;
pub(crate) mod send;
pub(crate) mod submit;
pub(crate) mod welcome;
