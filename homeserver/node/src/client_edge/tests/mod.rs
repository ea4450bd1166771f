//! The edge over real connections, as devices and strangers meet it.

mod login;
pub(crate) mod questions;
mod quotas;
pub(crate) mod world;
